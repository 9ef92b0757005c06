"""From decisions to steps: the order in which containers are made, stopped, connected, started and removed."""

from __future__ import annotations

from compose import labels
from compose.plan.actions import (
    AdoptContainer,
    Connect,
    CreateContainer,
    Created,
    Disconnect,
    Existing,
    PostStart,
    PrepareContainer,
    RemoveContainer,
    RenameContainer,
    StartContainer,
    StartProvider,
    UnpauseContainer,
    UpdateContainer,
)
from compose.plan.decide import Keep, Make, Replace, Retire
from compose.plan.halt import halt
from compose.plan.halting import Halts
from compose.plan.hooks import SELF, hook_name, post_start, pre_start
from compose.plan.providers import is_provided
from compose.plan.select import shared_services, volume_mounts
from compose.plan.waits import Gate
from compose.plan.world import final_name, is_live, replaced_prefix, short_name, temporary_name, title
from compose.record import EMPTY, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from compose.plan.actions import Target
    from compose.plan.decide import Decision, Decisions
    from compose.plan.desired import Desired, DesiredService
    from compose.plan.intent import Intent, OneOff
    from compose.plan.observed import Observed, ObservedContainer
    from compose.plan.plan import PlanBuilder


@record
class Ready:
    """Per key of a network or volume, and per image, the step after which it is there (0: already)."""

    networks: dict[str, int]
    volumes: dict[str, int]
    images: Mapping[str, int] = EMPTY


