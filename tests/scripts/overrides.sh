#!/bin/bash
# base, override, and a file for CI
cat >compose.yaml <<'E'
services:
  app:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
    environment: {A: base, B: base}
E
cat >compose.override.yaml <<'E'
services:
  app:
    environment: {B: override}
E
cat >ci.yaml <<'E'
services:
  app:
    environment: {C: ci}
  extra:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
E
show() { docker compose "$@" config --format json | jq -c '.services.app.environment'; }
show
show -f compose.yaml
show -f compose.yaml -f ci.yaml
COMPOSE_FILE=compose.yaml:compose.override.yaml:ci.yaml show
docker compose -f compose.yaml -f ci.yaml config --services | sort
docker compose -f compose.yaml -f ci.yaml up -d
docker compose -f compose.yaml -f ci.yaml exec -T app sh -c 'echo $A $B $C'
docker compose -f compose.yaml up -d --remove-orphans 2>/dev/null
docker compose ps --services
