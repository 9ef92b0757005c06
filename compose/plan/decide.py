"""What becomes of each container, decided before any step is written: keep, replace, make, retire.

Rules are docker compose's, except that gaps in the numbers are filled (so that a command that was killed half-way and
run again ends with replicas 1..N) and that a change which can be made in place does not recreate.
"""

from __future__ import annotations

from compose.errors import UsageError
from compose.plan.divergence import FILE_CONTENTS, IN_PLACE, diff
from compose.plan.providers import is_provided
from compose.plan.select import dependents, shared_services, volume_mounts
from compose.plan.world import group_replicas, is_live, service_containers
from compose.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compose.plan.desired import Dependency, Desired, DesiredService
    from compose.plan.intent import Intent
    from compose.plan.observed import Observed, ObservedContainer
    from compose.plan.world import Replica

SPOILED = "the machine stopped while it ran, its files are incomplete"


@record
class Keep:
    """The container stays. ``changes``: paths to apply in place. ``restart``: why it is stopped and started again."""

    container: ObservedContainer
    number: int
    changes: tuple[str, ...] = ()
    reason: str = ""
    restart: str = ""


@record
class Make:
    """A new container. ``instead``: what has its number now and cannot be used."""

    number: int
    reason: str
    instead: ObservedContainer | None = None


@record
class Replace:
    """``old`` gives way to a new container, or to ``successor`` which an earlier command made for that."""

    old: ObservedContainer
    number: int
    reason: str
    successor: ObservedContainer | None = None


@record
class Retire:
    """The container goes."""

    container: ObservedContainer
    reason: str


if TYPE_CHECKING:
    Decision = Keep | Make | Replace | Retire


class Decisions:
    """Decisions for every service of the project, dependencies first, so that their effects on others are known."""

    def __init__(
        self, desired: Desired, observed: Observed, intent: Intent, selected: Sequence[str], remade: Mapping[str, str]
    ) -> None:
        self.desired = desired
        self.intent = intent
        self.selected = set(selected)
        self.remade = remade  # name of a network that is made anew -> its key
        self.images = {image.reference: image for image in observed.images}
        self.volume_names = {volume.key: volume.name for volume in desired.volumes}
        self.containers = service_containers(observed)
        self.renewed: dict[str, str] = {}  # service -> "recreated" or "restarted", by this plan
        self.booted: set[str] = set()  # services whose containers get new namespaces
        self.of: dict[str, list[Decision]] = {}
        services = {service.name: service for service in desired.services}
        for name in desired.order:
            self._decide(services[name])
        rows = [row for found in self.of.values() for row in found]
        self.spoiled = [row.old for row in rows if isinstance(row, Replace) and row.reason == SPOILED]

    def _decide(self, service: DesiredService) -> None:
        replicas = group_replicas(self.containers.get(service.name, []))
        if service.name in self.selected:
            rows = self._select(service, replicas)
        else:
            rows = [Keep(replica.current, replica.number) for replica in replicas]
        rows = [self._restarted(service, row) if isinstance(row, Keep) else row for row in rows]
        self.of[service.name] = rows
        for row in rows:
            if isinstance(row, Replace):
                self.renewed[service.name] = "recreated"
            elif isinstance(row, Keep) and row.restart:
                self.renewed.setdefault(service.name, "restarted")
        if service.name in self.selected and not self.intent.no_start and any(map(_boots, rows)):
            self.booted.add(service.name)

    # replicas

    def _select(self, service: DesiredService, replicas: list[Replica]) -> list[Decision]:
        rows: list[Decision] = []
        for replica in replicas:
            rows += [Retire(spare, f"duplicate of replica {replica.number}") for spare in replica.spare]
        judged = [self._judge_replica(service, replica) for replica in replicas]
        if not self.intent.converge:
            return rows + [row for replica in replicas for row in self._unchanged(replica)]
        wanted = wanted_replicas(service, self.intent)
        kept, retired = _scale(judged, wanted)
        rows += retired
        rows += [row for group in kept for row in group]
        taken = {_number(group) for group in kept}
        free = (number for number in range(1, wanted + 1 + len(taken)) if number not in taken)
        rows += [Make(next(free), "") for _missing in range(wanted - len(kept))]
        return [replace(row, reason=_absent(row)) if isinstance(row, Make) and not row.reason else row for row in rows]

    def _unchanged(self, replica: Replica) -> list[Decision]:
        if replica.current.status == "creating":
            return []
        return [Keep(replica.current, replica.number)]

    def _judge_replica(self, service: DesiredService, replica: Replica) -> list[Decision]:
        """The decisions for one number; the last one is what stands there afterwards."""
        successor = replica.successor
        if successor is not None:
            if successor.status != "creating" and not self._verdict(service, successor)[0]:
                return [Replace(replica.current, replica.number, "finishes what was begun", successor)]
            return [Retire(successor, "half-made replacement"), self._judge(service, replica)]
        return [self._judge(service, replica)]

    def _judge(self, service: DesiredService, replica: Replica) -> Decision:
        container = replica.current
        if container.status == "creating":
            return Make(replica.number, "half-made, made again", instead=container)
        reason, changes = self._verdict(service, container)
        if reason and not changes:
            return Replace(container, replica.number, reason)
        return Keep(container, replica.number, changes, reason)

    def _verdict(self, service: DesiredService, container: ObservedContainer) -> tuple[str, tuple[str, ...]]:
        """(why it is recreated or updated, paths to update in place); empty: nothing differs."""
        named = not self.intent.services or service.name in self.intent.services
        policy = self.intent.recreate if named else self.intent.recreate_deps
        if policy == "never":
            return "", ()
        if policy == "force":
            return "recreation forced", ()
        if container.spoiled:
            return SPOILED, ()
        for other in shared_services(service):
            if self.renewed.get(other) == "recreated":
                return f"uses a namespace or volumes of {other}, which is recreated", ()
        return self._difference(service, container)

    def _difference(self, service: DesiredService, container: ObservedContainer) -> tuple[str, tuple[str, ...]]:
        image = self.images.get(service.image)
        if image is not None and image.digest and container.image and image.digest != container.image:
            return f"image changed: {_digest(container.image)} → {_digest(image.digest)}", ()
        if container.config_hash != service.config_hash:
            return self._config_difference(service, container)
        return _mount_difference(service, container, self.volume_names), ()

    def _config_difference(self, service: DesiredService, container: ObservedContainer) -> tuple[str, tuple[str, ...]]:
        if container.config is None:
            return "config changed", ()
        changes = diff(container.config, service.config)
        if not changes:
            return "config changed: content of its configs or secrets", FILE_CONTENTS
        reason = "config changed: " + ", ".join(change.text(self.intent.show_values) for change in changes)
        if all(change.how == IN_PLACE for change in changes):
            return reason, tuple(change.path for change in changes)
        return reason, ()

    # consequences for others

    def _restarted(self, service: DesiredService, row: Keep) -> Keep:
        if not is_live(row.container):
            return row
        for endpoint in row.container.endpoints:
            if endpoint.network in self.remade:
                return replace(row, restart=f"network {self.remade[endpoint.network]} is made anew")
        for other in shared_services(service):
            if other in self.booted or other in self.renewed:
                return replace(row, restart=f"uses a namespace of {other}, which is started anew")
        for edge in service.dependencies:
            if edge.restart and edge.service in self.renewed:
                return replace(row, restart=f"{edge.service} is {self.renewed[edge.service]}")
        return row