class Writer:
    """Writes the steps of ``up`` and its relatives, service by service, dependencies first."""

    def __init__(
        self, builder: PlanBuilder, desired: Desired, observed: Observed, intent: Intent, decisions: Decisions
    ) -> None:
        self.builder = builder
        self.desired = desired
        self.intent = intent
        self.decisions = decisions
        self.services = {service.name: service for service in desired.services}
        self.network_names = {network.key: network.name for network in desired.networks}
        self.halts = Halts(builder, desired, intent, decisions)
        self.gate = Gate(builder, desired, intent, decisions.selected)
        self.vacated: dict[str, int] = {}  # container name -> step that removes who has it
        self.freed: list[int] = []  # steps that give back published ports of containers that go
        self.ready = Ready({}, {})
        self.orphans: list[ObservedContainer] = []
        self.hooked: dict[str, int] = {}  # service -> the last step of its pre_start commands

    def release(self, idents: Iterable[str]) -> None:
        """Give back what containers that are gone still hold on the networks: names, leases, published ports."""
        for ident in idents:
            action = Disconnect(ident[:12], Existing(ident))
            self.freed.append(self.builder.add(action, "its container is gone"))

    # one service

    def retire(self, name: str) -> None:
        """Remove what is not wanted of a service."""
        for row in self.decisions.of[name]:
            if isinstance(row, Retire):
                self.remove(row.container, row.reason)

    def remove(self, container: ObservedContainer, reason: str) -> int:
        """Stop, disconnect and remove; remembers that its ports are free afterwards."""
        halted = self.halts.done.get(container.id, 0)
        name, target = short_name(self.desired.project, container), Existing(container.id)
        if not halted:
            halted = halt(self.builder, self.desired.project, container, reason, timeout=self.intent.timeout)
        force = container.status in ("creating", "created")
        if any(endpoint.ports for endpoint in container.endpoints):
            self.freed.append(halted)
        return self._vacate(container, RemoveContainer(name, target, False, force), reason, halted)

    def _vacate(self, container: ObservedContainer, action: RemoveContainer, reason: str, after: int = 0) -> int:
        step = self.builder.add(action, reason, (after,))
        self.vacated[container.name] = step
        return step

    def write(self, name: str) -> None:
        """The steps for what stays of a service or is made."""
        service = self.services[name]
        if not service.config.get("pre_start") or any(map(_runs_on, self.decisions.of[name])):
            self.hooked[name] = 0
        selected = name in self.decisions.selected
        if is_provided(service) and selected and self.intent.providers and self.intent.converge:
            step = self.builder.add(StartProvider(name), "asks its provider", self.gate.steps(service))
            self.gate.provided(name, step)
        for row in self.decisions.of[name]:
            match row:
                case Keep():
                    if selected or row.restart:
                        self._keep(service, row)
                case Make():
                    self._make(service, row)
                case Replace():
                    self._replace(service, row)
                case Retire():
                    pass

    def _make(self, service: DesiredService, row: Make) -> None:
        after = [self._clear(row.instead, row.reason)] if row.instead else []
        name = final_name(self.desired, service.name, row.number, service.container_name)
        label = self._title(service, row.number)
        created = self._create(service, row.number, name, row.reason, after=after)
        if self.intent.no_start:
            return
        connects = self._connect(service, label, Created(created), (), (created,))
        reason = f"created by step {created}"
        self._start(service, label, Created(created), reason, connects or [created])

    def _clear(self, container: ObservedContainer, reason: str) -> int:
        name, target = short_name(self.desired.project, container), Existing(container.id)
        halted = self.halts.done.get(container.id) or halt(self.builder, self.desired.project, container, reason)
        return self._vacate(container, RemoveContainer(name, target, False, True), reason, halted)

    def _create(
        self, service: DesiredService, number: int, name: str, reason: str, *, after: Iterable[int], replaces: str = ""
    ) -> int:
        shares = self._shares(service)
        needed = [
            *after,
            self.vacated.get(name, 0),
            self.ready.images.get(service.image, 0),
            *(self.ready.volumes.get(key, 0) for key, _target in volume_mounts(service)),
        ]
        needed += [step for other in shared_services(service) for step in self.gate.started_steps(other)]
        needed += self._provider_steps(service)
        label = self._title(service, number)
        return self.builder.add(CreateContainer(label, service.name, number, name, replaces, shares), reason, needed)

    def _replace(self, service: DesiredService, row: Replace) -> None:
        old = row.old
        label = self._title(service, row.number)
        final = final_name(self.desired, service.name, row.number, service.container_name)
        target, last, because = self._successor(service, row, final)
        halted = self._halt_replaced(service, row, last, because)
        after = [step for step in (last, halted) if step]
        if not self.intent.no_start:
            after = self._raise_successor(service, label, row, target, after, last)
        gone = RemoveContainer(label, Existing(old.id), self.intent.renew_anon_volumes, old.status == "created")
        removed = self.builder.add(gone, because, after)
        vacated = self.vacated.get(final, 0)
        self.builder.add(RenameContainer(label, target, final), f"{old.id[:6]} is gone", (removed, vacated))

    def _successor(self, service: DesiredService, row: Replace, final: str) -> tuple[Target, int, str]:
        """(the new container, the step that creates it or 0, what to say of the old one)."""
        if row.successor is not None:
            return Existing(row.successor.id), 0, f"{row.old.id[:6]}, replaced by {row.successor.id[:6]}"
        replaces = "" if self.intent.renew_anon_volumes else row.old.id
        name = temporary_name(row.old.id, final)
        created = self._create(service, row.number, name, row.reason, after=(), replaces=replaces)
        return Created(created), created, f"{row.old.id[:6]}, replaced by step {created}"

    def _halt_replaced(self, service: DesiredService, row: Replace, last: int, because: str) -> int:
        if row.old.id in self.halts.done:
            return self.halts.done[row.old.id]
        gate = [] if self.intent.no_start else self.gate.steps(service)
        others = self.halts.of_dependents(service.name)
        return halt(
            self.builder,
            self.desired.project,
            row.old,
            because,
            after=[last, *gate, *others],
            timeout=self.intent.timeout,
        )

    def _raise_successor(
        self, service: DesiredService, label: str, row: Replace, target: Target, after: list[int], created: int
    ) -> list[int]:
        successor = row.successor
        if successor is None:
            connects = self._connect(service, label, target, (), after)
            return [self._start(service, label, target, f"created by step {created}", connects or after)]
        return self._raise(service, label, successor, row.reason, after) or after

    # containers that are there

    def _keep(self, service: DesiredService, row: Keep) -> None:
        container = row.container
        label = self._title(service, row.number)
        target = Existing(container.id)
        last: list[int] = []
        if row.changes:
            update = UpdateContainer(label, target, service.name, row.changes)
            last = [self.builder.add(update, row.reason, self._before_update(service, row.changes))]
        if row.restart and container.id in self.halts.done:
            last = self._restart(service, label, row, last)
        elif not self.intent.no_start:
            last = self._raise(service, label, container, "", last)
        else:
            self.gate.note(service.name, target, [], container)
        if replaced_prefix(container) and service.name in self.decisions.selected:
            final = final_name(self.desired, service.name, row.number, service.container_name)
            last = [*last, self.vacated.get(final, 0)]
            self.builder.add(RenameContainer(label, target, final), "finishes what was begun", last)

    def _before_update(self, service: DesiredService, changes: tuple[str, ...]) -> list[int]:
        """Networks that must be there, and ports that must be free, before a container gets them in place."""
        touched = {path.split(".")[0] for path in changes}
        networks = [self.ready.networks.get(key, 0) for key in service.networks] if "networks" in touched else []
        return [*networks, *(self.freed if "ports" in touched else ())]

    def _restart(self, service: DesiredService, label: str, row: Keep, after: list[int]) -> list[int]:
        target = Existing(row.container.id)
        if self.intent.no_start:
            return after
        needed = [*after, self.halts.done[row.container.id], *self._namespace_steps(service)]
        prepared = self.builder.add(PrepareContainer(label, target), row.restart, needed)
        connects = self._connect(service, label, target, (), (prepared,))
        return [self._start(service, label, target, row.restart, connects or [prepared])]

    def _raise(
        self, service: DesiredService, label: str, container: ObservedContainer, reason: str, after: list[int]
    ) -> list[int]:
        """Bring a container that stays to running and connected; the last steps, or none."""
        target = Existing(container.id)
        halted = self.halts.done.get(container.id)
        attached = () if halted else tuple(one.network for one in container.endpoints)
        after = [*after, halted] if halted else list(after)
        if is_live(container) and not halted:
            return self._mend(service, label, container, attached, after)
        if container.status == "created" and container.supervised:
            # All its networks, also those it seems to be on: an earlier command may have been killed inside a connect.
            steps = self._trim(service, label, target, attached, list(after))
            steps = self._connect(service, label, target, (), steps) or steps
            return [self._start(service, label, target, reason or "created, not started", steps)]
        why = reason or _ended(container)
        if attached:
            after = [self.builder.add(Disconnect(label, target), "left by its last run", after)]
        prepared = self.builder.add(PrepareContainer(label, target), why, [*after, *self._namespace_steps(service)])
        connects = self._connect(service, label, target, (), (prepared,))
        return [self._start(service, label, target, f"prepared by step {prepared}", connects or [prepared])]

    def _mend(
        self,
        service: DesiredService,
        label: str,
        container: ObservedContainer,
        attached: tuple[str, ...],
        after: list[int],
    ) -> list[int]:
        target = Existing(container.id)
        steps = list(after)
        if not container.supervised:
            steps = [self.builder.add(AdoptContainer(label, target), "its shim is gone", steps)]
        steps = self._trim(service, label, target, attached, steps)
        steps = self._connect(service, label, target, attached, steps) or steps
        if container.status == "paused":
            steps = [self.builder.add(UnpauseContainer(label, target), "paused", steps)]
        if container.hook_pending:
            steps = [self.builder.add(PostStart(label, target), "did not succeed when it was started", steps)]
        self.gate.note(service.name, target, steps, container)
        return steps

    def _trim(
        self, service: DesiredService, label: str, target: Target, attached: tuple[str, ...], after: list[int]
    ) -> list[int]:
        """Take the container off networks that it does not declare: one of them may have another name now."""
        declared = {self.network_names.get(key, key) for key in service.networks}
        for name in attached:
            if name not in declared:
                after = [self.builder.add(Disconnect(label, target, name), f"{name}: not declared", after)]
        return after

    def _namespace_steps(self, service: DesiredService) -> list[int]:
        return [step for other in shared_services(service) for step in self.gate.started_steps(other)]

    # the ends of every way

    def _connect(
        self, service: DesiredService, label: str, target: Target, attached: tuple[str, ...], after: Iterable[int]
    ) -> list[int]:
        """One step per declared network that is not attached, one after another: their order names the interfaces."""
        last = list(after)
        freed = self.freed if service.config.get("ports") else ()
        made: list[int] = []
        for key in service.networks:
            if self.network_names.get(key, key) in attached:
                continue
            needed = [*last, self.ready.networks.get(key, 0), *freed]
            made = [self.builder.add(Connect(label, target, service.name, key), f"{key}: declared network", needed)]
            last = made
        return made

    def _start(self, service: DesiredService, label: str, target: Target, reason: str, after: Iterable[int]) -> int:
        needed = [*after, *self.gate.steps(service)]
        if service.name not in self.hooked:  # before the first of its replicas, whose volumes they see
            self.hooked[service.name] = self._pre_start(service, target, needed)
        step = self.builder.add(StartContainer(label, target), reason, [*needed, self.hooked[service.name]])
        step = post_start(self.builder, service, label, target, step)
        self.gate.note(service.name, target, [step], None)
        return step

    def _pre_start(self, service: DesiredService, target: Target, after: list[int]) -> int:
        shares = {**self._shares(service), SELF: target}
        for index in range(len(service.config["pre_start"])):
            after.append(self.vacated.get(hook_name(self.desired.project, service.name, index), 0))
        return pre_start(self.builder, self.desired.project, service, shares, after, self.ready.networks)

    def _provider_steps(self, service: DesiredService) -> list[int]:
        """The steps whose outcome goes into the service's environment."""
        providers = [edge.service for edge in service.dependencies if is_provided(self.services[edge.service])]
        return [step for name in providers for step in self.gate.started_steps(name)]

    def _shares(self, service: DesiredService) -> dict[str, Target]:
        return {f"service:{other}": target for other in shared_services(service) if (target := self.gate.first(other))}

    def _title(self, service: DesiredService, number: int) -> str:
        return title(self.desired, service.name, number, service.container_name)

    # run

    def write_oneoff(self, oneoff: OneOff) -> None:
        """Create and connect the container of ``run``; starting it is the caller's, who attaches first."""
        service = self.services[oneoff.service]
        label = labels.without_project(self.desired.project, oneoff.name)
        shares = self._shares(service)
        needed = [self.ready.volumes.get(key, 0) for key, _target in volume_mounts(service)]
        needed += [*self.gate.steps(service), *self._namespace_steps(service), *self._provider_steps(service)]
        action = CreateContainer(label, service.name, 1, oneoff.name, "", shares, oneoff.ident, oneoff.overrides)
        created = self.builder.add(action, "one-off", needed)
        last = created
        for key in service.networks:
            connect = Connect(label, Created(created), service.name, key, oneoff.aliases)
            needed = [last, self.ready.networks.get(key, 0), *self.freed]
            last = self.builder.add(connect, f"{key}: declared network", needed)


def _runs_on(row: Decision) -> bool:
    """Whether a replica goes on running: then its service's pre_start commands have done their work."""
    return isinstance(row, Keep) and is_live(row.container)


def _ended(container: ObservedContainer) -> str:
    if container.status == "created":
        return "created, not booted"
    if is_live(container):
        return "stopped for its network"
    return f"stopped with code {container.exit_code}"
