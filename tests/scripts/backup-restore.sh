#!/bin/bash
# dump, destroy, restore
cat >compose.yaml <<'E'
services:
  db:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
    volumes: ["data:/data"]
volumes: {data: {}}
E
docker compose up -d
docker compose exec -T db sh -c 'mkdir /data/t; echo row >/data/t/1'
docker compose exec -T db tar -C /data -cf - . >backup.tar
docker compose down -v
docker compose up -d
docker compose exec -T db sh -c 'ls /data | wc -l'
docker compose exec -T db tar -C /data -xf - <backup.tar
docker compose exec -T db cat /data/t/1
docker compose down
docker compose up -d
docker compose exec -T db cat /data/t/1
