"""The answers of ``why`` about networks and volumes, in words."""

from __future__ import annotations

from typing import Any

from compose import labels
from compose.api.why import Case
from compose.api.why_resources import explain_resources, resource_keys
from compose.journal import Entry
from compose.plan.actions import CreateVolume
from compose.plan.desired import Desired, DesiredNetwork, DesiredService, DesiredVolume
from compose.plan.observed import Observed, ObservedContainer, ObservedNetwork, ObservedVolume
from compose.plan.plan import Plan, Step

NOW = 1_795_700_000.0
DATA = {"type": "volume", "source": "data", "target": "/d"}


def case(
    *there: ObservedNetwork | ObservedVolume, entries: list[Entry] | None = None, plan: Plan | None = None, **more: Any
) -> Case:
    service = DesiredService("db", "x", {"volumes": [DATA]}, "", networks=("default",))
    networks = (DesiredNetwork("default", "p_default", False, {}, "1"), DesiredNetwork("lan", "lan", True, {}, "1"))
    volumes = (DesiredVolume("data", "p_data", False, {}, "1"), DesiredVolume("spare", "p_spare", False, {}, "1"))
    desired = Desired("p", "/p", (), (), (service,), ("db",), networks=networks, volumes=volumes)
    observed = Observed(
        "p",
        (ObservedContainer("id", "p-db-1", "db", 1, "running", mounts=(("volume", "p_data", "/d"),)),),
        networks=tuple(one for one in there if isinstance(one, ObservedNetwork)),
        volumes=tuple(one for one in there if isinstance(one, ObservedVolume)),
    )
    return Case(desired, observed, {}, entries or [], plan or Plan("p"), NOW, **more)


def told(asked: Case, name: str) -> tuple[str, list[tuple[str, str]]]:
    (answer,) = explain_resources(asked, name)
    return f"{answer.name} {answer.summary}", [(fact.kind, fact.text) for fact in answer.facts]


def test_a_volume_that_is_used() -> None:
    entries = [
        Entry(NOW - 9000, "volume", "data", "remove", "--volumes"),
        Entry(NOW - 120, "volume", "data", "create", "not found"),
        Entry(NOW - 60, "volume", "other", "create", "not found"),
    ]
    assert told(case(ObservedVolume("p_data", "1", "p"), entries=entries), "data") == (
        "volume data is there",
        [
            ("removed", "3 hours ago: --volumes"),
            ("created", "2 minutes ago: not found"),
            ("used", "used by db-1"),
            ("next", "up would change nothing"),
        ],
    )


def test_a_volume_whose_configuration_changed_is_kept() -> None:
    _, facts = told(case(ObservedVolume("p_data", "2", "p")), "data")
    kept = "its configuration is not that it was made with; it is kept, up --yes makes it anew and loses its data"
    assert ("changed", kept) in facts


def test_what_is_not_there() -> None:
    failed = [Entry(NOW - 1, "volume", "data", "create", "not found", "cannot make it: no space\n  hint")]
    plan = Plan("p", (Step(1, CreateVolume("data", "p_data"), "not found"),))
    assert told(case(entries=failed, plan=plan), "data") == (
        "volume data is not there",
        [
            ("error", "cannot create it, 1 second ago: cannot make it: no space"),
            ("next", "up would create it: not found"),
        ],
    )
    assert told(case(), "spare")[0] == "volume spare is not there: no service that is active uses it"
    assert told(case(), "lan")[0] == "network lan is not there, and is declared as external: up would be refused"


def test_networks_of_ours_of_others_and_of_nobody() -> None:
    shared = ObservedNetwork("p_default", "1", "q", containers=("id", "foreign"))
    summary, facts = told(case(shared), "default")
    assert summary == "network default is there"
    assert facts[:2] == [("used", "used by db-1"), ("used", "used by 1 containers of other projects")]
    assert facts[2] == ("foreign", "it was made by project q; set external: true to say that this is meant")
    old = ObservedNetwork("p_old", "1", "p", {labels.NETWORK: "old"})
    assert told(case(old), "old") == ("network old is there, though the file does not name it any more", [])
    assert resource_keys(case(old)) == {"network": ["default", "lan", "old"], "volume": ["data", "spare"]}
    assert explain_resources(case(), "db") == []
