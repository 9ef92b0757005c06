#!/bin/bash
# replicas up and down
cat >compose.yaml <<'E'
services:
  worker:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
  other:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
E
docker compose up -d --scale worker=3
docker compose ps --format '{{.Name}}' | sort
for n in 1 2 3; do docker compose exec -T --index $n worker hostname; done | sort -u | wc -l
docker compose scale worker=1
docker compose ps --format '{{.Name}}' | sort
docker compose up -d --no-recreate --scale worker=2 worker
docker compose ps -q worker | wc -l
docker compose scale worker 2>/dev/null
echo "code $?"
