"""The planner's decisions, as the text a user reads."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from compose.errors import UsageError
from compose.execute.handlers import Context, perform
from compose.plan.checks import PlanError
from compose.plan.desired import Desired
from compose.plan.intent import Intent, OneOff
from compose.plan.plan import Plan
from compose.plan.reconcile import reconcile, volumes_to_ask_about
from compose.record import replace
from tests.support.fake_engine import FakeEngine
from tests.support.projects import project, service, volume

GOLDEN = Path(__file__).parents[2] / "golden" / "plan"


def engine(**options: Any) -> FakeEngine:
    return FakeEngine("host", "host:2", **options)


def plan(world: FakeEngine, desired: Desired, **intent: Any) -> Plan:
    return reconcile(desired, world.observe(desired.project, desired), Intent(**intent))


def apply(world: FakeEngine, what: Plan, steps: int | None = None) -> None:
    """Do the steps one after another; ids count up, so that plans are the same every time."""
    counter = itertools.count(len(world.calls) * 1000 + 1)
    context = Context(world, what.project, what.desired, lambda: f"{next(counter):06x}".ljust(64, "0"))
    for step in what.steps[:steps]:
        perform(step.number, step.action, context)


def up(world: FakeEngine, desired: Desired, **intent: Any) -> Plan:
    what = plan(world, desired, **intent)
    apply(world, what)
    return what


def same(what: Plan, expected: str) -> None:
    assert what.text() == dedent(expected).lstrip("\n")


def golden(what: Plan, name: str) -> None:
    """Compare with tests/golden/plan/NAME.txt. GOLDEN_UPDATE=1 writes the files: read the diff before committing."""
    if os.environ.get("GOLDEN_UPDATE"):
        (GOLDEN / f"{name}.txt").write_text(what.text())
    assert what.text() == (GOLDEN / f"{name}.txt").read_text()


def shop(**web: Any) -> Desired:
    db = service("db", volumes=[volume("data", "/data")], healthcheck={"test": ["CMD", "true"]})
    return project(db, service("web", "db:healthy", **{"environment": {"DEBUG": "0"}, **web}))


def test_first_up() -> None:
    golden(plan(engine(), shop()), "first-up")


def test_nothing_to_do() -> None:
    world = engine()
    up(world, shop())
    assert plan(world, shop()).text() == ""


def test_one_variable_changed_touches_that_service_only() -> None:
    world = engine()
    up(world, shop())
    what = plan(world, shop(environment={"DEBUG": "1"}))
    golden(what, "recreate")
    apply(world, what)
    assert world.names() == ["shop-db-1", "shop-web-1"]
    assert plan(world, shop(environment={"DEBUG": "1"})).text() == ""


def test_a_new_service_is_waited_for_by_a_recreated_one() -> None:
    world = engine()
    up(world, project(service("web")))
    golden(plan(world, shop()), "recreate-behind-new")


def test_values_of_variables_are_shown_when_asked_for() -> None:
    world = engine()
    up(world, shop())
    what = plan(world, shop(environment={"DEBUG": "1", "NEW": "x"}), show_values=True)
    assert what.steps[0].reason == "config changed: environment.DEBUG: 0 → 1, environment.NEW: (none) → x"


def test_image_changed() -> None:
    world = engine()
    up(world, shop())
    world.images["host"] = replace(world.images["host"], digest="sha256:0123456789abcdef")
    what = plan(world, project(service("web")), services=("web",), ignore_orphans=True)
    assert what.steps[0].reason == "image changed: host00000000 → 0123456789ab"


def test_in_place_change_neither_stops_nor_recreates() -> None:
    world = engine()
    up(world, shop())
    what = plan(world, shop(mem_limit="67108864", environment={"DEBUG": "0"}))
    same(what, "1  container  web-1  update  config changed: mem_limit: (none) → 67108864\n")
    apply(world, what)
    assert plan(world, shop(mem_limit="67108864")).text() == ""


def test_scale_up_fills_gaps_and_scale_down_takes_the_highest() -> None:
    world = engine()
    desired = project(service("web"))
    up(world, desired, scale={"web": 3})
    world.disconnect(world.by_name("shop-web-2").id)
    world.remove_container(world.by_name("shop-web-2").id, force=True)
    same(
        plan(world, desired, scale={"web": 3}),
        """
        1       container  web-2  create   no container for replica 2
        2  < 1  container  web-2  connect  default: declared network
        3  < 2  container  web-2  start    created by step 1
        """,
    )
    same(
        plan(world, desired),
        """
        1       container  web-3  stop        scaled to 1
        2  < 1  container  web-3  disconnect  scaled to 1
        3  < 2  container  web-3  remove      scaled to 1
        """,
    )


def test_scale_down_takes_outdated_replicas_first() -> None:
    world = engine()
    up(world, project(service("web", replicas=2)))
    changed = project(service("web", command=["x"]))
    world.update_container(changed, changed.services[0], world.by_name("shop-web-2").id, ())
    what = up(world, changed)
    assert {step.action.title for step in what.steps} == {"web-1"}
    assert world.names() == ["shop-web-2"]


def test_scale_to_zero_and_no_wait_for_nobody() -> None:
    world = engine()
    desired = project(service("db", healthcheck={"test": ["CMD", "true"]}, replicas=0), service("web", "db:healthy"))
    assert [step.action.title for step in plan(world, desired).steps] == ["default", "web-1", "web-1", "web-1"]


def test_container_name_cannot_be_scaled() -> None:
    with pytest.raises(UsageError, match="cannot scale web to 2: container_name gives it one name, mine"):
        plan(engine(), project(service("web", container_name="mine")), scale={"web": 2})


def test_orphans_are_told_of_and_removed_on_request() -> None:
    world = engine()
    up(world, project(service("web"), service("old", ports=[{"published": "80", "target": 80}])))
    desired = project(service("web"), service("new", ports=[{"published": "80", "target": 80}]))
    only = project(service("web"))
    what = plan(world, only)
    assert what.text() == ""
    assert what.warnings == ("project shop has orphans: old-1; --remove-orphans removes them",)
    assert plan(world, only, ignore_orphans=True).warnings == ()
    assert plan(world, replace(only, disabled=("old",))).warnings == ()
    what = plan(world, desired, remove_orphans=True)
    golden(what, "orphan-with-port")
    apply(world, what)
    assert world.names() == ["shop-new-1", "shop-web-1"]


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_recreation_that_was_cut_is_finished(cut: int) -> None:
    world = engine()
    up(world, shop())
    old = world.by_name("shop-web-1").id
    changed = shop(environment={"DEBUG": "1"})
    apply(world, plan(world, changed), cut)
    up(world, changed)
    assert world.names() == ["shop-db-1", "shop-web-1"]
    web = world.by_name("shop-web-1")
    assert (web.status, web.id != old, [one.network for one in web.endpoints]) == ("running", True, ["shop_default"])
    assert plan(world, changed).text() == ""


def test_a_half_made_successor_is_used_where_it_still_fits() -> None:
    world = engine()
    up(world, shop())
    changed = shop(environment={"DEBUG": "1"})
    apply(world, plan(world, changed), 1)
    golden(plan(world, changed), "finish-recreation")


def test_a_half_made_successor_that_does_not_fit_is_removed() -> None:
    world = engine()
    up(world, shop())
    apply(world, plan(world, shop(environment={"DEBUG": "1"})), 1)
    what = plan(world, shop())
    assert [(step.action.verb, step.reason) for step in what.steps] == [("remove", "half-made replacement")]
    apply(world, what)
    assert plan(world, shop()).text() == ""


def test_a_container_that_was_being_created_is_made_again() -> None:
    world = engine()
    desired = project(service("web"))
    apply(world, plan(world, desired), 2)
    ident = world.by_name("shop-web-1").id
    world.containers[ident] = replace(world.containers[ident], status="creating")
    same(
        plan(world, desired),
        """
        1       container  web-1  remove   half-made, made again
        2  < 1  container  web-1  create   half-made, made again
        3  < 2  container  web-1  connect  default: declared network
        4  < 3  container  web-1  start    created by step 2
        """,
    )


def test_dependency_chain_shares_its_waits() -> None:
    desired = project(
        service("db", healthcheck={"test": ["CMD", "true"]}),
        service("migrate", "db:healthy"),
        service("api", "db:healthy", "migrate:completed", replicas=2),
        service("web", "api"),
    )
    golden(plan(engine(one_shots=("migrate",)), desired), "chain")


def test_one_shots_run_again_and_nothing_else() -> None:
    world = engine(one_shots=("migrate",))
    desired = project(service("migrate"), service("web", "migrate:completed"))
    up(world, desired)
    same(
        plan(world, desired),
        """
        1       container  migrate-1  disconnect  left by its last run
        2  < 1  container  migrate-1  prepare     stopped with code 0
        3  < 2  container  migrate-1  connect     default: declared network
        4  < 3  container  migrate-1  start       prepared by step 2
        """,
    )


def test_optional_dependency_is_wanted_not_required() -> None:
    desired = project(service("db", healthcheck={"test": ["CMD", "true"]}), service("web", "db:healthy?"))
    waits = [step for step in plan(engine(), desired).steps if step.action.verb == "wait"]
    assert [(step.reason, step.action.required) for step in waits] == [("healthy, wanted, not required, by web", False)]


def test_stopped_created_paused_and_unsupervised_containers() -> None:
    world = engine()
    desired = project(*(service(name) for name in ("a", "b", "c", "d", "e")))
    up(world, desired)
    for name, changes in {
        "a": {"status": "stopped", "exit_code": 3, "endpoints": ()},
        "b": {"status": "created", "endpoints": ()},
        "c": {"status": "paused"},
        "d": {"supervised": False},
        "e": {"endpoints": ()},
    }.items():
        one = world.by_name(f"shop-{name}-1")
        world.containers[one.id] = replace(one, **changes)
    what = plan(world, desired)
    golden(what, "statuses")
    apply(world, what)
    assert plan(world, desired).text() == ""


def test_a_changed_network_is_made_anew_around_its_containers() -> None:
    world = engine()
    before = project(
        service("db"), service("web", "db", networks=("default", "back")), service("job", networks=("back",))
    )
    after = project(*before.services, subnets={"default": "10.9.0.0/24"})
    up(world, before)
    what = plan(world, after)
    golden(what, "network-changed")
    apply(world, what)
    assert plan(world, after).text() == ""


def test_a_network_with_foreign_containers_is_not_made_anew() -> None:
    world = engine()
    up(world, project(service("web")))
    web = world.by_name("shop-web-1")
    world.containers["f" * 64] = replace(web, id="f" * 64, name="else-x-1", labels={})
    with pytest.raises(PlanError, match="cannot change network 'shop_default': containers of other projects"):
        plan(world, project(service("web"), subnets={"default": "10.9.0.0/24"}))


def test_restart_edge_stops_the_dependent_first() -> None:
    world = engine()
    up(world, project(service("db"), service("web", "db!"), service("job", "db")))
    what = plan(world, project(service("db", command=["x"]), service("web", "db!"), service("job", "db")))
    golden(what, "restart-edge")
    apply(world, what)
    assert plan(world, project(service("db", command=["x"]), service("web", "db!"), service("job", "db"))).text() == ""


def test_shared_namespace_follows_its_owner() -> None:
    world = engine()
    side = {"network_mode": "service:app"}
    before = project(service("app"), service("side", "app!", networks=(), **side))
    up(world, before)
    after = project(service("app", command=["x"]), service("side", "app!", networks=(), **side))
    what = plan(world, after)
    golden(what, "shared-namespace")
    apply(world, what)
    assert plan(world, after).text() == ""


def test_shared_namespace_is_joined_again_when_its_owner_comes_back() -> None:
    world = engine()
    desired = project(service("app"), service("side", "app", networks=(), network_mode="service:app"))
    up(world, desired)
    app = world.by_name("shop-app-1")
    world.containers[app.id] = replace(app, status="stopped", endpoints=())
    apply(world, plan(world, desired))
    assert {one.status for one in world.containers.values()} == {"running"}
    verbs = [call for call in world.calls if call[1] == "shop-side-1"]
    assert [verb for verb, _name in verbs][-3:] == ["stop_container", "prepare_container", "start_container"]


def test_policies() -> None:
    world = engine()
    up(world, shop())
    changed = shop(environment={"DEBUG": "1"})
    assert plan(world, changed, recreate="never", recreate_deps="never").text() == ""
    forced = plan(world, shop(), services=("web",), recreate="force")
    assert {step.action.title for step in forced.steps} == {"web-1"}
    assert forced.steps[0].reason == "recreation forced"
    deps = plan(world, shop(), services=("web",), recreate="diverged", recreate_deps="force")
    assert {step.action.title for step in deps.steps} >= {"db-1"}


def test_renewed_anonymous_volumes_are_not_taken_over() -> None:
    world = engine()
    up(world, project(service("web")))
    what = plan(world, project(service("web")), recreate="force", renew_anon_volumes=True)
    create = next(step.action for step in what.steps if step.action.verb == "create")
    remove = next(step.action for step in what.steps if step.action.verb == "remove")
    assert (create.replaces, remove.volumes) == ("", True)
    apply(world, what, 1)
    up(world, project(service("web")))
    assert world.names() == ["shop-web-1"]


def test_services_by_name_with_and_without_dependencies() -> None:
    desired = project(service("db"), service("web", "db"), service("other"))
    both = plan(engine(), desired, services=("web",))
    alone = plan(engine(), desired, services=("web",), no_deps=True)
    assert {step.action.title for step in both.steps} == {"default", "db-1", "web-1"}
    assert {step.action.title for step in alone.steps} == {"default", "web-1"}
    with pytest.raises(UsageError, match="cannot find service 'wbe'"):
        plan(engine(), desired, services=("wbe",))


def test_no_start_creates_and_stops_there() -> None:
    world = engine()
    what = up(world, shop(), no_start=True)
    assert {step.action.verb for step in what.steps} == {"create"}
    assert plan(world, shop(), no_start=True).text() == ""
    changed = up(world, shop(environment={"DEBUG": "1"}), no_start=True)
    assert [step.action.verb for step in changed.steps] == ["create", "remove", "rename"]
    assert {one.status for one in world.containers.values()} == {"created"}
    up(world, shop(environment={"DEBUG": "1"}))
    assert {one.status for one in world.containers.values()} == {"running"}


def test_start_creates_nothing() -> None:
    world = engine()
    up(world, shop())
    for one in list(world.containers.values()):
        world.stop_container(one.id)
        world.disconnect(one.id)
    what = plan(world, shop(environment={"DEBUG": "9"}), converge=False, services=("web",))
    assert [step.action.title for step in what.steps if step.action.verb == "start"] == ["db-1", "web-1"]
    assert "create" not in {step.action.verb for step in what.steps}


def test_wait_for_all() -> None:
    world = engine(one_shots=("migrate",))
    desired = project(service("migrate"), service("web", "migrate:completed"), service("idle"))
    what = plan(world, desired, wait=True, wait_timeout=5.0)
    assert [(step.action.title, step.reason) for step in what.steps if "--wait" in step.reason] == [
        ("migrate", "completed, asked for by --wait"),
        ("web", "running or healthy, asked for by --wait"),
        ("idle", "running or healthy, asked for by --wait"),
    ]
    assert {step.action.timeout for step in what.steps if "--wait" in step.reason} == {5.0}
    apply(world, what)
    again = plan(world, project(service("web"), service("idle")), wait=True, ignore_orphans=True)
    assert again.text() == ""


def test_run_brings_up_dependencies_and_creates_without_starting() -> None:
    world = engine()
    oneoff = OneOff("web", "e" * 64, "shop-web-run-eeeeeeeeeeee", {"oneoff": True})
    what = plan(world, shop(), oneoff=oneoff)
    golden(what, "run")
    apply(world, what)
    assert world.by_name("shop-web-run-eeeeeeeeeeee").status == "created"
    assert plan(world, shop(), services=("db",)).text() == ""


def test_what_a_container_that_is_gone_still_holds_is_given_back_first() -> None:
    world = engine()
    desired = project(service("web", ports=[{"published": "80", "target": 80}]))
    up(world, desired)
    world.remove_container(world.by_name("shop-web-1").id, force=True)
    same(
        plan(world, desired),
        """
        1         container  000001000000  disconnect  its container is gone
        2         container  web-1         create      no container for replica 1
        3  < 1,2  container  web-1         connect     default: declared network
        4  < 3    container  web-1         start       created by step 2
        """,
    )


def test_every_missing_image_is_named_before_anything_else() -> None:
    desired = project(service("a", image="one"), service("b", image="two"), service("c", image="one"))
    with pytest.raises(PlanError) as caught:
        plan(engine(), desired)
    assert caught.value.text() == dedent(
        """\
        cannot find image 'one', wanted by a, c
          pycompose pull brings it from its registry, pycompose load -i FILE from an archive; pycompose image ls lists what there is
        cannot find image 'two', wanted by b
          pycompose pull brings it from its registry, pycompose load -i FILE from an archive; pycompose image ls lists what there is"""
    )


def test_a_missing_image_of_a_container_that_stays_is_no_error() -> None:
    world = engine()
    up(world, project(service("web")))
    del world.images["host"]
    assert plan(world, project(service("web"))).text() == ""


def test_other_errors_before_anything_is_touched() -> None:
    external = project(service("web"))
    external = replace(external, networks=(replace(external.networks[0], external=True, name="lan"),))
    with pytest.raises(PlanError, match="cannot find network 'lan', declared as external"):
        plan(engine(), external)
    with pytest.raises(PlanError, match="cannot wait until db is healthy, as web asks: it has no healthcheck"):
        plan(engine(), project(service("db"), service("web", "db:healthy")))
    world = engine()
    up(world, project(service("x", container_name="mine"), name="other"))
    with pytest.raises(PlanError, match="cannot create container 'mine': the name is taken by project other"):
        plan(world, project(service("web", container_name="mine")))


def test_foreign_and_changed_volumes_are_kept_and_told_of() -> None:
    world = engine()
    up(world, shop())
    world.volumes["shop_data"] = replace(world.volumes["shop_data"], config_hash="other")
    assert "volume shop_data is kept as it was made" in plan(world, shop()).warnings[0]
    world.volumes["shop_data"] = replace(world.volumes["shop_data"], project="")
    assert plan(world, shop()).warnings[0].startswith("volume shop_data was not made by pycompose")


def changed_shop() -> FakeEngine:
    world = engine()
    up(world, shop())
    world.volumes["shop_data"] = replace(world.volumes["shop_data"], config_hash="other")
    return world


def test_a_changed_volume_is_made_anew_only_by_name() -> None:
    world = changed_shop()
    assert plan(world, shop(), remake=("shop_other",)).text() == ""
    what = plan(world, shop(), remake=("shop_data",))
    same(
        what,
        """
        1       container  db-1  stop        volume data is made anew
        2  < 1  container  db-1  disconnect  volume data is made anew
        3  < 2  container  db-1  remove      volume data is made anew
        4  < 3  volume     data  remove      config changed
        5  < 4  volume     data  create      made anew, removed by step 4
        6  < 5  container  db-1  create      no container for replica 1
        7  < 6  container  db-1  connect     default: declared network
        8  < 7  container  db-1  start       created by step 6
        """,
    )
    assert not what.warnings
    assert plan(changed_shop(), shop(), remake=("*",)).text() == what.text()
    apply(world, what)
    assert plan(world, shop()).text() == ""
    assert not plan(world, shop()).warnings


def test_a_killed_remake_converges_from_every_step() -> None:
    steps = len(plan(changed_shop(), shop(), remake=("*",)).steps)
    for done in range(1, steps):
        world = changed_shop()
        apply(world, plan(world, shop(), remake=("*",)), done)
        up(world, shop())  # without the yes: what is gone is made, what is left is kept
        assert plan(world, shop()).text() == ""


def test_a_volume_is_not_made_anew_below_others() -> None:
    world = engine()
    other = service("other", volumes=[volume("data", "/data")])
    desired = project(service("db", volumes=[volume("data", "/data")]), other)
    up(world, desired)
    world.volumes["shop_data"] = replace(world.volumes["shop_data"], config_hash="old")
    with pytest.raises(PlanError, match="cannot make volume 'shop_data' anew: shop-other-1 uses it"):
        plan(world, desired, services=("db",), remake=("*",))
    assert volumes_to_ask_about(desired, world.observe("shop", desired), Intent()) == ["shop_data"]
    assert volumes_to_ask_about(desired, world.observe("shop", desired), Intent(remake=("shop_data",))) == []


def test_json_has_the_same_steps() -> None:
    plain = plan(engine(), shop()).to_json()
    assert plain["steps"][2] == {
        "number": 3,
        "after": [2],
        "kind": "container",
        "name": "db-1",
        "verb": "create",
        "reason": "no container for replica 1",
        "service": "db",
        "container_number": 1,
        "container_name": "shop-db-1",
    }
    assert plain["steps"][3]["container"] == {"step": 3}
