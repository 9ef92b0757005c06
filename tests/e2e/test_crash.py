"""``kill -9`` of a command before and after every engine call, and at random moments: the next command converges."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from compose.plan.actions import ACTIONS
from tests.e2e import test_hooks, test_providers
from tests.e2e.conftest import MakeProject
from tests.support.cli import Machine, Project, eventually, execute

pytestmark = pytest.mark.root

RANDOM_KILLS = int(os.environ.get("PYCOMPOSE_RANDOM_KILLS", "8"))  # of each scenario; the full count is 200

FILE = """
services:
  web:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    environment: {VERSION: "${VERSION:-1}"}
    mem_limit: ${MEMORY:-64m}
    ports: ["127.0.0.1::80"]
    deploy: {replicas: 2}
    depends_on: {job: {condition: service_completed_successfully}}
    volumes: ["data:/data"]
  job:
    image: IMAGE
    command: ["true"]
volumes:
  data:
"""
UP, DOWN = ("up", "-d"), ("down", "-v", "-t", "0")


def scenario_first(app: Project) -> tuple[str, ...]:
    """A first up."""
    return UP


def scenario_recreate(app: Project) -> tuple[str, ...]:
    """An up that replaces both containers of web."""
    app.up()
    app.env["VERSION"] = str(int(app.env.get("VERSION", "1")) + 1)
    return UP


def scenario_update(app: Project) -> tuple[str, ...]:
    """An up that changes a limit in place."""
    app.up()
    app.env["MEMORY"] = "70m" if app.env.get("MEMORY") != "70m" else "80m"
    return UP


def scenario_restart(app: Project) -> tuple[str, ...]:
    """An up that finds stopped containers."""
    app.up()
    app.run("stop", "-t", "0")
    return UP


def scenario_adopt(app: Project) -> tuple[str, ...]:
    """An up that finds running containers without their shims."""
    app.up()
    projects = f"{app.machine.run}/projects"  # helpers of earlier projects are still taking their directories away
    eventually(lambda: os.listdir(projects) == [app.name], 5, "no other project")
    app.machine.kill_ours()
    return UP


def scenario_pause(app: Project) -> tuple[str, ...]:
    app.up()
    return ("pause",)


def scenario_unpause(app: Project) -> tuple[str, ...]:
    app.up()
    app.run("pause", "web")
    return ("unpause", "web")


def scenario_kill(app: Project) -> tuple[str, ...]:
    app.up()
    return ("kill",)


def scenario_down(app: Project) -> tuple[str, ...]:
    """A down with volumes."""
    app.up()
    return DOWN


Scenario = Callable[[Project], tuple[str, ...]]
SCENARIOS: dict[str, tuple[Scenario, tuple[str, ...]]] = {
    "first": (
        scenario_first,
        ("CreateNetwork", "CreateVolume", "CreateContainer", "Connect", "StartContainer", "WaitFor"),
    ),
    "recreate": (
        scenario_recreate,
        ("CreateContainer", "StopContainer", "Disconnect", "Connect", "StartContainer", "RemoveContainer", "RenameContainer"),
    ),
    "update": (scenario_update, ("UpdateContainer",)),
    "restart": (scenario_restart, ("PrepareContainer",)),
    "adopt": (scenario_adopt, ("AdoptContainer",)),
    "pause": (scenario_pause, ("PauseContainer",)),
    "unpause": (scenario_unpause, ("UnpauseContainer",)),
    "kill": (scenario_kill, ("KillContainer",)),
    "down": (scenario_down, ("StopContainer", "RemoveContainer", "RemoveNetwork", "RemoveVolume")),
}  # fmt: skip
CASES = [(name, action) for name, (_scenario, actions) in SCENARIOS.items() for action in actions]


def test_every_action_has_a_case() -> None:
    images = {"BuildImage", "PullImage", "PushImage", "RemoveImage"}  # test_crash_images.py, and below
    elsewhere = {*test_hooks.KILLED, *test_providers.KILLED, *images}
    assert {action for _name, action in CASES} | elsewhere == {action.__name__ for action in ACTIONS}


@pytest.mark.parametrize("when", ["before", "after"])
def test_kill_at_the_removal_of_an_image(other_machine: Machine, project: MakeProject, when: str) -> None:
    app = project("services: {a: {image: IMAGE, command: 'true'}}", on=other_machine)
    app.up()
    assert killed(app, ("down", "--rmi", "all"), f"{when}:RemoveImage")
    app.run("down", "--rmi", "all")
    assert app.run("image", "ls", "-q").lines == []


def killed(app: Project, words: tuple[str, ...], where: str) -> bool:
    """Run a command that kills itself there; whether it did."""
    result = app.run(*words, code=None, env={"PYCOMPOSE_CRASH_AT": where})
    assert result.code in (0, -signal.SIGKILL), result
    return result.code == -signal.SIGKILL


def check_converges(app: Project) -> None:
    """Up, and all is as the file says; up again would do nothing but run the job again."""
    app.up()
    assert app.names() == ["web-1", "web-2"], app.rows()
    assert sorted(row["Name"] for row in app.rows()) == [f"{app.name}-{name}" for name in ("job-1", "web-1", "web-2")]
    assert app.row("job")["ExitCode"] == 0
    version = app.env.get("VERSION", "1")
    for number in (1, 2):
        assert app.exec("web", "sh", "-c", "echo $VERSION", flags=["--index", str(number)]).strip() == version
        assert app.row("web", number)["Publishers"]
    assert "1 packets received" in app.sh("web", f"ping -c 1 -W 2 {app.name}-web-2")
    assert not [step for step in app.steps() if step["name"].startswith("web")]


def check_down(app: Project) -> None:
    app.down("-v")
    assert app.rows() == []


@pytest.mark.parametrize(("name", "action"), CASES, ids=[f"{name}-{action}" for name, action in CASES])
def test_killed_at_an_engine_call(project: MakeProject, name: str, action: str) -> None:
    app = project(FILE)
    scenario, _actions = SCENARIOS[name]
    reached = 0
    for where in (f"before:{action}:1", f"after:{action}:1", f"before:{action}:2"):
        words = scenario(app)
        hit = killed(app, words, where)
        reached += hit
        if not hit:
            continue
        if words == DOWN and where.startswith("after"):
            check_down(app)  # a second down finishes the first
        check_converges(app)
        if name == "first":
            check_down(app)
    assert reached >= 2, f"{action} did not happen in {name}"


def kill_at_random(app: Project, words: tuple[str, ...], longest: float, chance: random.Random) -> None:
    """SIGKILL to the command alone, some time before it would have ended."""
    delay = chance.uniform(0, longest)
    child = subprocess.Popen(
        app.argv(*words),
        cwd=app.dir,
        env=app.machine.environ(app.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(delay)
    child.kill()
    child.wait()


@pytest.mark.parametrize("name", ["first", "recreate", "down"])
def test_killed_at_random_moments(project: MakeProject, name: str) -> None:
    app = project(FILE)
    seed = int(os.environ.get("PYCOMPOSE_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
    print(f"PYCOMPOSE_SEED={seed}")
    chance = random.Random(seed)
    scenario, _actions = SCENARIOS[name]
    longest = 0.25
    for _ in range(RANDOM_KILLS):
        words = scenario(app)
        kill_at_random(app, words, longest, chance)
        check_converges(app)
        if name == "first":
            began = time.monotonic()
            check_down(app)
            assert time.monotonic() - began < 10


def test_two_ups_at_once(project: MakeProject) -> None:
    app = project(FILE)
    children = [app.start("up", "-d") for _ in range(3)]
    for child in children:
        _out, err = child.communicate(timeout=30)
        assert child.returncode == 0, err
    check_converges(app)
    for child in [app.start(*DOWN), app.start(*UP), app.start(*DOWN), app.start(*UP)]:
        _out, err = child.communicate(timeout=30)
        assert child.returncode == 0, err
    check_converges(app)


def test_a_killed_import_leaves_nothing(project: MakeProject, archive: str) -> None:
    app = project(FILE)
    for delay in (0.02, 0.04, 0.06, 0.08):
        child = app.start("import", archive, "cut:1")
        time.sleep(delay)
        child.kill()
        child.wait()
    result = execute(app.argv("import", archive, "cut:1"), cwd="/", env=app.machine.environ())
    assert result.code == 0, result
    app.run("rmi", "cut:1")
