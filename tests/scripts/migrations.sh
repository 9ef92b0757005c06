#!/bin/bash
# run migrations before the application, stop when they fail
cat >compose.yaml <<'E'
services:
  db:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "true"], interval: 1s}
  migrate:
    image: busybox:test
    entrypoint: ["sh", "-c"]
    volumes: ["data:/data"]
    depends_on: {db: {condition: service_healthy}}
    profiles: [tools]
volumes: {data: {}}
E
set -e
docker compose run --rm -T migrate 'echo "create table t" >>/data/log; echo migrated'
docker compose run --rm -T -e STEP=2 migrate 'echo "step $STEP" >>/data/log'
docker compose exec -T db cat /data/log
set +e
docker compose run --rm -T migrate 'echo failing >&2; exit 12' 2>/dev/null
echo "code $?"
docker compose ps -a --format '{{.Service}}'
