"""The answers of ``why``, in words."""

from __future__ import annotations

from typing import Any

from compose.api.why import Answer, Case, explain
from compose.journal import Entry
from compose.plan.actions import CreateContainer, Existing, StopContainer
from compose.plan.desired import Dependency, Desired, DesiredService
from compose.plan.observed import Observed, ObservedContainer
from compose.plan.plan import Plan, Step
from runtime.state import State

NOW = 1_795_700_000.0
EARLIER = "2026-11-26T13:31:20.000000000Z"  # two minutes before


def service(name: str, *needs: Dependency, replicas: int = 1) -> DesiredService:
    return DesiredService(name, "bb:1", {}, "", replicas=replicas, dependencies=needs)


def container(name: str, status: str = "running", **more: Any) -> ObservedContainer:
    started = "" if status == "created" else EARLIER
    finished = EARLIER if status == "stopped" else ""
    times = {"started_at": started, "finished_at": finished}
    return ObservedContainer(f"id-{name}", f"p-{name}-1", name, 1, status, **{**times, **more})


def case(
    services: list[DesiredService],
    containers: list[ObservedContainer],
    entries: list[Entry] | None = None,
    states: dict[str, State] | None = None,
    plan: Plan | None = None,
    **more: Any,
) -> Case:
    names = tuple(one.name for one in services)
    desired = Desired("p", "/p", (), (), tuple(services), names)
    return Case(desired, Observed("p", tuple(containers)), states or {}, entries or [], plan or Plan("p"), NOW, **more)


def one(asked: Case, name: str) -> Answer:
    (answer,) = explain(asked, name)
    return answer


def facts(answer: Answer) -> dict[str, str]:
    return {fact.kind: fact.text for fact in answer.facts}


def entry(verb: str, reason: str, before: float, name: str = "web-1", error: str = "") -> Entry:
    return Entry(NOW - before, "container", name, verb, reason, error)


def test_it_runs_since_it_was_recreated_for_a_reason() -> None:
    entries = [
        entry("create", "no container for replica 1", 900),
        entry("start", "created by step 1", 900),
        entry("create", "config changed: environment.DEBUG", 130),
        entry("start", "created by step 3", 130),
    ]
    answer = one(case([service("web")], [container("web")], entries), "web")
    assert answer.summary == "has run for 2 minutes"
    assert [(fact.kind, fact.text) for fact in answer.facts] == [
        ("created", "2 minutes ago: config changed: environment.DEBUG"),
        ("started", "2 minutes ago"),
        ("next", "up would change nothing"),
    ]


def test_it_was_killed_for_want_of_memory() -> None:
    dead = container("web", "stopped", exit_code=137, oom_killed=True, config={"mem_limit": "8388608"})
    answer = one(case([service("web")], [dead], states={"id-web": State(status="stopped")}), "web")
    assert answer.summary == "exited with code 137 (SIGKILL, out of memory) 2 minutes ago"
    assert facts(answer)["oom"] == "killed for want of memory: its limit is 8388608 bytes"


def test_a_command_stopped_it() -> None:
    dead = container("web", "stopped", exit_code=143, config={"restart": "always"})
    answer = one(case([service("web")], [dead], states={"id-web": State(status="stopped", manual=True)}), "web")
    assert answer.summary == "exited with code 143 (SIGTERM) 2 minutes ago, stopped by a command"
    assert "restarts" not in facts(answer)


def test_it_keeps_restarting() -> None:
    bad = container(
        "web", "restarting", exit_code=1, restart_count=4, finished_at=EARLIER, config={"restart": "always"}
    )
    answer = one(case([service("web")], [bad]), "web")
    assert answer.summary == "restarts again and again: it exited with code 1"
    assert facts(answer)["restarts"] == "restarted 4 times by its policy (always)"
    assert facts(answer)["exit"] == "the last run exited with code 1 2 minutes ago"


def test_it_waits_for_a_dependency_and_says_what_its_probe_says() -> None:
    probe = {"start": EARLIER, "end": EARLIER, "exit_code": 2, "output": "connection\n refused\n"}
    states = {"id-db": State(status="running", health="unhealthy", failing_streak=3, probes=(probe,))}
    services = [service("db"), service("web", Dependency("db", "service_healthy"))]
    containers = [container("db", health="unhealthy"), container("web", "created")]
    waits = (
        "db is unhealthy; it is to be healthy; the last probe, 2 minutes ago, exited with code 2: connection refused"
    )
    assert one(case(services, containers, states=states, busy=True), "web").summary == f"waits: {waits}"
    assert one(case(services, containers, states=states), "web").summary == f"was not started: {waits}"
    db = one(case(services, containers, states=states), "db")
    assert db.summary == "has run for 2 minutes, unhealthy"
    assert facts(db)["health"].startswith("unhealthy, 3 failures in a row; the last probe, 2 minutes ago, exited with")
    assert facts(db)["needed"] == "needed by web"


def test_dependencies_that_are_met_and_that_are_not_required() -> None:
    needs = (
        Dependency("db", "service_completed_successfully"),
        Dependency("cache", "service_started", required=False),
    )
    services = [service("db"), service("cache"), service("web", *needs)]
    answer = one(case(services, [container("db", "stopped"), container("web")]), "web")
    assert [fact.text for fact in answer.facts if fact.kind == "dependency"] == [
        "db is completed successfully, as it is to be",
        "cache has no container; it is to be started, not required",
    ]


def test_it_could_not_start() -> None:
    failed = entry("start", "created by step 1", 5, error="cannot publish 8080/tcp: taken\n  by nginx")
    answer = one(case([service("web")], [container("web", "created")], [failed]), "web")
    assert answer.summary == "could not start: cannot publish 8080/tcp: taken"
    assert facts(answer)["error"] == "cannot start it, 5 seconds ago: cannot publish 8080/tcp: taken"


def test_there_is_no_container() -> None:
    failed = entry("create", "no container", 5, error="cannot find image bb:1")
    services = [service("web"), service("none", replicas=0)]
    asked = case(services, [], [failed])
    assert one(asked, "web").summary == "has no container: creating it failed"
    assert facts(one(asked, "web"))["error"] == "5 seconds ago: cannot find image bb:1"
    assert one(asked, "none").summary == "has no container: the file asks for 0 replicas"
    assert one(asked, "hidden").summary.startswith("has no container: its profile is not active")
    assert one(case(services, []), "web").summary == "has no container: nobody has made one yet"


def test_what_up_would_do() -> None:
    create = CreateContainer("web-1", "web", 1, "p-web-1")
    stop = StopContainer("web-1", Existing("id-web"))
    plan = Plan("p", (Step(1, create, "image changed"), Step(2, stop, "replaced")))
    answer = one(case([service("web")], [container("web")], plan=plan), "web")
    assert facts(answer)["next"] == "up would create web-1: image changed"


def test_an_orphan() -> None:
    answer = one(case([], [container("old")]), "old")
    assert facts(answer)["next"] == "the file has no service old: up --remove-orphans removes it"
