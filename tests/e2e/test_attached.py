"""Commands that stay: ``up`` in front, Ctrl-C, terminals."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Terminal, eventually, read_lines
from tests.support.flags import covers

pytestmark = pytest.mark.root

TALKERS = """
services:
  a:
    image: IMAGE
    command: ["sh", "-c", "trap 'echo a stops; exit 0' TERM; echo a is here; while :; do sleep 0.05; done"]
  b:
    image: IMAGE
    command: ["sh", "-c", "trap 'exit 0' TERM; echo b is here; while :; do sleep 0.05; done"]
    depends_on: [a]
"""


def test_up_shows_logs_and_stops_on_ctrl_c(project: MakeProject) -> None:
    app = project(TALKERS)
    child = app.start("up")
    assert child.stdout is not None
    seen: list[str] = []
    for line in read_lines(child.stdout):
        seen.append(line)
        if any("b is here" in one for one in seen) and any("a is here" in one for one in seen):
            break
    assert any(line.startswith("a-1") and line.endswith("| a is here") for line in seen), seen
    os.kill(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=10)
    assert child.returncode in (0, 130), err
    assert b"a stops" in out
    assert app.names() == []
    assert {row["State"] for row in app.rows()} == {"exited"}


def test_a_second_ctrl_c_kills(project: MakeProject) -> None:
    app = project("""
services:
  deaf:
    image: IMAGE
    command: ["sh", "-c", "trap '' TERM; echo here; while :; do sleep 0.05; done"]
    stop_grace_period: 60s
""")
    child = app.start("up")
    assert child.stdout is not None
    assert any("here" in line for line in read_lines(child.stdout, 5))
    os.kill(child.pid, signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.3)  # it stops them gracefully, which takes 60 s
    os.kill(child.pid, signal.SIGINT)
    child.communicate(timeout=10)
    eventually(lambda: app.names() == [], 5)


def test_exit_code_from(project: MakeProject) -> None:
    app = project("""
services:
  tests:
    image: IMAGE
    command: ["sh", "-c", "sleep 0.2; echo tests failed; exit 17"]
  db:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
""")
    result = app.run("up", "--exit-code-from", "tests", code=17)
    assert "tests failed" in result.stdout
    assert app.names() == []


def test_abort_on_container_exit(project: MakeProject) -> None:
    app = project("""
services:
  short:
    image: IMAGE
    command: ["sh", "-c", "sleep 0.2"]
  long:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
""")
    app.run("up", "--abort-on-container-exit", code=None, timeout=20)
    assert app.names() == []


def test_up_ends_when_all_have_ended(project: MakeProject) -> None:
    app = project('services:\n  job:\n    image: IMAGE\n    command: ["echo", "done"]\n')
    result = app.run("up", timeout=20)
    assert "| done" in result.stdout
    assert "exited with code 0" in result.stdout + result.stderr


def test_a_terminal_inside(project: MakeProject, terminal: type[Terminal]) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["sleep", "1000"]\n    stop_signal: SIGKILL\n')
    app.up()
    shell = terminal(app, "exec", "a", "sh")
    shell.expect("#")
    shell.write("stty size; tty\n")
    shell.expect("24 100")
    shell.expect("/dev/pts/")
    shell.write("exit 6\n")
    assert shell.wait() == 6


def test_run_on_a_terminal(project: MakeProject, terminal: type[Terminal]) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["true"]\n')
    shell = terminal(app, "run", "--rm", "a", "sh", "-c", "test -t 0 && echo a-$((1+1))-terminal; read x; echo got $x")
    shell.expect("a-2-terminal")
    shell.write("words\n")
    shell.expect("got words")
    assert shell.wait() == 0
    eventually(lambda: app.rows() == [])


def test_ctrl_c_in_run_reaches_the_program(project: MakeProject, terminal: type[Terminal]) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["true"]\n')
    shell = terminal(app, "run", "--rm", "a", "sh", "-c", "trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done")
    shell.expect("ready")
    shell.write("\x03")  # the terminal inside makes a signal of it, as an application expects
    assert shell.wait() == 9
    eventually(lambda: app.rows() == [])


def test_the_live_tree(project: MakeProject, terminal: type[Terminal]) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["sleep", "1000"]\n    stop_signal: SIGKILL\n')
    shown = terminal(app, "up", "-d")
    assert shown.wait() == 0
    assert "a-1" in shown.seen
    assert app.names() == ["a-1"]


def test_an_interrupted_run_gives_130_and_leaves_nothing(project: MakeProject) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["true"]\n')
    child = app.start(
        "run", "--rm", "-T", "a", "sh", "-c", "trap 'exit 0' INT; echo ready; while :; do sleep 0.05; done"
    )
    assert child.stdout is not None
    assert next(read_lines(child.stdout)) == "ready"
    os.kill(child.pid, signal.SIGINT)
    child.communicate(timeout=10)
    assert child.returncode in (0, 130)
    eventually(lambda: app.rows() == [])


SLOW = """
services:
  db:
    image: IMAGE
    command: ["sh", "-c", "trap 'echo db stops; exit 0' TERM; echo db is here; while :; do sleep 0.05; done"]
    healthcheck: {test: ["CMD", "test", "-e", "/ready"], interval: 100ms, retries: 1000}
  web:
    image: IMAGE
    command: ["sh", "-c", "echo web is here; sleep 1000"]
    stop_signal: SIGKILL
    depends_on: {db: {condition: service_healthy}}
