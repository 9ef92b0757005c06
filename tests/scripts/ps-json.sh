#!/bin/bash
# state of everything with jq
cat >compose.yaml <<'E'
services:
  web:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
    deploy: {replicas: 2}
  job:
    image: busybox:test
    command: sh -c 'exit 4'
E
docker compose up -d
docker compose wait job >/dev/null
docker compose ps --format json | jq -r '.Name' | sort
docker compose ps -a --format json | jq -r 'select(.State != "running") | "\(.Service) \(.State) \(.ExitCode)"'
docker compose ps -a --format json | jq -s 'map(.Service) | unique | join(",")'
docker compose ps --format json | jq -s 'map(.Publishers | length) | add'
test "$(docker compose ps -q | wc -l)" = 2 && echo "two ids"
docker compose ps -q web | awk '{ print length($0) }'
docker compose ps --services --status running
docker compose ps --services -a | sort
