#!/bin/bash
# what is there, and that nothing stays
cat >compose.yaml <<'E'
services:
  app:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
    volumes: ["data:/data"]
    networks: [inner]
volumes: {data: {}}
networks: {inner: {}}
E
trap 'docker compose down -v --remove-orphans >/dev/null 2>&1' EXIT
docker compose up -d --quiet-pull
docker compose ls --format json --filter "name=$COMPOSE_PROJECT_NAME" | jq -r '.[].Status'
docker compose ls -q | grep -x "$COMPOSE_PROJECT_NAME" | wc -l
docker compose volumes -q | sed "s/^$COMPOSE_PROJECT_NAME/PROJECT/"
docker compose images --format json | jq -r '.[] | "\(.Repository):\(.Tag)"'
docker compose top app | tail -1 | awk '{ print $NF }'
docker compose stats --no-stream --format json | jq -r '.PIDs'
docker compose down -v --remove-orphans
docker compose ps -a -q | wc -l
docker compose volumes -q | wc -l
docker compose ls -a -q --filter "name=$COMPOSE_PROJECT_NAME" | wc -l
docker compose down
echo "code $?"
