"""Lifecycle hooks: post_start and pre_stop, as docker compose runs them."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Machine, Project, read_lines

pytestmark = pytest.mark.root

FILE = """
services:
  a:
    image: IMAGE
    command: ["sh", "-c", "trap 'echo term >> /out/log; exit 0' TERM; while :; do sleep 0.05; done"]
    environment: {FOO: service}
    volumes: ["./out:/out"]
    post_start:
      - command: ["sh", "-c", "echo $$FOO $$BAR $$(id -u) $$(pwd) > /out/first"]
        user: "1000"
        working_dir: /tmp
        environment: {BAR: hook}
      - command: sh -c "echo started >> /out/log; grep CapEff /proc/self/status > /out/caps"
        privileged: true
    pre_stop:
      - command: ["sh", "-c", "echo stopping >> /out/log"]
"""


def log_of(app: Project) -> list[str]:
    """What the hooks wrote since the last look."""
    path = app.dir / "out" / "log"
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


@pytest.fixture
def app(project: MakeProject) -> Project:
    one = project(FILE)
    (one.dir / "out").mkdir()
    (one.dir / "out").chmod(0o777)
    return one


def test_post_start_runs_with_its_own_settings(app: Project) -> None:
    app.up()
    assert (app.dir / "out" / "first").read_text() == "service hook 1000 /tmp\n"
    assert int((app.dir / "out" / "caps").read_text().split()[1], 16) & 1 << 21  # CAP_SYS_ADMIN: privileged
    assert log_of(app) == ["started"]


def test_hooks_run_with_every_verb_that_starts_or_stops(app: Project) -> None:
    seen = {}
    for words in (
        ("up", "-d"),
        ("up", "-d"),
        ("restart",),
        ("up", "-d", "--force-recreate"),
        ("stop",),
        ("start",),
        ("kill",),
        ("start",),
        ("run", "--rm", "a", "true"),
        ("up", "-d", "--scale", "a=2"),
        ("rm", "-sf"),
        ("up", "-d"),
        ("down",),
    ):
        app.run(*words)
        seen[len(seen), *words] = log_of(app)
    assert list(seen.values()) == [
        ["started"],
        [],
        ["stopping", "term", "started"],
        ["stopping", "term", "started"],
        ["stopping", "term"],
        ["started"],
        [],
        ["started"],
        [],
        ["started"],
        ["stopping", "stopping", "term", "term"],
        ["started"],
        ["stopping", "term"],
    ] or seen[10, "rm", "-sf"] == ["stopping", "term", "stopping", "term"], seen


def test_down_without_the_file_runs_them_too(app: Project) -> None:
    app.up()
    log_of(app)
    (app.dir / "compose.yaml").rename(app.dir / "away")
    app.run("down")
    assert log_of(app) == ["stopping", "term"]


def test_the_plan_names_them(app: Project) -> None:
    assert [step["verb"] for step in app.steps() if step["kind"] == "container"] == [
        "create", "connect", "start", "post_start",
    ]  # fmt: skip


def test_a_failing_post_start_fails_up_and_is_tried_again(app: Project) -> None:
    app.edit("echo $$FOO $$BAR", "test -e /out/allowed || { echo no permit; exit 3; }; echo")
    result = app.up(code=1)
    assert "cannot start" in result.stderr and "exited with status 3" in result.stderr
    assert "no permit" in result.stderr
    assert app.row("a")["State"] == "running"
    assert [step["verb"] for step in app.steps()] == ["post_start"]
    (app.dir / "out" / "allowed").touch()
    app.up()
    assert app.steps() == []
    assert log_of(app) == ["started"]


def test_a_command_killed_between_start_and_hook_is_finished_by_the_next(app: Project) -> None:
    app.run("up", "-d", code=-9, env={"PYCOMPOSE_CRASH_AT": "before:post_start"})
    assert log_of(app) == []
    app.up()
    assert log_of(app) == ["started"]


def test_a_failing_pre_stop_leaves_the_container_running(app: Project) -> None:
    app.edit("echo stopping >> /out/log", "exit 4")
    app.up()
    for words in (("stop",), ("down",), ("restart",)):
        result = app.run(*words, code=1)
        assert "pre_stop command 1 (sh -c exit 4) exited with status 4" in result.stderr
        assert app.row("a")["State"] == "running"
    app.run("kill")
    app.run("down")


def test_a_missing_program_is_named(app: Project) -> None:
    app.edit('["sh", "-c", "echo stopping >> /out/log"]', '["/no/such"]')
    app.up()
    assert "/no/such" in app.run("stop", code=1).stderr
    app.run("kill")


def test_an_attached_up_shows_what_they_write(app: Project) -> None:
    app.edit("echo $$FOO $$BAR", "echo out of the hook; echo err of the hook >&2; echo")
    app.edit("echo stopping >> /out/log", "echo stopping now")
    child = app.start("up")
    assert child.stdout is not None
    lines = []
    for line in read_lines(child.stdout):
        lines.append(line)
        if "err of the hook" in line:
            break
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=15)
    assert "a-1 ->  | out of the hook" in lines, (lines, err)
    assert "a-1 ->  | stopping now" in out.decode(), (out, err)


KILLED = ("PreStart", "PostStart", "PreStop")


@pytest.mark.parametrize("action", KILLED)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_next_command_finishes_what_a_killed_one_began(project: MakeProject, action: str, when: str) -> None:
    app = project(FILE + "    pre_start:\n      - command: sh -c 'echo first >> /out/log'\n")
    (app.dir / "out").mkdir()
    (app.dir / "out").chmod(0o777)
    if action == "PreStop":
        app.up()
        log_of(app)
    words = ("stop",) if action == "PreStop" else ("up", "-d")
    app.run(*words, code=-signal.SIGKILL, env={"PYCOMPOSE_CRASH_AT": f"{when}:{action}"})
    app.run(*words)
    seen = log_of(app)
    if action == "PreStop":
        assert seen == ["stopping", *(["stopping"] if when == "after" else []), "term"]
        assert app.names() == []
        return
    again = action == "PreStart" and when == "after"  # it cannot be known that it had ended well
    assert seen == ["first", *(["first"] if again else []), "started"]
    assert app.names() == ["a-1"]
    assert len(app.rows()) == 1
    assert app.steps() == []


INIT = """
services:
  web:
    image: IMAGE
    command: ["sh", "-c", "cat /own/made /data/made > /out/seen; exec sleep 1000"]
    stop_signal: SIGKILL
    environment: {A: service, B: service}
    volumes: ["./out:/out", "data:/data", "/own"]
    ports: ["127.0.0.1::80"]
    networks: {default: {ipv4_address: 10.213.7.9}}
    pre_start:
      - command: ["sh", "-c", "echo $$A $$B $$(id -u) > /out/first; echo anonymous > /own/made"]
        environment: {B: hook}
        user: "0"
      - command: ["sh", "-c", "ip -4 addr show eth0 | grep -c inet >> /out/first; echo named > /data/made"]
