"""Whatever the world looks like and wherever a command is cut: planning and doing again ends at what the file says."""

from __future__ import annotations

import itertools
import random
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from compose.execute.handlers import Context, perform
from compose.plan.actions import Created
from compose.plan.desired import Desired, DesiredService
from compose.plan.down import plan_down
from compose.plan.intent import DownIntent, Intent
from compose.plan.plan import Plan
from compose.plan.reconcile import reconcile
from compose.record import replace
from tests.support.fake_engine import FakeEngine
from tests.support.projects import project, service, volume

NAMES = ("a", "b", "c", "d")
CHECK = {"test": ["CMD", "true"]}


@st.composite
def services(draw: st.DrawFn) -> Desired:
    """A project of one to four services; each may need earlier ones, share a namespace, mount, publish."""
    rows: list[DesiredService] = []
    for place, name in enumerate(NAMES[: draw(st.integers(1, 4))]):
        rows.append(_service(draw, name, [row.name for row in rows], place))
    subnet = draw(st.sampled_from(["", "", "10.9.0.0/24"]))
    return project(*rows, subnets={"default": subnet})


def _service(draw: st.DrawFn, name: str, earlier: list[str], place: int) -> DesiredService:
    needs = []
    for other in draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []:
        needs.append(other + draw(st.sampled_from(["", ":healthy", "!", ":healthy?"])))
    config: dict[str, Any] = {"healthcheck": CHECK, "command": [draw(st.sampled_from("xy"))]}
    if draw(st.booleans()):
        config["mem_limit"] = draw(st.sampled_from(["1000000", "2000000"]))
    if draw(st.booleans()):
        config["volumes"] = [volume("data", "/data")]
    if draw(st.booleans()):
        config["ports"] = [{"published": str(8000 + place), "target": 80}]
        config["replicas"] = draw(st.integers(0, 1))
    else:
        config["replicas"] = draw(st.integers(0, 3))
    networks = draw(st.sampled_from([("default",), ("default", "back"), ("back",)]))
    if needs and draw(st.booleans()):
        owner = needs[0].split(":")[0].strip("!?")
        config["network_mode"], networks = f"service:{owner}", ()
        config.pop("ports", None)
    return service(name, *needs, networks=networks, **config)


def plan(world: FakeEngine, desired: Desired, **intent: Any) -> Plan:
    return reconcile(desired, world.observe("shop", desired), Intent(remove_orphans=True, **intent))


def apply(world: FakeEngine, what: Plan, steps: int | None = None, seed: int = 0) -> None:
    """Do (some of) the steps in an order that the edges allow; ``seed`` chooses which."""
    counter = itertools.count(len(world.calls) * 1000 + 1)
    context = Context(world, "shop", what.desired, lambda: f"{next(counter):012x}".ljust(64, "0"))
    chance = random.Random(seed)
    waiting, done = list(what.steps), set()
    for _turn in range(len(waiting) if steps is None else steps):
        step = chance.choice([one for one in waiting if done.issuperset(one.after)])
        waiting.remove(step)
        perform(step.number, step.action, context)
        done.add(step.number)


SEEDS = st.integers(0, 1 << 30)


def sharing_nobody(desired: Desired) -> bool:
    """A service that shares a namespace of one without containers cannot be created at all: not what is tested."""
    empty = {one.name for one in desired.services if one.replicas == 0}
    modes = {one.config.get("network_mode", "")[8:] for one in desired.services if one.replicas}
    return bool(modes & empty)


