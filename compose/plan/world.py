"""Observed, indexed for the planner: containers by service and number, replacements told from originals."""

from __future__ import annotations

from compose import labels
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.plan.desired import Desired
    from compose.plan.observed import Observed, ObservedContainer

LIVE = ("running", "paused", "restarting")
_HEX = frozenset("0123456789abcdef")


def is_live(container: ObservedContainer) -> bool:
    """Whether the container's application runs, or will again by its restart policy."""
    return container.status in LIVE


def temporary_name(ident: str, name: str) -> str:
    """What the successor of container ``ident`` is called until it takes ``name``."""
    return f"{ident[:12]}_{name}"


def replaced_prefix(container: ObservedContainer) -> str:
    """The first 12 digits of the id that this container is to replace, read from its temporary name; or empty."""
    prefix, bar, _name = container.name.partition("_")
    return prefix if bar and len(prefix) == 12 and _HEX.issuperset(prefix) else ""


def short_name(project: str, container: ObservedContainer) -> str:
    """``web-1`` for ``shop-web-1``; other names as they are, without the prefix of a successor."""
    name = container.name
    if replaced_prefix(container):
        name = name[13:]
    return labels.without_project(project, name)


def final_name(desired: Desired, service: str, number: int, container_name: str = "") -> str:
    return container_name or labels.container_name(desired.project, service, number, desired.separator)


def title(desired: Desired, service: str, number: int, container_name: str = "") -> str:
    """The short name of a replica, as plans and logs show it."""
    return container_name or f"{service}{desired.separator}{number}"


@record
class Replica:
    """The containers that claim one number of a service: ``current`` first choice; ``successor`` was made to replace
    it by a command that did not end; ``spare`` are others of the same number, to be removed."""

    number: int
    current: ObservedContainer
    successor: ObservedContainer | None = None
    spare: tuple[ObservedContainer, ...] = ()


def service_containers(observed: Observed) -> dict[str, list[ObservedContainer]]:
    """Containers by service, one-offs left out, each list by number."""
    found: dict[str, list[ObservedContainer]] = {}
    for container in sorted(observed.containers, key=lambda one: (one.number, one.created_at, one.id)):
        if not container.oneoff:
            found.setdefault(container.service, []).append(container)
    return found


def group_replicas(containers: list[ObservedContainer]) -> list[Replica]:
    """One Replica per number, by number."""
    groups: dict[int, list[ObservedContainer]] = {}
    for container in containers:
        groups.setdefault(container.number, []).append(container)
    return [_choose(number, groups[number]) for number in sorted(groups)]


def _choose(number: int, group: list[ObservedContainer]) -> Replica:
    if len(group) == 1:
        return Replica(number, group[0])
    originals = [one for one in group if not replaced_prefix(one)] or group
    current = min(originals, key=lambda one: (not is_live(one), one.status == "creating", one.name, one.id))
    rest = [one for one in group if one is not current]
    successor = None
    for one in rest:
        if successor is None and replaced_prefix(one) == current.id[:12]:
            successor = one
    return Replica(number, current, successor, tuple(one for one in rest if one is not successor))