volumes:
  data:
networks:
  default:
    ipam: {config: [{subnet: 10.213.7.0/24}]}
"""


def test_pre_start_runs_before_and_sees_the_services_volumes(project: MakeProject, machine: Machine) -> None:
    app = project(INIT)
    (app.dir / "out").mkdir()
    app.up()
    assert (app.dir / "out" / "first").read_text() == "service hook 0\n1\n"
    assert app.sh("web", "cat /out/seen") == "anonymous\nnamed"
    assert app.names() == ["web-1"]
    assert [row["Name"] for row in app.rows()] == [f"{app.name}-web-1"]
    assert app.steps() == []
    (app.dir / "out" / "first").unlink()
    app.up("--scale", "web=1")
    app.run("restart")
    assert not (app.dir / "out" / "first").exists(), "a service that runs is not prepared again"
    app.run("stop")
    app.up()
    assert (app.dir / "out" / "first").exists()
    app.down("-v")
    assert not [name for name in Path(machine.state, "volumes").iterdir() if app.name in name.name]


def test_a_failing_pre_start_keeps_the_service_from_starting(project: MakeProject) -> None:
    app = project(INIT)
    (app.dir / "out").mkdir()
    app.edit("echo named > /data/made", "test -e /out/ready || { echo not ready; exit 42; }; echo named > /data/made")
    for _attempt in range(2):
        result = app.up(code=1)
        assert "cannot start web: its pre_start command 2 exited with status 42" in result.stderr
        assert "not ready" in result.stderr
        assert {row["Name"].removeprefix(f"{app.name}-"): row["State"] for row in app.rows()} == {
            "web-1": "created",
            "web-pre_start-1": "exited",
        }
    (app.dir / "out" / "ready").touch()
    app.up()
    assert app.names() == ["web-1"]
    assert len(app.rows()) == 1


def test_down_removes_what_a_failed_pre_start_left(project: MakeProject) -> None:
    app = project(INIT)
    (app.dir / "out").mkdir()
    app.edit("echo anonymous > /own/made", "exit 1")
    app.up(code=1)
    app.down("-v")
    assert app.rows() == []
