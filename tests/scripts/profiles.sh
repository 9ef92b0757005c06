#!/bin/bash
# tools that are not always there
cat >compose.yaml <<'E'
services:
  app:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
  debug:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
    profiles: [debug]
E
docker compose up -d
docker compose ps --services
docker compose --profile debug up -d
docker compose --profile debug ps --services | sort
docker compose config --profiles
COMPOSE_PROFILES=debug docker compose stop
docker compose ps -q | wc -l
docker compose --profile debug down
docker compose --profile debug ps -a -q | wc -l
