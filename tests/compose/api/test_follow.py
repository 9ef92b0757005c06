"""Following several containers: lines by time, ends, newcomers; with bundles and states written by hand."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from compose import labels
from compose.api.follow import Ended, Line, ProjectFollower, merged, short_name
from compose.plan.observed import ObservedContainer
from runtime.linux.identity import boot_id, start_time
from runtime.logs import timestamp
from runtime.paths import Bundle, Roots
from runtime.state import State, write_json

BASE = 1_700_000_000_000_000_000


class World:
    """A state and a run directory with containers that only have a log and a state."""

    def __init__(self, path: Path) -> None:
        self.roots = Roots(str(path / "state"), str(path / "run"))
        os.makedirs(f"{self.roots.state}/containers")
        os.makedirs(f"{self.roots.run}/containers")

    def container(self, number: int, service: str = "web", project: str = "p", **state: object) -> ObservedContainer:
        """Appears as the engine makes one: written aside, then renamed."""
        ident = f"{number:064x}"
        name = f"{project}-{service}-{number}"
        bundle = Bundle(self.roots, ident)
        staging = f"{self.roots.state}/containers/.new-{ident}"
        os.makedirs(staging)
        own = {labels.PROJECT: project, labels.SERVICE: service, labels.NUMBER: str(number)}
        write_json(f"{staging}/labels.json", {"name": name, "created_at": "", "labels": own})
        os.rename(staging, bundle.dir)
        os.makedirs(bundle.run)
        self.state(ident, **state)
        return ObservedContainer(ident, name, service, number, "running")

    def state(self, ident: str, status: str = "running", **values: object) -> None:
        me = os.getpid()
        plain = State(
            status=status, pid=me, start_time=start_time(me), shim_pid=me, shim_start_time=start_time(me),
            boot_id=boot_id(), **{"started_at": timestamp(BASE), **values},
        )  # fmt: skip
        write_json(Bundle(self.roots, ident).state, dict(plain.__dict__))

    def write(self, one: ObservedContainer, text: str, at: int) -> None:
        with open(Bundle(self.roots, one.id).log, "a") as file:
            file.write(json.dumps({"log": text, "stream": "stdout", "time": timestamp(BASE + at)}) + "\n")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def shown(events: list[Line | Ended]) -> list[str]:
    return [
        f"{event.name}: {event.text.decode()}" if isinstance(event, Line) else f"{event.name} ended {event.exit_code}"
        for event in events
    ]


def test_what_is_there_is_merged_by_time(world: World) -> None:
    one, two = world.container(1), world.container(2)
    for at, container in enumerate((one, two, two, one)):
        world.write(container, f"{at}\n", at)
    lines = list(merged(world.roots, "p", [one, two]))
    assert shown(list(lines)) == ["web-1: 0\n", "web-2: 1\n", "web-2: 2\n", "web-1: 3\n"]
    assert shown(list(merged(world.roots, "p", [one, two], tail=1))) == ["web-2: 2\n", "web-1: 3\n"]
    assert shown(list(merged(world.roots, "p", [one], since_ns=BASE + 1, until_ns=BASE + 2))) == []


def test_following_gives_the_past_then_what_comes(world: World) -> None:
    one, two = world.container(1), world.container(2)
    world.write(two, "b\n", 2)
    world.write(one, "a\n", 1)
    with ProjectFollower(world.roots, "p", (), [one, two]) as follower:
        assert shown(follower.wait()) == ["web-1: a\n", "web-2: b\n"]
        assert follower.wait(0) == []
        world.write(one, "d\n", 4)
        world.write(two, "c\n", 3)
        assert shown(follower.wait(5)) == ["web-2: c\n", "web-1: d\n"]
        assert follower.active == ["web-1", "web-2"]


def test_an_end_comes_after_the_last_line(world: World) -> None:
    one = world.container(1)
    with ProjectFollower(world.roots, "p", (), [one]) as follower:
        world.write(one, "last", 1)
        world.state(one.id, "stopped", exit_code=3, finished_at=timestamp(BASE + 9))
        assert shown(follower.wait(5)) == ["web-1: last", "web-1 ended 3"]
        assert follower.active == []


def test_a_restart_is_an_end_and_more(world: World) -> None:
    one = world.container(1)
    with ProjectFollower(world.roots, "p", (), [one]) as follower:
        world.state(one.id, "restarting", exit_code=1, finished_at=timestamp(BASE + 5))
        (event,) = follower.wait(5)
        assert isinstance(event, Ended)
        assert (event.exit_code, event.again) == (1, True)
        world.state(one.id, started_at=timestamp(BASE + 6), restart_count=1)
        assert follower.wait(5) == []
        # the next end and start happen between two looks
        world.state(one.id, started_at=timestamp(BASE + 7), restart_count=2, exit_code=4)
        (event,) = follower.wait(5)
        assert isinstance(event, Ended)
        assert event.again


def test_ends_before_we_looked_are_told_when_asked(world: World) -> None:
    late = world.container(1, status="stopped", exit_code=3, finished_at=timestamp(BASE + 9))
    early = world.container(2, status="stopped", exit_code=4, finished_at=timestamp(BASE - 9))
    with ProjectFollower(world.roots, "p", (), [late, early], since_ns=BASE, announce=True) as follower:
        assert shown(follower.wait(0)) == ["web-1 ended 3"]
    with ProjectFollower(world.roots, "p", (), [late, early]) as follower:
        assert follower.wait(0) == []


def test_newcomers_are_followed_if_they_belong(world: World) -> None:
    one = world.container(1)
    with ProjectFollower(world.roots, "p", ("web",), [one]) as follower:
        two = world.container(2)
        other = world.container(3, service="db")
        foreign = world.container(4, project="q")
        events = follower.wait(5)
        for container in (two, other, foreign):
            world.write(container, "x\n", 1)
        while not events:
            events = follower.wait(5)
        assert shown(events) == ["web-2: x\n"]
        assert follower.names == ["web-1", "web-2"]


def test_a_container_started_for_the_first_time_since_the_machine(world: World) -> None:
    one = world.container(1, status="stopped")
    bundle = Bundle(world.roots, one.id)
    os.unlink(bundle.state)
    os.rmdir(bundle.run)
    with ProjectFollower(world.roots, "p", (), [one]) as follower:
        assert follower.active == []
        os.makedirs(bundle.run)
        follower.wait(5)
        world.state(one.id)
        follower.wait(5)
        assert follower.active == ["web-1"]


def test_a_removed_container_is_let_go(world: World) -> None:
    one, two = world.container(1), world.container(2)
    descriptors = len(os.listdir("/proc/self/fd"))
    with ProjectFollower(world.roots, "p", (), [one, two]) as follower:
        world.write(one, "last\n", 1)
        os.makedirs(f"{world.roots.state}/trash")
        os.rename(Bundle(world.roots, one.id).dir, f"{world.roots.state}/trash/{one.id}")
        assert shown(follower.wait(5)) == ["web-1: last\n"]
        assert follower.names == ["web-2"]
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_another_descriptor_wakes_it(world: World) -> None:
    one = world.container(1)
    wake = os.eventfd(0)
    with ProjectFollower(world.roots, "p", (), [one]) as follower:
        timer = threading.Timer(0.05, os.eventfd_write, (wake, 1))
        timer.start()
        assert follower.wait(also=wake) == []
        timer.join()
    os.close(wake)


def test_names_without_the_project() -> None:
    assert short_name("shop", "shop-web-1") == "web-1"
    assert short_name("shop", "0123456789ab_shop-web-1") == "web-1"
    assert short_name("shop", "my_database") == "my_database"