"""


def seen_until(child: subprocess.Popen[bytes], text: str, seen: list[str]) -> None:
    """Read lines into ``seen`` until one has the text."""
    assert child.stdout is not None
    for line in read_lines(child.stdout):
        seen.append(line)
        if text in line:
            return
    raise AssertionError(f"{text!r} did not appear; these did: {seen}")


def test_logs_appear_while_others_are_waited_for(project: MakeProject) -> None:
    app = project(SLOW)
    child = app.start("up")
    seen: list[str] = []
    seen_until(child, "db is here", seen)
    assert seen[0] == "Attaching to db-1, web-1"
    app.sh("db", "touch /ready")
    seen_until(child, "web is here", seen)
    os.kill(child.pid, signal.SIGTERM)  # as Ctrl-C
    out, err = child.communicate(timeout=10)
    assert child.returncode == 130, err
    assert b"db stops" in out


def test_ctrl_c_while_a_dependency_is_waited_for(project: MakeProject) -> None:
    app = project(SLOW)
    child = app.start("up")
    seen_until(child, "db is here", [])
    os.kill(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=10)
    assert child.returncode == 130, err
    assert b"db stops" in out
    assert app.names() == []
    assert {row["Service"]: row["State"] for row in app.rows()} == {"db": "exited", "web": "created"}


def test_a_dependency_that_fails_leaves_the_others_running(project: MakeProject) -> None:
    app = project("""
services:
  db:
    image: IMAGE
    command: ["sh", "-c", "echo db gives up; sleep 0.5; exit 3"]
  other:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
  web:
    image: IMAGE
    command: ["sleep", "1000"]
    depends_on: {db: {condition: service_completed_successfully}, other: {condition: service_started}}
""")
    result = app.run("up", code=1, timeout=20)
    assert "db-1     | db gives up" in result.stdout
    assert "it exited with code 3" in result.stderr
    assert app.names() == ["other-1"]  # as docker compose does


def test_a_hang_up_leaves_everything_running(project: MakeProject) -> None:
    app = project(TALKERS)
    child = app.start("up")
    seen_until(child, "b is here", [])
    os.kill(child.pid, signal.SIGHUP)
    child.communicate(timeout=10)
    assert app.names() == ["a-1", "b-1"]


def test_a_recreated_container_does_not_end_it(project: MakeProject) -> None:
    app = project(TALKERS)
    app.up()
    app.edit("echo b is here", "echo b is new")
    child = app.start("up", "--abort-on-container-exit")
    seen: list[str] = []
    seen_until(child, "b is new", seen)
    assert not [line for line in seen if "exited with code" in line]
    app.run("restart", "-t", "0", "a", timeout=20)  # from another terminal: this one ends a
    out, err = child.communicate(timeout=20)
    assert b"a-1 exited with code" in out, (out, err)
    assert app.names() == []


def test_replicas_and_restarts_from_elsewhere_join_the_logs(project: MakeProject) -> None:
    app = project("""
