#!/bin/bash
# wait for jobs, and take their codes
cat >compose.yaml <<'E'
services:
  first:
    image: busybox:test
    command: sh -c 'sleep 1.5; exit 0'
  second:
    image: busybox:test
    command: sh -c 'sleep 1.5; exit 7'
  third:
    image: busybox:test
    command: sh -c 'echo after both'
    depends_on: {first: {condition: service_completed_successfully}}
E
docker compose create
docker compose start second
docker compose wait second | sed 's/"[0-9a-f]*"/"ID"/'
echo "code ${PIPESTATUS[0]}"
docker compose start first
docker compose wait first >/dev/null
echo "code $?"
docker compose up -d
docker compose logs --no-log-prefix third
docker compose ps -a --format '{{.Service}} {{.ExitCode}}' | sort
