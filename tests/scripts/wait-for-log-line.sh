#!/bin/bash
# follow until a line comes, with a limit
cat >compose.yaml <<'E'
services:
  app:
    image: busybox:test
    command: sh -c 'echo starting; sleep 0.5; echo server is ready; exec sleep 1000'
    stop_signal: SIGKILL
E
docker compose up -d
timeout 20 docker compose logs -f --no-log-prefix app | grep -m1 ready
echo "found $?"
docker compose logs app | wc -l
docker compose logs -n 1 app
docker compose logs --no-log-prefix --since 10m app | head -1