services:
  a:
    image: IMAGE
    command: ["sh", "-c", "trap 'exit 0' TERM; echo here; while :; do sleep 0.05; done"]
""")
    child = app.start("up")
    seen: list[str] = []
    seen_until(child, "a-1  | here", seen)
    app.run("restart")  # all there is: it must not be taken for the end
    seen_until(child, "a-1  | here", seen)
    app.run("up", "-d", "--scale", "a=2")
    seen_until(child, "a-2  | here", seen)
    assert child.poll() is None
    os.kill(child.pid, signal.SIGINT)
    child.communicate(timeout=10)
    assert child.returncode == 130


def test_a_job_that_succeeds_does_not_abort_what_waits_for_it(project: MakeProject) -> None:
    app = project("""
services:
  migrate:
    image: IMAGE
    command: ["sh", "-c", "echo migrated"]
  tests:
    image: IMAGE
    command: ["sh", "-c", "echo tested; exit 5"]
    depends_on: {migrate: {condition: service_completed_successfully}}
  db:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
""")
    result = app.run("up", "--exit-code-from", "tests", code=5, timeout=20)
    assert "tests-1    | tested" in result.stdout
    assert "Aborting on container exit..." in result.stderr
    assert app.names() == []
    app.run("up", "--abort-on-container-exit", code=5, timeout=20)


def test_the_menu_detaches(project: MakeProject, terminal: type[Terminal]) -> None:
    app = project(TALKERS)
    shown = terminal(app, "up")
    shown.expect("Detach")
    shown.write("d")
    assert shown.wait() == 0
    assert app.names() == ["a-1", "b-1"]


@covers("up --menu", "COMPOSE_MENU")
@pytest.mark.parametrize(("words", "environ"), [(["--menu=false"], {}), ([], {"COMPOSE_MENU": "false"})])
def test_no_menu_when_it_is_not_wanted(
    project: MakeProject, terminal: type[Terminal], words: list[str], environ: dict[str, str]
) -> None:
    app = project(TALKERS)
    shown = terminal(app, "up", *words, env=environ)
    shown.expect("b is here")
    shown.expect("2 started")
    shown.write("d")
    assert shown.process.poll() is None
    shown.write("\x03")
    assert shown.wait() == 130
    assert "Detach" not in shown.seen
    assert "a stops" in shown.seen


def test_detach_keys_leave_a_run_running(project: MakeProject, terminal: type[Terminal]) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["true"]\n')
    shell = terminal(app, "run", "--rm", "a", "sh", "-c", "echo ready; exec sleep 1.5")
    shell.expect("ready")
    shell.write("\x10\x11")
    assert shell.wait() == 0
    assert [row["State"] for row in app.rows()] == ["running"]
    eventually(lambda: app.rows() == [])  # --rm holds


def test_pipes_go_through_a_run(project: MakeProject) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["true"]\n')
    text = "".join(f"line {number}\n" for number in range(20000))
    assert app.run("run", "--rm", "-T", "a", "cat", stdin=text).stdout == text
    assert app.rows() == []


def test_a_third_interrupt_gives_up_on_a_deaf_run(project: MakeProject) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["true"]\n')
    deaf = "trap '' INT TERM; echo ready; while :; do sleep 0.05; done"
    child = app.start("run", "--rm", "-T", "a", "sh", "-c", deaf)
    seen_until(child, "ready", [])
    for _press in range(3):
        assert child.poll() is None
        os.kill(child.pid, signal.SIGINT)
        time.sleep(0.1)
    child.communicate(timeout=10)
    assert child.returncode == 130
    eventually(lambda: app.rows() == [])
