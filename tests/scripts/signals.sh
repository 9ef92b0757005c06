#!/bin/bash
# reload by signal, stop by signal
cat >compose.yaml <<'E'
services:
  app:
    image: busybox:test
    command:
      - sh
      - -c
      - |
        trap 'echo reloaded' HUP
        trap 'echo bye; exit 9' TERM
        echo up
        while :; do sleep 0.05; done
E
docker compose up -d
until docker compose logs app | grep -q up; do sleep 0.1; done
docker compose kill -s HUP app
until docker compose logs app | grep -q reloaded; do sleep 0.1; done
docker compose stop app
docker compose logs --no-log-prefix app
docker compose ps -a --format '{{.State}} {{.ExitCode}}'
docker compose start app
docker compose pause && docker compose ps --format '{{.State}}'
docker compose unpause && docker compose ps --format '{{.State}}'
docker compose restart -t 5
docker compose kill
docker compose ps -a --format '{{.State}} {{.ExitCode}}'
