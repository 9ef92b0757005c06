#!/bin/bash
# CI: start, wait until healthy, then use it
cat >compose.yaml <<'E'
services:
  db:
    image: busybox:test
    command: sh -c 'sleep 0.3; touch /tmp/ready; exec sleep 1000'
    stop_signal: SIGKILL
    healthcheck: {test: ["CMD", "test", "-f", "/tmp/ready"], interval: 1s, start_interval: 200ms, start_period: 10s}
  api:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
    depends_on: {db: {condition: service_healthy}}
E
docker compose up -d --wait --wait-timeout 30 || exit 9
docker compose ps --format '{{.Service}} {{.State}} {{.Health}}' | sort
docker compose exec -T db ls /tmp/ready
