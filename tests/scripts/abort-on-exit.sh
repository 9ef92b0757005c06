#!/bin/bash
# everything ends with the first that ends
cat >compose.yaml <<'E'
services:
  server:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
  client:
    image: busybox:test
    command: sh -c 'sleep 0.2; exit 0'
    depends_on: [server]
E
docker compose up --abort-on-container-exit >/dev/null 2>&1
echo "code $?"
docker compose ps -a --format '{{.Service}} {{.State}} {{.ExitCode}}' | sort
docker compose down 2>/dev/null
docker compose ps -a -q | wc -l
