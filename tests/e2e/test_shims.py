"""``kill -9`` of what is ours: the application does not notice, and all is back."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.cgroups.hierarchy import hierarchies
from runtime.linux.process import knows_exit_of_others
from tests.e2e.conftest import MakeProject
from tests.support import world
from tests.support.cli import PATIENCE, Machine, Project, Terminal, eventually, kill

pytestmark = pytest.mark.root


def kill_shim(app: Project, service: str) -> int:
    """SIGKILL to the service's shim; its pid."""
    pid = int(app.state(service)["shim_pid"])
    kill(pid)
    return pid


def back(app: Project, service: str, old: int) -> int:
    """The new shim's pid, once it is there by itself."""

    def check() -> int:
        state = app.state(service)
        pid = int(state["shim_pid"])
        return pid if pid not in (0, old) and os.path.exists(f"/proc/{pid}") else 0

    return int(eventually(check, 5, "a new shim"))


def test_a_killed_shim_is_back_and_the_application_did_not_notice(project: MakeProject) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["sleep", "1000"]\n    stop_signal: SIGKILL\n')
    app.up()
    before = app.state("a")
    for _ in range(3):
        back(app, "a", kill_shim(app, "a"))
        after = app.state("a")
        assert (after["pid"], after["start_time"], after["status"]) == (before["pid"], before["start_time"], "running")
    assert app.sh("a", "echo still here") == "still here"
    assert app.steps() == []


def test_with_a_terminal(project: MakeProject, terminal: type[Terminal]) -> None:
    app = project("""
services:
  a:
    image: IMAGE
    command: ["sh", "-c", "trap 'echo hung up' HUP; while :; do read line && echo got $$line || sleep 0.1; done"]
    tty: true
    stdin_open: true
    stop_signal: SIGKILL
""")
    app.up()
    before = app.state("a")["pid"]
    back(app, "a", kill_shim(app, "a"))
    assert app.state("a")["pid"] == before
    shell = terminal(app, "attach", "a")
    time.sleep(0.2 * PATIENCE)  # what is typed before it has the terminal is lost
    shell.write("words\n")
    shell.expect("got words")
    shell.close()
    eventually(lambda: any("got words" in line for line in app.logs("a")), 3)
    assert not any("hung up" in line for line in app.logs("a"))


def test_no_line_is_lost_or_doubled(project: MakeProject) -> None:
    """An application that writes 1 MiB/s of numbered lines, while its shim is killed four times."""
    script = (
        "i=0; while [ $$i -lt 60000 ]; do "
        "n=$$((i+600)); while [ $$i -lt $$n ]; do echo $$i-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; i=$$((i+1)); done; "
        "usleep 20000; done; exec sleep 1000"
    )
    app = project(
        f'services:\n  a:\n    image: IMAGE\n    command: ["sh", "-c", "{script}"]\n    stop_signal: SIGKILL\n'
    )
    app.up()
    for _ in range(4):
        time.sleep(0.3)
        back(app, "a", kill_shim(app, "a"))
    eventually(lambda: any(line.startswith("59999-") for line in app.logs("a", "-n", "1")), 30, "the last line")
    numbers = [int(line.partition("-")[0]) for line in app.logs("a")]
    assert numbers == list(range(60000))


def test_an_exit_while_the_shim_is_dead_is_known(project: MakeProject) -> None:
    app = project("""
services:
  a:
    image: IMAGE
    command: ["sh", "-c", "while [ ! -e /tmp/go ]; do usleep 1000; done; exit 3"]
""")
    app.up()
    pid, shim = app.state("a")["pid"], app.state("a")["shim_pid"]
    helper = [pid for pid, name in world.processes_of(app.machine.run).items() if "help" in name]
    for one in helper:
        os.kill(one, 19)  # nobody can start the shim again before the application has ended
    try:
        kill(shim)
        with open(f"/proc/{pid}/root/tmp/go", "w"):
            pass
        eventually(lambda: not world.is_running(pid), 5, "the application ends")
    finally:
        for one in helper:
            os.kill(one, 18)
    row = eventually(lambda: (row := app.row("a"))["State"] == "exited" and row, 5, "known to have ended")
    assert row["ExitCode"] == (3 if knows_exit_of_others() else 255)  # Linux before 6.15 tells nobody but the parent


