"""``why`` on real containers."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import MakeProject

pytestmark = pytest.mark.root

APP = """
services:
  db:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    healthcheck: {test: "echo not yet; exit 3", interval: 50ms, retries: 2}
  web:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    depends_on: {db: {condition: service_healthy}}
  job:
    image: IMAGE
    command: ["sh", "-c", "exit 4"]
  other:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    environment: {DEBUG: "0"}
"""


def test_why_says_what_happened(project: MakeProject) -> None:
    app = project(APP)
    app.run("up", "-d", code=1)
    text = app.run("why").stdout
    assert "db-1 has run for" in text
    assert "web-1 was not started: db is unhealthy; it is to be healthy; the last probe" in text
    assert "exited with code 3: not yet" in text
    assert "job-1 exited with code 4" in text
    app.edit('DEBUG: "0"', 'DEBUG: "1"')
    assert "up would create other-1: config changed: environment.DEBUG" in app.run("why", "other").stdout
    app.up("--no-deps", "other")
    (answer,) = json.loads(app.run("why", "other", "--format", "json").stdout)
    assert answer["name"] == "other-1"
    assert {"kind": "next", "text": "up would change nothing"} in answer["facts"]
    (created,) = [fact["text"] for fact in answer["facts"] if fact["kind"] == "created"]
    assert created.endswith("ago: config changed: environment.DEBUG: changed")


def test_why_of_networks_and_volumes(project: MakeProject) -> None:
    app = project(APP.replace("  job:", "    volumes: ['data:/d']\n  job:") + "volumes: {data: {labels: {a: b}}}\n")
    assert "volume data is not there" in app.run("why", "data").stdout
    app.up("--no-deps", "web")
    text = app.run("why", "default", "data").stdout
    assert "network default is there" in text and "volume data is there" in text
    assert text.count("used by web-1") == 2 and text.count("ago: not found") == 2
    app.edit("{a: b}", "{a: c}")
    assert "up --yes makes it anew" in app.run("why", "data").stdout


def test_why_of_what_is_not_there(project: MakeProject) -> None:
    app = project(APP)
    assert "db has no container: nobody has made one yet" in app.run("why", "db").stdout
    result = app.run("why", "wbe", code=1)
    assert result.stderr.startswith("no such service: wbe")
    assert "web" in result.stderr
    app.run("why", "--format", "xml", code=1)


def test_down_forgets(project: MakeProject) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["true"]\n')
    app.up()
    app.down()
    assert "nobody has made one yet" in app.run("why", "a").stdout
