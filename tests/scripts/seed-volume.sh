#!/bin/bash
# fill a volume with cp before anything runs
cat >compose.yaml <<'E'
services:
  app:
    image: busybox:test
    command: sh -c 'cat /data/seed/*'
    volumes: ["data:/data"]
volumes: {data: {}}
E
mkdir seed && echo alpha >seed/a && echo beta >seed/b
docker compose create
docker compose cp seed app:/data/
docker compose start
docker compose wait app >/dev/null 2>&1
docker compose logs --no-log-prefix app
docker compose cp app:/data/seed/b - | tar -tf -
docker compose cp app:/data/seed copied && ls copied
