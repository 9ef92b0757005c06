#!/bin/bash
# one file, three environments
cat >compose.yaml <<'E'
services:
  app:
    image: busybox:test
    command: sh -c 'echo "$$STAGE $$LEVEL $$EXTRA"'
    environment:
      STAGE: ${STAGE:-none}
      LEVEL: ${LEVEL:?LEVEL is missing}
      EXTRA:
E
printf 'LEVEL=low\n' >.env
printf 'STAGE=prod\nLEVEL=high\n' >prod.env
docker compose run --rm -T app 2>/dev/null
STAGE=shell docker compose run --rm -T app 2>/dev/null
docker compose --env-file prod.env run --rm -T app 2>/dev/null
EXTRA=x docker compose --env-file .env --env-file prod.env run --rm -T -e STAGE=given app 2>/dev/null
rm .env
docker compose config -q 2>/dev/null
echo "code $?"
docker compose --env-file prod.env config --format json | jq -c '.services.app.environment'
