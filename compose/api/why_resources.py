"""Why a network or volume of the project is there, or is not: as ``why`` of services, from the same case."""

from __future__ import annotations

from compose import labels
from compose.api.follow import short_name
from compose.api.read import ago
from compose.api.why import Answer, Case, Fact
from compose.plan.networks import used_networks, used_volumes
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from compose.plan.desired import DesiredNetwork, DesiredVolume
    from compose.plan.observed import Observed, ObservedNetwork, ObservedVolume

    Declared = DesiredNetwork | DesiredVolume
    There = ObservedNetwork | ObservedVolume

DONE = {"create": "created", "remove": "removed"}


@record
class _Resource:
    """``kind``: network or volume; ``key``: its name in the file."""

    kind: str
    key: str
    declared: Declared | None
    there: There | None
    needed: bool  # by a service of the file


def resource_keys(case: Case) -> dict[str, list[str]]:
    """Names of networks and volumes in the file, and of what the project has on the machine; per kind."""
    desired, observed = case.desired, case.observed
    networks = [one.key for one in desired.networks] if desired else []
    volumes = [one.key for one in desired.volumes] if desired else []
    networks += [_key(one, labels.NETWORK) for one in observed.networks if one.project == observed.project]
    volumes += [_key(one, labels.VOLUME) for one in observed.volumes if one.project == observed.project]
    return {"network": list(dict.fromkeys(networks)), "volume": list(dict.fromkeys(volumes))}


def explain_resources(case: Case, name: str) -> list[Answer]:
    """An answer for the network and for the volume of that name; none when there is neither."""
    kinds = [kind for kind, keys in resource_keys(case).items() if name in keys]
    return [_explain(case, _resource(case, kind, name)) for kind in kinds]


def _key(there: There, label: str) -> str:
    return there.labels.get(label, there.name)


def _resource(case: Case, kind: str, key: str) -> _Resource:
    desired, observed = case.desired, case.observed
    rows: Sequence[Declared] = () if desired is None else desired.networks if kind == "network" else desired.volumes
    declared = next((one for one in rows if one.key == key), None)
    label = labels.NETWORK if kind == "network" else labels.VOLUME
    found: Sequence[There] = observed.networks if kind == "network" else observed.volumes
    name = declared.name if declared else ""
    there = next((one for one in found if one.name == name or (not declared and _key(one, label) == key)), None)
    needed = False
    if desired is not None:
        used = used_networks if kind == "network" else used_volumes
        needed = any(one.key == key for one in used(desired, desired.services))
    return _Resource(kind, key, declared, there, needed)


def _explain(case: Case, one: _Resource) -> Answer:
    facts = (*_past(case, one), *_users(case.observed, one), *_differs(case.observed, one), *_next(case, one))
    return Answer("", f"{one.kind} {one.key}", _summary(one), facts)


def _summary(one: _Resource) -> str:
    external = one.declared is not None and one.declared.external
    if one.there is None:
        if external:
            return "is not there, and is declared as external: up would be refused"
        return "is not there" if one.needed else "is not there: no service that is active uses it"
    if external:
        return "is there, and not ours: it is declared as external"
    if one.declared is None:
        return "is there, though the file does not name it any more"
    return "is there" if one.needed else "is there, though no service that is active uses it any more"


def _past(case: Case, one: _Resource) -> Iterable[Fact]:
    """The last time it was made, and removed, in the order of time."""
    last = {entry.verb: entry for entry in case.entries if entry.kind == one.kind and entry.name == one.key}
    for entry in sorted(last.values(), key=lambda entry: entry.time):
        when = ago(max(0.0, case.now - entry.time)).lower()
        if entry.error:
            first = entry.error.partition("\n")[0]
            yield Fact("error", f"cannot {entry.verb} it, {when} ago: {first}")
        elif entry.verb in DONE:
            yield Fact(DONE[entry.verb], f"{when} ago: {entry.reason}")


def _users(observed: Observed, one: _Resource) -> Iterable[Fact]:
    if one.there is None:
        return
    attached = getattr(one.there, "containers", ())
    names = [
        short_name(observed.project, container.name)
        for container in observed.containers
        if container.id in attached or any(row[:2] == (one.kind, one.there.name) for row in container.mounts)
    ]
    if names:
        yield Fact("used", f"used by {', '.join(sorted(names))}")
    others = set(attached) - {container.id for container in observed.containers}
    if others:
        yield Fact("used", f"used by {len(others)} containers of other projects")


def _differs(observed: Observed, one: _Resource) -> Iterable[Fact]:
    """What is not as the file has it."""
    declared, there = one.declared, one.there
    if declared is None or there is None or declared.external:
        return
    if there.project != observed.project:
        owner = f"project {there.project}" if there.project else "somebody else"
        yield Fact("foreign", f"it was made by {owner}; set external: true to say that this is meant")
    elif there.config_hash and there.config_hash != declared.config_hash:
        kept = "; it is kept, up --yes makes it anew and loses its data" if one.kind == "volume" else ""
        yield Fact("changed", f"its configuration is not that it was made with{kept}")


def _next(case: Case, one: _Resource) -> Iterable[Fact]:
    """What ``up`` would do about it."""
    if case.plan is None or one.declared is None:
        return
    steps = [step for step in case.plan.steps if step.action.kind == one.kind and step.action.title == one.key]
    for step in steps[:1]:
        yield Fact("next", f"up would {step.action.verb} it: {step.reason}")
    if not steps:
        yield Fact("next", "up would change nothing")
