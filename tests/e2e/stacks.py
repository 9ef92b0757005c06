"""What the tests of the testing package share: a project in a directory, the machine's directories in the environment."""

from __future__ import annotations

TWO = """
services:
  web:
    image: busybox:test
    command: sh -c 'mkdir -p /www; echo hi > /www/index.html; echo serving; exec httpd -f -p 80 -h /www'
    ports: ["8080:80"]
    volumes: [data:/data]
    healthcheck: {test: ["CMD", "test", "-e", "/www/index.html"], interval: 1s}
    stop_signal: SIGKILL
  db:
    image: busybox:test
    command: sh -c 'exec 3>>/db/log; n=0; while true; do n=$$((n+1)); echo $$n >&3; sleep 0.01; done'
    volumes: [db:/db]
    depends_on: [web]
    stop_signal: SIGKILL
volumes: {data: {}, db: {}}
"""

SICK = """
services:
  sick:
    image: busybox:test
    command: sh -c 'echo I feel ill; sleep 60'
    stop_signal: SIGKILL
    healthcheck: {test: ["CMD-SHELL", "echo no luck; exit 1"], interval: 50ms, retries: 2}
"""
