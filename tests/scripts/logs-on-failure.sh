#!/bin/bash
# a start that fails: show the logs, keep the code
cat >compose.yaml <<'E'
services:
  good:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
  bad:
    image: busybox:test
    command: sh -c 'echo loading; echo "fatal; no configuration"; exit 3'
E
if ! docker compose up -d --wait --wait-timeout 20; then
    docker compose logs --no-color --no-log-prefix bad >bad.log
    echo "failed:"
    cat bad.log
    docker compose ps -a --format json bad | jq -r '"\(.Service) ended with \(.ExitCode)"'
    docker compose logs --no-color bad | head -1
fi
docker compose logs --tail 1 --no-log-prefix bad
