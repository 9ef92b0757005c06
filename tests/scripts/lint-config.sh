#!/bin/bash
# a check before the merge
cat >compose.yaml <<'E'
name: lint
services:
  web: {image: "busybox:test", ports: ["8080:80"], depends_on: [db]}
  db: {image: "busybox:test", volumes: ["data:/data"]}
volumes: {data: {}}
E
docker compose config -q
echo "code $?"
docker compose config --services | sort
docker compose config --volumes
docker compose config --images | sort -u
docker compose config --format json | jq -cS '.services.web.ports[0], (.services | keys)'
printf 'services:\n  web:\n    imagee: x\n' >broken.yaml
docker compose -f broken.yaml config -q 2>/dev/null
echo "code $?"
docker compose -f missing.yaml config -q 2>/dev/null
echo "code $?"
