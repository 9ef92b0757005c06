#!/bin/bash
# build something in a container, take it out
cat >compose.yaml <<'E'
services:
  builder:
    image: busybox:test
    command: sh -c 'mkdir -p /out/lib; echo program >/out/app; echo lib >/out/lib/x; ln -s app /out/link; chmod 755 /out/app'
E
docker compose up >/dev/null 2>&1
docker compose cp builder:/out ./dist
find dist | sort
test -x dist/app && cat dist/app
readlink dist/link
docker compose cp builder:/out/. ./flat && ls flat
docker compose cp builder:/out - | tar -tf - | sort
docker compose cp builder:/nothing . 2>/dev/null
echo "code $?"
docker compose run --name maker -T builder sh -c 'echo one-off >/result' && docker compose ps -a --format '{{.Name}}' | sort
docker compose rm -f >/dev/null 2>&1
docker compose ps -a --format '{{.Name}}'
