"""Commands that stay: ``up`` in front, Ctrl-C, terminals."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Terminal, eventually, read_lines

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
