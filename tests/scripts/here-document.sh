#!/bin/bash
# exec with a here-document
cat >compose.yaml <<'E'
services:
  db:
    image: busybox:test
    command: sleep 1000
    stop_signal: SIGKILL
E
docker compose up -d
docker compose exec -T db sh <<'SQL'
echo "first line"
cd /tmp && pwd
cat >file <<X
nested $((1 + 2))
X
SQL
docker compose exec -T db cat /tmp/file
docker compose exec -T db sh -s one two <<<'echo "$# $2"; exit 6'
echo "code $?"
docker compose exec -T -e NAME=value -w /usr db sh -c 'echo $NAME; pwd'
docker compose exec -T -u 1000:1000 db id -u
