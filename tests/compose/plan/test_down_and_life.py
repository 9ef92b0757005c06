"""``down`` and the commands that act on containers as they are, as the text a user reads."""

from __future__ import annotations

from typing import Any

import pytest

from compose import labels
from compose.errors import UsageError
from compose.plan.down import plan_down, reverse_order
from compose.plan.intent import DownIntent, Intent, LifeIntent
from compose.plan.lifecycle import plan_kill, plan_pause, plan_remove, plan_restart, plan_rm, plan_stop, plan_unpause
from compose.plan.reconcile import reconcile
from compose.record import replace
from tests.compose.plan.test_reconcile import apply, golden, same
from tests.support.fake_engine import FakeEngine
from tests.support.projects import project, service, volume

SHOP = project(service("db", volumes=[volume("data", "/data")]), service("web", "db", replicas=2))


@pytest.fixture
def world() -> FakeEngine:
    engine = FakeEngine("host")
    apply(engine, reconcile(SHOP, engine.observe("shop", SHOP), Intent()))
    return engine


def down(world: FakeEngine, desired: Any = SHOP, **intent: Any) -> Any:
    return plan_down(desired, world.observe("shop", desired), DownIntent(**intent))


def life(planner: Any, world: FakeEngine, desired: Any = SHOP, **intent: Any) -> Any:
    return planner(desired, world.observe("shop", desired), LifeIntent(**intent))


def test_down_removes_dependents_first_and_disconnects_by_network(world: FakeEngine) -> None:
    what = down(world)
    golden(what, "down")
    apply(world, what)
    assert (world.containers, world.networks, list(world.volumes)) == ({}, {}, ["shop_data"])
    assert "disconnect" not in {call for call, _name in world.calls}


def test_down_with_volumes(world: FakeEngine) -> None:
    what = down(world, volumes=True)
    assert [(step.action.kind, step.action.title) for step in what.steps[-2:]] == [
        ("network", "default"),
        ("volume", "data"),
    ]
    assert all(
        step.action.volumes for step in what.steps if step.action.verb == "remove" and step.action.kind == "container"
    )


def test_down_leaves_external_volumes_and_networks(world: FakeEngine) -> None:
    outside = replace(
        SHOP,
        networks=tuple(replace(one, external=True) for one in SHOP.networks),
        volumes=tuple(replace(one, external=True) for one in SHOP.volumes),
    )
    what = down(world, outside, volumes=True)
    apply(world, what)
    assert (list(world.networks), list(world.volumes)) == (["shop_default"], ["shop_data"])
    assert "disconnect" in {step.action.verb for step in what.steps}


def test_down_without_a_file_reads_the_order_from_labels(world: FakeEngine) -> None:
    for ident, one in list(world.containers.items()):
        text = "db:service_started:false" if one.service == "web" else ""
        world.containers[ident] = replace(one, labels={**one.labels, labels.DEPENDS_ON: text})
    assert down(world, None).text() == down(world).text()


def test_down_of_a_service_takes_its_dependents_and_keeps_the_rest(world: FakeEngine) -> None:
    apply(world, down(world, services=("web",)))
    assert (world.names(), list(world.networks)) == (["shop-db-1"], ["shop_default"])
    apply(world, reconcile(SHOP, world.observe("shop", SHOP), Intent()))
    apply(world, down(world, services=("db",)))
    assert (world.names(), list(world.networks)) == ([], [])


def test_down_tells_of_orphans_that_keep_the_network(world: FakeEngine) -> None:
    only = project(service("db", volumes=[volume("data", "/data")]))
    what = down(world, only)
    assert what.warnings == ("network shop_default is kept: still used by web-1, web-2",)
    apply(world, what)
    assert world.names() == ["shop-web-1", "shop-web-2"]
    apply(world, down(world, only, remove_orphans=True))
    assert (world.containers, world.networks) == ({}, {})


def test_down_removes_services_hidden_by_a_profile(world: FakeEngine) -> None:
    apply(world, down(world, replace(project(service("db")), disabled=("web",))))
    assert world.containers == {}


