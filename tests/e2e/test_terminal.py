"""What a person sees, in a real terminal: the live tree, resizing, the menu, suspending."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Project, eventually
from tests.support.tmux import Tmux

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("tmux"), reason="needs tmux: apt-get install tmux"),
]
Open = Callable[[Project, int, int], Tmux]


@pytest.fixture
def tmux() -> Iterator[Open]:
    """``tmux(project, columns, rows)``: a shell in the project's directory."""
    made: list[Tmux] = []

    def make(project: Project, columns: int, rows: int) -> Tmux:
        made.append(Tmux.of(project, columns, rows))
        return made[-1]

    yield make
    for one in made:
        one.close()


WAITING = """
services:
  db:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    healthcheck: {test: ["CMD", "test", "-e", "/ready"], interval: 100ms, retries: 1000}
  web:
    image: IMAGE
    command: ["sh", "-c", "echo web is here; exec sleep 1000"]
    stop_signal: SIGKILL
    scale: REPLICAS
    depends_on: {db: {condition: service_healthy}}
"""


def waiting(project: MakeProject, replicas: int) -> Project:
    return project(WAITING.replace("REPLICAS", str(replicas)))


def heads(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("[+]")]


def test_the_tree_at_80x24(project: MakeProject, tmux: Open) -> None:
    app = waiting(project, 3)
    window = tmux(app, 80, 24)
    window.type("pycompose up -d; echo code=$?")
    window.expect("Waiting  healthy, required by web")
    window.expect("[+] up 4/5")
    app.sh("db", "touch /ready")
    window.expect("code=0")
    lines = window.history[1:]
    assert re.fullmatch(r"\[\+\] up 5/5  [\d.]+s", lines[0])
    states = [re.fullmatch(r" ✔ (\w+ [\w-]+) +(\w+) +[\d.]+( m)?s", line) for line in lines[1:6]]
    assert [match and match[1] + " " + match[2] for match in states] == [
        "Network default Created", "Container db-1 Healthy", "Container web-1 Started", "Container web-2 Started",
        "Container web-3 Started",
    ]  # fmt: skip
    assert lines[6].startswith("4 started in ")
    assert lines[7:] == ["code=0", "ready>"]


def test_a_small_window_that_is_resized_in_the_middle(project: MakeProject, tmux: Open) -> None:
    app = waiting(project, 12)
    window = tmux(app, 40, 10)
    window.type("pycompose up -d; echo code=$?")
    window.expect("Waiting")
    eventually(lambda: any(re.match(r"   … \d+ more: \d+ Created", line) for line in window.screen), 5, "a fold")
    assert all(len(line) <= 40 for line in window.screen)
    window.resize(80, 24)
    eventually(lambda: not any(" more: " in line for line in window.screen), 5, "all rows")
    eventually(lambda: any("web-12" in line for line in window.screen), 5, "the last row")
    assert len(heads(window.screen)) == 1
    window.resize(40, 10)
    eventually(lambda: any(" more: " in line for line in window.screen), 5, "the fold again")
    app.sh("db", "touch /ready")
    window.expect("code=0")
    lines = window.history
    end = len(lines) - 1 - lines[::-1].index(heads(lines)[-1])
    assert len(lines[end:]) == 1 + 14 + 3  # head, network, 13 containers less the fold; summary, code, prompt
    assert sum("Started" in line for line in lines[end:]) == 12


def test_an_attached_up_in_a_window(project: MakeProject, tmux: Open) -> None:
    app = waiting(project, 1)
    window = tmux(app, 80, 24)
    window.type("pycompose up")
    window.expect("Waiting  healthy, required by web")
    app.sh("db", "touch /ready")
    window.expect("web-1  | web is here")
    window.expect("d Detach")
    assert not heads(window.screen)  # the tree folds into its summary
    window.resize(40, 10)
    window.expect("d Detach")
    window.key("C-z")
    window.expect("Stopped")
    window.type("stty -a | grep -cw icanon; fg")  # the shell has its terminal back
    window.expect("1")
    window.expect("d Detach")
    window.key("C-c")
    eventually(lambda: window.history[-1] == "ready>" and "2 stopped" in window.history[-2], 10, "the prompt")
    window.type("echo code=$?")
    window.expect("code=130")
    lines = window.history
    assert "Gracefully Stopping... press Ctrl+C again to force" in "".join(lines)
    assert any(line.startswith("web-1 exited with code 137") for line in lines)
    assert lines[-4].startswith("2 stopped in ")
    assert lines[-3:] == ["ready> echo code=$?", "code=130", "ready>"]


def test_no_colours_and_no_motion_when_they_are_not_wanted(project: MakeProject, tmux: Open) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["sleep", "1000"]\n    stop_signal: SIGKILL\n')
    window = tmux(app, 80, 24)
    for settings, words in (
        ("TERM=dumb", ""),
        ("", "--ansi never"),
        ("", "--progress plain"),
        ("", "--progress quiet"),
    ):
        window.type(f"{settings} pycompose {words} up -d --force-recreate; echo {words} gives $?")
        eventually(lambda words=words: f"{words} gives 0".strip() in window.history, 10, f"the end with {words}")
        assert not heads(window.history)
    assert sum(" Container a-1  Started" in line for line in window.history) == 3  # not with quiet


def test_programs_inside_learn_of_a_new_size(project: MakeProject, tmux: Open) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["sleep", "1000"]\n    stop_signal: SIGKILL\n')
    app.up()
    for words in ("exec a sh", "run --rm a sh"):
        window = tmux(app, 80, 24)
        window.type(f"pycompose {words}")
        window.expect("#")
        window.type("stty size")
        window.expect("24 80")
        window.resize(60, 12)
        eventually(lambda window=window: window.type("stty size") or "12 60" in window.history, 5, "the new size")
        window.type("exit 7")
        window.expect("ready>")
        window.type("echo code=$?")
        window.expect("code=7")
