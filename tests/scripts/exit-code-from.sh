#!/bin/bash
# tests as a service; the job has its code
cat >compose.yaml <<'E'
services:
  api:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
    healthcheck: {test: ["CMD", "true"], interval: 1s}
  tests:
    image: busybox:test
    command: sh -c 'echo ok 1; echo not ok 2; exit ${CODE:-5}'
    depends_on: {api: {condition: service_healthy}}
E
docker compose up --exit-code-from tests --no-log-prefix --attach tests >out 2>/dev/null
echo "code $?"
grep -c 'ok [12]' out
CODE=0 docker compose up --exit-code-from tests >/dev/null 2>&1
echo "code $?"
docker compose ps -q | wc -l
docker compose ps -a --format '{{.Service}} {{.State}}' | sort
