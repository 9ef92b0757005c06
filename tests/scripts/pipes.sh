#!/bin/bash
# data through a one-off container, both ways
cat >compose.yaml <<'E'
services:
  filter:
    image: busybox:test
    command: ["sort", "-r"]
E
printf 'b\na\nc\n' | docker compose run --rm -T filter
printf 'b\na\nc\n' | docker compose run --rm -T filter tr a-z A-Z | tail -1
seq 1 20000 | docker compose run --rm -T filter wc -l
docker compose run --rm -T filter sh -c 'yes | head -c 300000' | wc -c
docker compose run --rm -T filter sh -c 'echo out; echo err >&2' 2>/dev/null
docker compose run --rm -T filter seq 1 100000 | head -1
docker compose run --rm filter sh -c 'exit 42' </dev/null
echo "code $?"