def test_down_of_nothing_says_so_and_is_no_error() -> None:
    assert down(FakeEngine("host")).warnings == ("no resource found to remove for project shop",)


def test_down_of_an_unknown_service(world: FakeEngine) -> None:
    with pytest.raises(UsageError, match="cannot find service 'wbe'"):
        down(world, services=("wbe",))


def test_orders_survive_a_cycle_in_stale_labels() -> None:
    assert sorted(reverse_order({"a", "b"}, {"a": ["b"], "b": ["a"]})) == ["a", "b"]


def test_stop(world: FakeEngine) -> None:
    same(
        life(plan_stop, world, services=("web",), timeout=3.0),
        """
        1       container  web-1  stop        stop
        2  < 1  container  web-1  disconnect  stop
        3       container  web-2  stop        stop
        4  < 3  container  web-2  disconnect  stop
        """,
    )
    what = life(plan_stop, world)
    stops = {step.action.title: step for step in what.steps if step.action.verb == "stop"}
    assert stops["db-1"].after != ()
    apply(world, what)
    assert life(plan_stop, world).text() == ""


def test_restart_follows_dependencies_and_restart_edges() -> None:
    desired = project(service("db"), service("web", "db!"), service("job", "db"))
    world = FakeEngine("host")
    apply(world, reconcile(desired, world.observe("shop", desired), Intent()))
    what = life(plan_restart, world, desired, services=("db",))
    golden(what, "restart")
    apply(world, what)
    assert {one.status for one in world.containers.values()} == {"running"}
    assert reconcile(desired, world.observe("shop", desired), Intent()).text() == ""
    alone = life(plan_restart, world, desired, services=("db",), no_deps=True)
    assert {step.action.title for step in alone.steps} == {"db-1"}


def test_restart_starts_what_is_stopped_or_only_created(world: FakeEngine) -> None:
    db, web = world.by_name("shop-db-1"), world.by_name("shop-web-1")
    world.stop_container(db.id)
    world.containers[web.id] = replace(web, status="created")
    apply(world, life(plan_restart, world))
    assert {one.status for one in world.containers.values()} == {"running"}


def test_kill_sends_the_signal_to_what_runs(world: FakeEngine) -> None:
    world.stop_container(world.by_name("shop-web-2").id)
    what = life(plan_kill, world, signal="SIGUSR1")
    assert [(step.action.title, step.action.signal) for step in what.steps] == [
        ("db-1", "SIGUSR1"),
        ("web-1", "SIGUSR1"),
    ]
    orphaned = life(plan_kill, world, project(service("db")), remove_orphans=True, services=("db",))
    assert [step.action.verb for step in orphaned.steps if step.action.title == "web-1"] == [
        "stop",
        "disconnect",
        "remove",
    ]


def test_pause_and_unpause_leave_refusing_to_the_engine(world: FakeEngine) -> None:
    apply(world, life(plan_pause, world, services=("db",)))
    assert life(plan_pause, world, services=("db",)).text() == "1  container  db-1  pause  pause\n"
    apply(world, life(plan_unpause, world, services=("db",)))
    assert world.by_name("shop-db-1").status == "running"


def test_rm_takes_the_stopped_and_with_stop_all(world: FakeEngine) -> None:
    world.stop_container(world.by_name("shop-web-2").id)
    what = life(plan_rm, world, volumes=True)
    assert [(step.action.title, step.action.verb) for step in what.steps] == [
        ("web-2", "disconnect"),
        ("web-2", "remove"),
    ]
    assert what.steps[-1].action.volumes
    apply(world, life(plan_rm, world, stop=True))
    assert world.containers == {}


def test_removing_one_container(world: FakeEngine) -> None:
    ident = world.by_name("shop-web-1").id
    apply(world, plan_remove(None, world.observe("shop"), (ident,), volumes=True))
    assert world.names() == ["shop-db-1", "shop-web-2"]
