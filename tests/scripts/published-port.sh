#!/bin/bash
# a port that the machine chose, found with `port`, and used
cat >compose.yaml <<'E'
services:
  web:
    image: busybox:test
    command: ["sh", "-c", "mkdir /www; echo hello from web >/www/index.html; exec httpd -f -p 80 -h /www"]
    stop_signal: SIGKILL
    ports: ["127.0.0.1::80"]
E
docker compose up -d
address=$(docker compose port web 80)
host=${address%:*} port=${address##*:}
echo "host $host"
case $port in '' | *[!0-9]*) echo "no port: $address"; exit 1 ;; esac
for try in 1 2 3 4 5 6 7 8 9 10; do
    curl -fsS "http://$address/" 2>/dev/null && break
    sleep 0.2
done
same=$(docker compose ps --format json web | jq -r '.Publishers[] | select(.TargetPort == 80) | .PublishedPort')
test "$same" = "$port" && echo "ps agrees"
docker compose port web 81 2>/dev/null
echo "port 81: $?"