def wanted_replicas(service: DesiredService, intent: Intent) -> int:
    """How many containers the service shall have. Raises UsageError."""
    if is_provided(service):
        return 0
    wanted = intent.scale.get(service.name, service.replicas)
    if wanted > 1 and service.container_name:
        raise UsageError(
            f"cannot scale {service.name} to {wanted}: container_name gives it one name, {service.container_name}",
            hint="remove container_name from the service",
        )
    return wanted


def restart_dependents(desired: Desired) -> dict[str, list[str]]:
    """For each service, those whose stop comes before its own when both are stopped by a plan."""
    found = dependents(desired)
    return {name: [service.name for service, _edge in rows] for name, rows in found.items()}


def edges_among(service: DesiredService, active: set[str]) -> list[Dependency]:
    """The dependencies of a service on active services."""
    return [edge for edge in service.dependencies if edge.service in active]


def _scale(judged: list[list[Decision]], wanted: int) -> tuple[list[list[Decision]], list[Decision]]:
    """Split into what stays and what goes: those to be recreated go first, then the highest numbers."""
    excess = len(judged) - wanted
    if excess <= 0:
        return judged, []
    order = sorted(judged, key=lambda rows: (isinstance(rows[-1], Keep) and not rows[-1].changes, -_number(rows)))
    leaving = order[:excess]
    retired = [row for rows in leaving for row in _retire(rows, wanted)]
    return [rows for rows in judged if rows not in leaving], retired


def _retire(rows: list[Decision], wanted: int) -> list[Decision]:
    reason = f"scaled to {wanted}"
    found: list[Decision] = []
    for row in rows:
        match row:
            case Retire():
                found.append(row)
            case Keep(container):
                found.append(Retire(container, reason))
            case Make(_number, _reason, instead):
                found += [Retire(instead, reason)] if instead else []
            case Replace(old, _number, _reason, successor):
                found += [Retire(one, reason) for one in (successor, old) if one]
    return found


def _number(rows: list[Decision]) -> int:
    last = rows[-1]
    return last.container.number if isinstance(last, Retire) else last.number


def _absent(row: Make) -> str:
    return f"no container for replica {row.number}"


def _boots(row: Decision) -> bool:
    """Whether the decision gives the service a container with new namespaces."""
    if isinstance(row, Keep):
        return not is_live(row.container)
    return not isinstance(row, Retire)


def _digest(text: str) -> str:
    return text.rpartition(":")[2][:12]


def _mount_difference(service: DesiredService, container: ObservedContainer, names: Mapping[str, str]) -> str:
    """A named volume that has another name now (``volumes.data.name``): the mount's own words did not change."""
    mounted = {target: source for kind, source, target in container.mounts if kind == "volume"}
    for key, target in volume_mounts(service):
        wanted = names.get(key, key)
        if target in mounted and mounted[target] != wanted:
            return f"volume {key} changed: {mounted[target]} → {wanted}"
    return ""
