"""The verbs from end to end over a fake engine: what they leave, return, tell and raise."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from compose.api.common import Member
from compose.api.down import DownOptions, down
from compose.api.lifecycle import (
    LifeOptions,
    kill,
    pause,
    plan_for,
    removable,
    remove_containers,
    restart,
    rm,
    stop,
    unpause,
    wait,
)
from compose.api.lock import ProjectLock
from compose.api.run import RunOptions, run_oneoff
from compose.api.up import UpOptions, create, scale, start, up
from compose.errors import DependencyFailed, EngineError, UsageError
from compose.plan.checks import PlanError
from compose.plan.desired import Desired
from compose.record import replace
from tests.support.fake_engine import FakeEngine, Recorder
from tests.support.projects import project, service

SHOP = project(
    service("db", healthcheck={"test": ["CMD", "true"]}),
    service("web", "db:healthy", replicas=2, ports=[]),
)


def converged(desired: Desired = SHOP, **options: Any) -> FakeEngine:
    world = FakeEngine("host")
    up(world, desired, UpOptions(**options), Recorder())
    return world


def test_up_returns_the_containers_in_file_order() -> None:
    world = FakeEngine("host")
    outcome = up(world, SHOP, UpOptions(), Recorder())
    assert [(one.service, one.number, one.name) for one in outcome.containers] == [
        ("db", 1, "shop-db-1"),
        ("web", 1, "shop-web-1"),
        ("web", 2, "shop-web-2"),
    ]
    assert {one.ident for one in outcome.containers} == set(world.containers)


def test_up_again_does_nothing_and_returns_the_same() -> None:
    world = converged()
    calls = len(world.calls)
    outcome = up(world, SHOP, UpOptions(), Recorder())
    assert (len(world.calls), outcome.plan.steps, len(outcome.containers)) == (calls, (), 3)


def test_a_recreated_container_is_returned_under_its_final_name() -> None:
    world = converged()
    changed = project(SHOP.services[0], service("web", "db:healthy", replicas=1, command=["x"]))
    outcome = up(world, changed, UpOptions(), Recorder())
    web = world.by_name("shop-web-1")
    assert outcome.containers[-1] == Member("web", 1, web.id, "shop-web-1")


def test_up_raises_the_engines_error_and_leaves_what_runs() -> None:
    world = FakeEngine("host")
    world.unhealthy.add("db")
    with pytest.raises(DependencyFailed, match="healthy for shop-db-1"):
        up(world, SHOP, UpOptions(), Recorder())
    assert world.by_name("shop-db-1").status == "running"
    assert {one.status for one in world.containers.values() if one.service == "web"} <= {"created"}


def test_up_touches_nothing_when_an_image_is_missing() -> None:
    world = FakeEngine()
    with pytest.raises(PlanError, match="cannot find image 'host', wanted by db, web"):
        up(world, SHOP, UpOptions(pull="never"), Recorder())
    assert world.calls == []


def test_up_pulls_what_is_missing_before_anything_else() -> None:
    world = FakeEngine()
    with pytest.raises(EngineError, match="cannot pull host"):
        up(world, SHOP, UpOptions(), Recorder())
    assert world.calls == [("pull_image", "host")]
    world.registry["host"] = "sha256:one"
    up(world, SHOP, UpOptions(), Recorder())
    assert {one.status for one in world.containers.values()} == {"running"}
    world.calls.clear()
    up(world, SHOP, UpOptions(), Recorder())
    assert world.calls == []


def test_a_newer_image_recreates() -> None:
    world = FakeEngine()
    world.registry["host"] = "sha256:one"
    up(world, SHOP, UpOptions(), Recorder())
    world.registry["host"] = "sha256:two"
    up(world, SHOP, UpOptions(pull="always"), Recorder())
    assert {one.image for one in world.containers.values()} == {"sha256:two"}


def test_up_wait_counts_a_finished_job_as_done() -> None:
    world = FakeEngine("host", one_shots=("job",))
    outcome = up(world, project(service("job"), service("web")), UpOptions(wait=True), Recorder())
    assert [step.action.verb for step in outcome.plan.steps].count("wait") == 2


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"force_recreate": True, "no_recreate": True}, "--force-recreate and --no-recreate"),
        ({"no_recreate": True, "renew_anon_volumes": True}, "--no-recreate and --renew-anon-volumes"),
        ({"no_recreate": True, "always_recreate_deps": True}, "--no-recreate and --always-recreate-deps"),
        ({"no_start": True, "wait": True}, "--no-start and --wait"),
    ],
)
def test_options_that_exclude_each_other(options: dict[str, Any], names: str) -> None:
    with pytest.raises(UsageError, match=f"cannot use {names} together"):
        up(FakeEngine("host"), SHOP, UpOptions(**options), Recorder())


def test_force_recreate_of_a_name_leaves_its_dependencies_alone() -> None:
    world = converged()
    db = world.by_name("shop-db-1").id
    up(world, SHOP, UpOptions(services=("web",), force_recreate=True), Recorder())
    assert world.by_name("shop-db-1").id == db
    up(world, SHOP, UpOptions(force_recreate=True), Recorder())
    assert world.by_name("shop-db-1").id != db


def test_no_recreate() -> None:
    world = converged()
    before = set(world.containers)
    changed = project(SHOP.services[0], service("web", "db:healthy", replicas=2, command=["x"]))
    up(world, changed, UpOptions(no_recreate=True), Recorder())
    assert set(world.containers) == before


def test_create_then_start() -> None:
    world = FakeEngine("host")
    create(world, SHOP, UpOptions(), Recorder())
    assert {one.status for one in world.containers.values()} == {"created"}
    start(world, SHOP, UpOptions(services=("web",)), Recorder())
    assert {one.status for one in world.containers.values()} == {"running"}


def test_start_without_containers() -> None:
    with pytest.raises(UsageError, match="cannot start db: it has no container"):
        start(FakeEngine("host"), SHOP, UpOptions(), Recorder())


def test_scale_recreates_nothing() -> None:
    world = converged()
    changed = project(SHOP.services[0], service("web", "db:healthy", command=["x"]))
    scale(world, changed, UpOptions(scale={"web": 3}), Recorder())
    assert world.names() == ["shop-db-1", "shop-web-1", "shop-web-2", "shop-web-3"]
    assert world.by_name("shop-web-1").config_hash != changed.services[1].config_hash
    with pytest.raises(UsageError, match="cannot scale web to -1"):
        scale(world, SHOP, UpOptions(scale={"web": -1}), Recorder())
    with pytest.raises(UsageError, match="cannot find service 'wbe'"):
        scale(world, SHOP, UpOptions(scale={"wbe": 1}), Recorder())


def test_down_with_and_without_a_file() -> None:
    world = converged()
    down(world, SHOP, DownOptions(), Recorder())
    assert (world.containers, world.networks) == ({}, {})
    world = converged()
    down(world, None, DownOptions(project="shop"), Recorder())
    assert (world.containers, world.networks) == ({}, {})
    reporter = Recorder()
    down(world, None, DownOptions(project="shop"), reporter)
    assert reporter.notes() == ["no resource found to remove for project shop"]


def test_lifecycle() -> None:
    world = converged()
    stop(world, None, LifeOptions(project="shop"), Recorder())
    assert {one.status for one in world.containers.values()} == {"stopped"}
    assert removable(world, SHOP, LifeOptions(services=("web",))) == ("shop-web-1", "shop-web-2")
    rm(world, SHOP, LifeOptions(services=("web",)), Recorder())
    restart(world, SHOP, LifeOptions(), Recorder())
    assert world.by_name("shop-db-1").status == "running"
    pause(world, SHOP, LifeOptions(), Recorder())
    with pytest.raises(EngineError, match="paused already"):
        pause(world, SHOP, LifeOptions(), Recorder())
    unpause(world, SHOP, LifeOptions(), Recorder())
    kill(world, SHOP, LifeOptions(signal="SIGTERM"), Recorder())
    assert ("kill_container", "shop-db-1 SIGTERM") in world.calls
    with pytest.raises(UsageError, match="cannot restart without a compose file"):
        restart(world, None, LifeOptions(project="shop"), Recorder())


def test_wait_returns_exit_codes() -> None:
    world = converged()
    web = world.by_name("shop-web-2")
    for ident in list(world.containers):
        world.stop_container(ident)
    world.containers[web.id] = replace(world.containers[web.id], exit_code=3)
    assert [(one.name, one.exit_code) for one in wait(world, SHOP, LifeOptions(services=("web",)))] == [
        ("shop-web-1", 143),
        ("shop-web-2", 3),
    ]
    with pytest.raises(UsageError, match="cannot wait: project shop has no container of db"):
        wait(FakeEngine("host"), SHOP, LifeOptions(services=("db",)))


def test_run_brings_up_dependencies_and_leaves_starting_to_the_caller() -> None:
    world = FakeEngine("host")
    result = run_oneoff(world, SHOP, RunOptions("web", {"command": ["ls"]}), Recorder())
    one = world.containers[result.ident]
    assert (one.name, one.status, one.oneoff) == (f"shop-web-run-{result.ident[:12]}", "created", True)
    assert world.by_name("shop-db-1").health == "healthy"
    assert len(world.containers) == 2
    remove_containers(world, "shop", (result.ident,), Recorder())
    assert world.names() == ["shop-db-1"]


def test_run_publishes_only_what_it_is_told_to() -> None:
    published = [{"target": 80, "published": "8080"}]
    desired = project(service("web", ports=published))
    world = FakeEngine("host")
    plain = run_oneoff(world, desired, RunOptions("web"), Recorder())
    assert world.containers[plain.ident].endpoints[0].ports == ()
    both = RunOptions("web", {"ports": [{"target": 81, "published": "8081"}]}, service_ports=True, name="mine")
    ports = world.containers[run_oneoff(world, desired, both, Recorder()).ident].endpoints[0].ports
    assert [row[1] for row in ports] == [8080, 8081]
    with pytest.raises(PlanError, match="cannot create container 'mine': the name is taken"):
        run_oneoff(world, desired, RunOptions("web", name="mine"), Recorder())
    with pytest.raises(UsageError, match="cannot find service 'no'"):
        run_oneoff(world, desired, RunOptions("no"), Recorder())


def test_run_without_dependencies() -> None:
    world = FakeEngine("host")
    run_oneoff(world, SHOP, RunOptions("web", no_deps=True), Recorder())
    assert [one.service for one in world.containers.values()] == ["web"]


def test_plan_for_every_verb_changes_nothing() -> None:
    world = converged()
    before = len(world.calls)
    for command in ("up", "create", "scale", "start"):
        plan_for(command, world, SHOP, UpOptions())
    assert plan_for("down", world, None, DownOptions(project="shop")).steps
    for command in ("stop", "restart", "kill", "pause", "unpause", "rm"):
        plan_for(command, world, SHOP, LifeOptions())
    assert len(world.calls) == before
    assert (
        plan_for("stop", world, SHOP, LifeOptions(services=("db",))).text().startswith("1       container  db-1  stop")
    )


# the lock


def test_two_commands_take_turns(tmp_path: Path) -> None:
    path = str(tmp_path / "projects" / "shop" / "lock")
    reporter, entered, leave = Recorder(), threading.Event(), threading.Event()
    inside: list[str] = []

    def first() -> None:
        with ProjectLock(path, "shop", Recorder()):
            inside.append("first")
            entered.set()
            leave.wait(5)
            inside.append("first left")

    def second() -> None:
        entered.wait(5)
        with ProjectLock(path, "shop", reporter):
            inside.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    while not reporter.notes():
        pass
    leave.set()
    for thread in threads:
        thread.join(5)
    assert inside == ["first", "first left", "second"]
    assert reporter.notes() == ["waiting for another command on project shop"]


def test_a_free_lock_says_nothing_and_is_removed_on_request(tmp_path: Path) -> None:
    path, reporter = tmp_path / "shop" / "lock", Recorder()
    with ProjectLock(str(path), "shop", reporter):
        assert os.stat(path).st_mode & 0o777 == 0o600
    assert path.exists()
    with ProjectLock(str(path), "shop", reporter) as lock:
        lock.remove_at_end()
    assert (reporter.notes(), path.parent.exists()) == ([], False)


def test_whoever_waited_for_a_lock_that_was_removed_takes_the_new_one(tmp_path: Path) -> None:
    path, reporter = tmp_path / "shop" / "lock", Recorder()
    done = threading.Event()

    def second() -> None:
        with ProjectLock(str(path), "shop", reporter):
            fd = os.open(path, os.O_RDWR)
            with pytest.raises(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(fd)
            done.set()

    with ProjectLock(str(path), "shop", Recorder()) as lock:
        lock.remove_at_end()
        thread = threading.Thread(target=second)
        thread.start()
        while not reporter.notes():
            pass
    thread.join(5)
    assert done.is_set()


def test_down_removes_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "shop" / "lock"
    world = converged(lock=str(path))
    assert path.exists()
    down(world, SHOP, DownOptions(lock=str(path)), Recorder())
    assert not path.parent.exists()


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EngineError, match=r"cannot lock project shop: .*: Not a directory"),
        ProjectLock(str(tmp_path / "file" / "x" / "lock"), "shop", Recorder()),
    ):
        pass