def test_restart_always_goes_on_restarting(project: MakeProject) -> None:
    app = project("""
services:
  a:
    image: IMAGE
    command: ["sleep", "1000"]
    restart: always
    stop_signal: SIGKILL
""")
    app.up()
    first = app.state("a")["pid"]
    back(app, "a", kill_shim(app, "a"))
    kill(first)
    second = eventually(
        lambda: (state := app.state("a"))["status"] == "running" and state["pid"] != first and state["pid"], 5
    )
    kill_shim(app, "a")
    kill(second)
    third = eventually(
        lambda: (state := app.state("a"))["status"] == "running" and state["pid"] not in (first, second), 5
    )
    assert third
    app.run("stop", "-t", "0")
    assert app.names() == []


def test_a_killed_helper_is_back_and_names_answer(project: MakeProject) -> None:
    app = project("""
services:
  a: &sleep
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
  b: *sleep
""")
    app.up()
    helpers = [pid for pid, name in world.processes_of(app.machine.run).items() if "help" in name]
    assert helpers
    for pid in helpers:
        kill(pid)
    assert "1 packets received" in app.sh("a", "ping -c 1 -W 3 b")


def test_all_of_ours_killed_then_up_adopts(other_machine: Machine, project: MakeProject) -> None:
    app = project(
        """
services:
  a:
    image: IMAGE
    command: ["sh", "-c", "i=0; while :; do echo $$i; i=$$((i+1)); usleep 20000; done"]
    stop_signal: SIGKILL
  b:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    healthcheck: {test: ["CMD", "true"], interval: 100ms}
""",
        on=other_machine,
    )
    app.run("up", "--wait")
    before = {service: app.state(service) for service in "ab"}
    assert other_machine.kill_ours()
    assert app.names() == ["a-1", "b-1"]  # what runs is said
    assert {step["verb"] for step in app.steps()} <= {"adopt", "wait"}
    app.up()
    for service in "ab":
        after = app.state(service)
        assert (after["pid"], after["start_time"]) == (before[service]["pid"], before[service]["start_time"])
    assert app.steps() == []
    assert "1 packets received" in app.sh("a", "ping -c 1 -W 3 b")
    count = len(app.logs("a"))
    eventually(lambda: len(app.logs("a")) > count, 5, "the log goes on")
    numbers = [int(line) for line in app.logs("a")]
    assert numbers == sorted(set(numbers))


def test_all_of_ours_killed_then_down(other_machine: Machine, project: MakeProject) -> None:
    app = project(
        'services:\n  a:\n    image: IMAGE\n    command: ["sleep", "1000"]\n    stop_signal: SIGKILL\n',
        on=other_machine,
    )
    app.up()
    pid = app.state("a")["pid"]
    other_machine.kill_ours()
    app.down()
    assert not world.is_running(pid)
    assert app.rows() == []


@contextlib.contextmanager
def unit() -> Iterator[Path]:
    """A cgroup as systemd makes one for a service, and ends: with a kill of all that is in it."""
    mount = next((one.mount for one in hierarchies() if one.is_v2), "")
    if not mount:
        pytest.skip("needs cgroup v2, at least beside v1: no such hierarchy is mounted here")
    directory = Path(mount, f"pytest-{os.getpid()}.service")
    directory.mkdir()
    try:
        yield directory
    finally:
        (directory / "cgroup.kill").write_text("1")
        eventually(lambda: "populated 0" in (directory / "cgroup.events").read_text(), 5, "an empty unit")
        directory.rmdir()


def test_containers_outlive_the_unit_that_started_them(project: MakeProject) -> None:
    app = project(
        'services:\n  a:\n    image: IMAGE\n    command: ["sleep", "1000"]\n    restart: always\n    stop_signal: SIGKILL\n'
    )
    with unit() as directory:
        script = f'echo 0 > {directory}/cgroup.procs && "$@"'
        argv = ["sh", "-c", script, "sh", *app.argv("up", "-d")]
        done = subprocess.run(argv, cwd=app.dir, env=app.machine.environ(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        before = app.state("a")
        assert not (directory / "cgroup.procs").read_text()
    kill(int(before["pid"]))
    eventually(lambda: app.state("a")["restart_count"] == 1, 5, "a restart by the shim")
    assert app.state("a")["shim_pid"] == before["shim_pid"]