def check(world: FakeEngine, desired: Desired) -> None:
    """The world is what the file says."""
    names = {network.key: network.name for network in desired.networks}
    for one in desired.services:
        found = sorted(
            (row for row in world.containers.values() if row.service == one.name), key=lambda row: row.number
        )
        assert len(found) == one.replicas
        for row in found:
            assert row.name == f"shop-{one.name}-{row.number}"
            assert (row.status, row.supervised, row.config_hash) == ("running", True, one.config_hash)
            assert {endpoint.network for endpoint in row.endpoints} == {names[key] for key in one.networks}
    assert {row.service for row in world.containers.values()} <= {one.name for one in desired.services}
    assert world.left == {}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_cut_plan_is_finished_by_the_next(data: st.DataObject) -> None:
    world = FakeEngine("host")
    projects = [one for one in data.draw(st.lists(services(), min_size=1, max_size=3)) if not sharing_nobody(one)]
    for desired in projects:
        what = plan(world, desired)
        apply(world, what, data.draw(st.integers(0, len(what.steps))), data.draw(SEEDS))
    for desired in projects[-1:]:
        what = plan(world, desired)
        event(f"steps to finish: {len(what.steps) // 10 * 10}+")
        apply(world, what, seed=data.draw(SEEDS))
        check(world, desired)
        assert plan(world, desired).text() == ""


@settings(max_examples=80, deadline=None)
@given(services().filter(lambda one: not sharing_nobody(one)), st.data())
def test_containers_that_died_or_lost_something_are_mended(desired: Desired, data: st.DataObject) -> None:
    world = FakeEngine("host")
    apply(world, plan(world, desired))
    for ident, one in list(world.containers.items()):
        change = data.draw(
            st.sampled_from(
                [
                    {},
                    {"status": "stopped", "exit_code": 1},
                    {"status": "created", "endpoints": ()},
                    {"status": "created", "supervised": False},
                    {"status": "creating"},
                    {"supervised": False},
                    {"status": "paused"},
                    {"endpoints": ()},
                    {"image": "sha256:old"},
                ]
            )
        )
        world.containers[ident] = replace(one, **change)
    apply(world, plan(world, desired), seed=data.draw(SEEDS))
    check(world, desired)
    assert plan(world, desired).text() == ""


@settings(max_examples=80, deadline=None)
@given(services().filter(lambda one: not sharing_nobody(one)), st.data())
def test_down_cut_anywhere_then_down_leaves_nothing(desired: Desired, data: st.DataObject) -> None:
    world = FakeEngine("host")
    what = plan(world, desired)
    apply(world, what, data.draw(st.integers(0, len(what.steps))), data.draw(SEEDS))
    intent = DownIntent(volumes=True)
    with_file = data.draw(st.booleans())
    for cut in (True, False):
        known = desired if with_file or data.draw(st.booleans()) else None
        what = plan_down(known, world.observe("shop", known), intent)
        apply(world, what, data.draw(st.integers(0, len(what.steps))) if cut else None, data.draw(SEEDS))
    assert (world.containers, world.networks, world.volumes, world.left) == ({}, {}, {}, {})


@settings(max_examples=60, deadline=None)
@given(services().filter(lambda one: not sharing_nobody(one)), st.data())
def test_up_after_a_down_that_was_cut(desired: Desired, data: st.DataObject) -> None:
    world = FakeEngine("host")
    apply(world, plan(world, desired))
    what = plan_down(desired, world.observe("shop", desired), DownIntent())
    apply(world, what, data.draw(st.integers(0, len(what.steps))), data.draw(SEEDS))
    apply(world, plan(world, desired), seed=data.draw(SEEDS))
    check(world, desired)
    assert plan(world, desired).text() == ""


@settings(max_examples=100, deadline=None)
@given(st.lists(services(), min_size=1, max_size=2))
def test_plans_are_graphs_whose_edges_point_back(projects: list[Desired]) -> None:
    world = FakeEngine("host")
    for desired in projects:
        if sharing_nobody(desired):
            continue
        what = plan(world, desired)
        assert [step.number for step in what.steps] == list(range(1, len(what.steps) + 1))
        made = {step.number for step in what.steps if step.action.verb == "create" and step.action.kind == "container"}
        for step in what.steps:
            assert all(earlier < step.number for earlier in step.after)
            target = getattr(step.action, "target", None)
            assert not isinstance(target, Created) or target.step in made
        apply(world, what)
