"""Provider services: a plug-in in place of a container, by docker compose's protocol."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Project

pytestmark = pytest.mark.root

FILE = """
services:
  db:
    provider:
      type: testcloud
      options: {type: mysql, size: 256, name: [a, b]}
  web:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    environment: {OWN: kept, RAW: mine}
    depends_on: {db: {condition: service_healthy}}
  other:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
"""
PLUGIN = """#!/bin/sh
echo "$*" >> "$TESTCLOUD/calls"
if [ "$2" = metadata ]; then cat "$TESTCLOUD/metadata" 2>/dev/null; exit 0; fi
echo '{"type": "info", "message": "working on it"}'
echo '{"type": "debug", "message": "not shown"}'
cat "$TESTCLOUD/says" 2>/dev/null
[ -e "$TESTCLOUD/ask" ] && { echo '{"type": "get-service-config"}'; read answer; echo "$answer" > "$TESTCLOUD/config"; }
exit $(cat "$TESTCLOUD/code" 2>/dev/null || echo 0)
"""


class Cloud:
    """The plug-in's side: what it was called with, and what it is to say."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory

    def says(self, *messages: tuple[str, str]) -> None:
        rows = [json.dumps({"type": kind, "message": message}) for kind, message in messages]
        (self.dir / "says").write_text("\n".join(rows) + "\n")

    def calls(self) -> list[str]:
        path = self.dir / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in lines if line != "compose metadata"]


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    directory = tmp_path / "cloud"
    directory.mkdir()
    program = directory / "testcloud"
    program.write_text(PLUGIN)
    program.chmod(0o755)
    return Cloud(directory)


@pytest.fixture
def app(project: MakeProject, cloud: Cloud) -> Project:
    one = project(FILE)
    one.env |= {"TESTCLOUD": str(cloud.dir), "PATH": f"{cloud.dir}:{os.environ['PATH']}"}
    return one


def test_what_it_says_reaches_the_dependents(app: Project, cloud: Cloud) -> None:
    cloud.says(("setenv", "URL=mysql://x=y"), ("rawsetenv", "RAW=theirs"))
    result = app.up()
    assert "db: working on it" in result.stderr
    assert "not shown" not in result.stderr
    assert cloud.calls() == [f"compose --project-name={app.name} up --name=a --name=b --size=256 --type=mysql db"]
    assert app.sh("web", "echo $DB_URL $RAW $OWN") == "mysql://x=y theirs kept"
    assert app.sh("other", "echo $DB_URL$RAW") == ""
    assert app.names() == ["other-1", "web-1"]


def test_every_up_asks_and_only_what_changed_recreates(app: Project, cloud: Cloud) -> None:
    cloud.says(("setenv", "PASSWORD=one"))
    app.up()
    first = {name: app.ident(name) for name in ("web", "other")}
    assert [(step["kind"], step["verb"]) for step in app.steps()] == [("provider", "create")]
    app.up()
    assert {name: app.ident(name) for name in first} == first
    cloud.says(("setenv", "PASSWORD=two"))
    app.up()
    assert app.sh("web", "echo $DB_PASSWORD") == "two"
    assert app.ident("other") == first["other"]
    assert app.ident("web") != first["web"]
    cloud.calls()
    app.run("run", "--rm", "web", "true")
    assert len(cloud.calls()) == 1


def test_down_removes_with_and_without_the_file(app: Project, cloud: Cloud) -> None:
    cloud.says(("setenv", "URL=secret"))
    for gone in (False, True):
        app.up()
        cloud.calls()
        remembered = Path(app.machine.state, "projects", app.name, "providers.json")
        assert remembered.stat().st_mode & 0o777 == 0o600
        if gone:
            (app.dir / "compose.yaml").rename(app.dir / "away")
        app.run("down")
        assert cloud.calls() == [f"compose --project-name={app.name} down --name=a --name=b --size=256 --type=mysql db"]
        assert not remembered.exists()


def test_metadata_chooses_options_and_stop(app: Project, cloud: Cloud) -> None:
    parameters = [{"name": "type", "required": True}]
    (cloud.dir / "metadata").write_text(json.dumps({"description": "x", "up": {"parameters": parameters}}))
    app.up()
    app.run("stop")
    assert cloud.calls() == [f"compose --project-name={app.name} up --type=mysql db"]
    (cloud.dir / "metadata").write_text(json.dumps({"description": "x", "stop": {"parameters": []}}))
    app.run("stop")
    assert cloud.calls() == [f"compose --project-name={app.name} stop db"]
    parameters.append({"name": "region", "required": True})
    (cloud.dir / "metadata").write_text(json.dumps({"up": {"parameters": parameters}}))
    assert "its option region is required" in app.up(code=1).stderr
    assert cloud.calls() == []


@pytest.mark.parametrize(
    ("message", "expected"),
    [(("error", "no quota left"), "no quota left"), (("nonsense", "x"), "it said nonsense x"), (("setenv", "X"), "X")],
)
def test_its_errors_end_up(app: Project, cloud: Cloud, message: tuple[str, str], expected: str) -> None:
    cloud.says(message)
    result = app.up(code=1)
    assert "cannot create db by its provider: " in result.stderr
    assert expected in result.stderr
    assert "web-1" not in app.names()


def test_a_failed_or_missing_plug_in_is_named(app: Project, cloud: Cloud) -> None:
    (cloud.dir / "code").write_text("7")
    assert "it ended with status 7" in app.up(code=1).stderr
    (cloud.dir / "code").unlink()
    app.edit("testcloud", "nowhere-to-be-found")
    assert "cannot find the provider 'nowhere-to-be-found'" in app.up(code=1).stderr
    app.edit("nowhere-to-be-found", "testcloud")


KILLED = ("StartProvider", "StopProvider", "RemoveProvider")


@pytest.mark.parametrize("action", KILLED)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_next_command_finishes_what_a_killed_one_began(app: Project, cloud: Cloud, action: str, when: str) -> None:
    cloud.says(("setenv", "URL=x"))
    (cloud.dir / "metadata").write_text(json.dumps({"stop": {"parameters": []}}))
    words = {"StartProvider": ("up", "-d"), "StopProvider": ("stop",), "RemoveProvider": ("down",)}[action]
    if action != "StartProvider":
        app.up()
    app.run(*words, code=-signal.SIGKILL, env={"PYCOMPOSE_CRASH_AT": f"{when}:{action}"})
    app.run(*words)
    assert f" {words[0]} " in cloud.calls()[-1]
    assert app.names() == (["other-1", "web-1"] if action == "StartProvider" else [])
    if action == "StartProvider":
        assert app.sh("web", "echo $DB_URL") == "x"
    if action == "RemoveProvider":
        assert not Path(app.machine.state, "projects", app.name, "providers.json").exists()


def test_it_may_ask_for_the_services_configuration(app: Project, cloud: Cloud) -> None:
    (cloud.dir / "ask").touch()
    app.up()
    asked = json.loads((cloud.dir / "config").read_text())
    assert asked["name"] == "db"
    assert asked["provider"]["options"]["size"] == ["256"]
