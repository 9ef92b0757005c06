"""Health checks, dependency conditions, restart policies, and how ``up`` waits."""

from __future__ import annotations

import os
import time

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import eventually

pytestmark = pytest.mark.root

SLEEP = 'command: ["sleep", "1000"]\n    stop_signal: SIGKILL'
HEALTH = "interval: 100ms, timeout: 2s, retries: 3"


def test_service_healthy(project: MakeProject) -> None:
    app = project(f"""
services:
  db:
    image: IMAGE
    command: ["sh", "-c", "sleep 0.4; touch /ready; exec sleep 1000"]
    stop_signal: SIGKILL
    healthcheck: {{test: ["CMD", "test", "-e", "/ready"], {HEALTH}, start_period: 10s, start_interval: 50ms}}
  web:
    image: IMAGE
    {SLEEP}
    depends_on: {{db: {{condition: service_healthy}}}}
""")
    app.up()
    assert app.row("db")["Health"] == "healthy"
    assert "(healthy)" in app.row("db")["Status"]
    assert app.state("db")["started_at"] < app.state("web")["started_at"]


def test_unhealthy_names_the_probe(project: MakeProject) -> None:
    app = project(f"""
services:
  db:
    image: IMAGE
    {SLEEP}
    healthcheck: {{test: "echo the disk is full; exit 1", interval: 50ms, retries: 2}}
  web:
    image: IMAGE
    {SLEEP}
    depends_on: {{db: {{condition: service_healthy}}}}
""")
    result = app.up(code=1)
    assert "db" in result.stderr
    assert "unhealthy" in result.stderr
    assert "the disk is full" in result.stderr
    assert app.row("db")["State"] == "running"  # it stays, to be looked at
    assert "web-1" not in app.names()


def test_completed_successfully(project: MakeProject) -> None:
    app = project(f"""
services:
  migrate:
    image: IMAGE
    command: ["sh", "-c", "sleep 0.2; exit ${{CODE:-0}}"]
  web:
    image: IMAGE
    {SLEEP}
    depends_on: {{migrate: {{condition: service_completed_successfully}}}}
""")
    app.up()
    assert app.row("migrate")["State"] == "exited"
    assert app.row("migrate")["ExitCode"] == 0
    assert app.names() == ["web-1"]
    app.down()
    app.env["CODE"] = "4"
    result = app.up(code=1)
    assert "migrate" in result.stderr
    assert "4" in result.stderr
    assert app.names() == []


def test_up_wait(project: MakeProject) -> None:
    app = project(f"""
services:
  a:
    image: IMAGE
    {SLEEP}
    healthcheck: {{test: ["CMD", "true"], {HEALTH}}}
  b:
    image: IMAGE
    {SLEEP}
""")
    app.run("up", "--wait")
    assert app.row("a")["Health"] == "healthy"
    app.down()
    app.edit('"true"', '"false"')
    assert "unhealthy" in app.run("up", "--wait", code=1).stderr
    app.down()
    app.edit("retries: 3", "retries: 300")
    began = time.monotonic()
    app.run("up", "--wait", "--wait-timeout", "1", code=1)
    assert time.monotonic() - began < 5


def test_restart_on_failure(project: MakeProject) -> None:
    app = project("""
services:
  flaky:
    image: IMAGE
    command: ["sh", "-c", "echo life; exit 3"]
    restart: on-failure:2
""")
    app.up()
    eventually(lambda: app.row("flaky")["State"] == "exited" and len(app.logs("flaky")) == 3, 10)
    assert app.row("flaky")["ExitCode"] == 3
    assert app.state("flaky")["restart_count"] == 2


def test_restart_always_until_stopped(project: MakeProject) -> None:
    app = project("""
services:
  steady:
    image: IMAGE
    command: ["sleep", "1000"]
    restart: always
    stop_signal: SIGKILL
  quits:
    image: IMAGE
    command: ["sh", "-c", "echo life; sleep 0.2"]
    restart: unless-stopped
""")
    app.up()
    pid = app.state("steady")["pid"]
    os.kill(pid, 9)
    eventually(lambda: (state := app.state("steady"))["status"] == "running" and state["pid"] != pid, 5)
    eventually(lambda: len(app.logs("quits")) >= 3, 8)
    assert "1 packets received" in app.sh("steady", "ping -c 1 -W 2 quits || ping -c 1 -W 2 steady")
    app.run("stop", "-t", "0")
    lives = len(app.logs("quits"))
    time.sleep(0.5)
    assert app.names() == []
    assert len(app.logs("quits")) == lives


def test_health_none_and_a_failing_healthcheck_later(project: MakeProject) -> None:
    app = project(f"""
services:
  a:
    image: IMAGE
    {SLEEP}
    healthcheck: {{test: ["CMD", "test", "!", "-e", "/broken"], {HEALTH}}}
""")
    app.run("up", "--wait")
    app.sh("a", "touch /broken")
    eventually(lambda: app.row("a")["Health"] == "unhealthy", 5)
    app.sh("a", "rm /broken")
    eventually(lambda: app.row("a")["Health"] == "healthy", 5)


def test_wait_sees_what_fails_at_once(project: MakeProject) -> None:
    app = project("services:\n  bad:\n    image: IMAGE\n    command: [sh, -c, 'exit 3']\n")
    for _attempt in range(5):
        assert "it exited with code 3" in app.run("up", "-d", "--wait", code=1).stderr
