#!/bin/bash
# what happened, as JSON
cat >compose.yaml <<'E'
services:
  app:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
E
began=$(date +%s.%N)
docker compose up -d
docker compose kill app
docker compose wait app >/dev/null 2>&1
docker compose rm -f
sleep 1.2
docker compose events --json --since "$began" --until 0s | jq -r 'select(.service == "app") | .action' | grep -v exec
docker compose events --json --since "$began" --until 0s | jq -r 'select(.action == "die") | .attributes.exitCode'
docker compose events --json --since "$began" --until 0s | jq -r 'select(.action == "create") | keys | join(" ")'
