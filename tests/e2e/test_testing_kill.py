"""Whatever is killed, whenever: the stack goes. At once when its guard lives, else with the next command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stacks import TWO
from tests.support.cli import Machine, eventually, kill

SCRIPT = """
import os, sys, time
from compose.testing import Stack
from compose.testing import stack as module
when = sys.argv[1]
def tell(word):
    print(word, flush=True)
    time.sleep(float(sys.argv[4]))
stack = Stack(directory=sys.argv[2], project_name=sys.argv[3])
stack._hold()
print([guard.pid for guard in module._guards.values()][0], flush=True)
if when == "start":
    class Slow:
        def emit(self, event):
            if type(event).__name__ == "StepFinished" and event.verb == "create" and event.kind == "container":
                tell("now")
    stack.recorder = Slow()
stack.up()
if when == "middle":
    tell("now")
class Stopping:
    def emit(self, event):
        if type(event).__name__ == "StepFinished" and event.verb == "stop":
            tell("now")
stack.recorder = Stopping()
stack.down()
"""


@pytest.mark.parametrize("when", ["start", "middle", "teardown"])
@pytest.mark.parametrize("who", ["tests", "guard first", "guard, then tests"])
def test_nothing_outlives_the_tests(other_machine: Machine, tmp_path: Path, when: str, who: str) -> None:
    (tmp_path / "compose.yaml").write_text(TWO)
    environ = other_machine.environ()
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, when, str(tmp_path), "killed", "1" if who == "guard first" else "60"],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    guard = int(child.stdout.readline())
    assert child.stdout.readline() == "now\n"
    if who != "tests":
        os.kill(guard, signal.SIGKILL)
    if who == "guard first":
        kill(child.pid, signal.SIGINT)  # its own finalizers have to do it
    else:
        kill(child.pid)
    child.wait()
    if who != "tests":
        swept = other_machine.call("ls")
        assert swept.code == 0, swept
    eventually(lambda: not left(other_machine), 3, "everything gone")


def left(machine: Machine) -> list[str]:
    found = [
        f"{machine.state}/{kind}/{name}"
        for kind in ("containers", "volumes", "leases")
        for name in names(machine, kind)
    ]
    return [*found, *names(machine, "stacks")]


def names(machine: Machine, kind: str) -> list[str]:
    try:
        return os.listdir(f"{machine.state}/{kind}")
    except FileNotFoundError:
        return []


def test_a_stack_that_is_used_is_not_swept(other_machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(TWO)
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "middle", str(tmp_path), "used", "60"],
        env=other_machine.environ(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.readline()
    listed = other_machine.call("ls", "-q")
    assert listed.stdout.split() == ["used"], listed
    kill(child.pid)
    child.wait()
    eventually(lambda: not left(other_machine), 3, "everything gone")
