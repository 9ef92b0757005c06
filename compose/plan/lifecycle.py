"""Plans of the commands that act on containers as they are: stop, restart, kill, pause, unpause, rm."""

from __future__ import annotations

from compose.plan.actions import (
    Connect,
    Disconnect,
    Existing,
    KillContainer,
    PauseContainer,
    PrepareContainer,
    StartContainer,
    StopContainer,
    StopProvider,
    UnpauseContainer,
)
from compose.plan.down import dependents_by_service, reverse_order
from compose.plan.halt import take_down
from compose.plan.hooks import post_start, pre_stop
from compose.plan.plan import PlanBuilder
from compose.plan.providers import is_provided
from compose.plan.select import check_names, closure, shared_services
from compose.plan.waits import Gate
from compose.plan.world import is_live, service_containers, short_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from compose.plan.desired import Desired
    from compose.plan.intent import LifeIntent
    from compose.plan.observed import Observed, ObservedContainer
    from compose.plan.plan import Plan


def plan_stop(desired: Desired | None, observed: Observed, intent: LifeIntent) -> Plan:
    """Stop the services' running containers, dependents first, and give back their networks."""
    builder = PlanBuilder()
    dependents = dependents_by_service(desired, observed)
    containers = _chosen(desired, observed, intent)
    ended: dict[str, list[int]] = {}
    for service in reverse_order(set(containers), dependents):
        after = [step for other in dependents.get(service, ()) for step in ended.get(other, ())]
        for container in containers[service]:
            if is_live(container):
                steps = _stop(builder, observed.project, container, intent.timeout, "stop", after)
                ended.setdefault(service, []).extend(steps)
    for one in desired.services if desired is not None else ():
        if is_provided(one) and (not intent.services or one.name in intent.services):
            after = [step for other in dependents.get(one.name, ()) for step in ended.get(other, ())]
            builder.add(StopProvider(one.name), "stop", after)
    return builder.build(observed.project, desired)


def plan_restart(desired: Desired, observed: Observed, intent: LifeIntent) -> Plan:
    """Stop and start again, in the order of the dependencies, what was named and what asks to be restarted with it."""
    builder = PlanBuilder()
    containers = _restarted(desired, observed, intent)
    dependents = dependents_by_service(desired, observed)
    stopped: dict[str, list[int]] = {}
    ended: dict[str, int] = {}
    for service in reverse_order(set(containers), dependents):
        after = [step for other in dependents.get(service, ()) for step in stopped.get(other, ())]
        for container in containers[service]:
            steps = _stop(builder, observed.project, container, intent.timeout, "restart", after)
            stopped.setdefault(service, []).extend(steps)
            ended[container.id] = steps[-1] if steps else 0
    _start_again(builder, desired, observed, containers, ended)
    return builder.build(observed.project, desired)


def plan_kill(desired: Desired | None, observed: Observed, intent: LifeIntent) -> Plan:
    """Send the signal to every running container of the services."""
    builder = PlanBuilder()
    for container in _each(desired, observed, intent):
        if is_live(container):
            name, target = short_name(observed.project, container), Existing(container.id)
            builder.add(KillContainer(name, target, intent.signal), intent.signal)
    if intent.remove_orphans and desired is not None:
        known = {service.name for service in desired.services} | set(desired.disabled)
        for container in observed.containers:
            if not container.oneoff and container.service not in known:
                take_down(builder, observed.project, container, "orphan: no such service", timeout=intent.timeout)
    return builder.build(observed.project, desired)


def plan_pause(desired: Desired | None, observed: Observed, intent: LifeIntent) -> Plan:
    """Freeze the services' containers. One that is paused already is not left out: the engine refuses it, as Docker."""
    builder = PlanBuilder()
    for container in _each(desired, observed, intent):
        if is_live(container):
            builder.add(PauseContainer(short_name(observed.project, container), Existing(container.id)), "pause")
    return builder.build(observed.project, desired)


def plan_unpause(desired: Desired | None, observed: Observed, intent: LifeIntent) -> Plan:
    """Thaw the services' containers."""
    builder = PlanBuilder()
    for container in _each(desired, observed, intent):
        if is_live(container):
            builder.add(UnpauseContainer(short_name(observed.project, container), Existing(container.id)), "unpause")
    return builder.build(observed.project, desired)


def plan_rm(desired: Desired | None, observed: Observed, intent: LifeIntent) -> Plan:
    """Remove the services' stopped containers; with ``stop``, stop the others first and remove them too."""
    builder = PlanBuilder()
    dependents = dependents_by_service(desired, observed)
    containers = _chosen(desired, observed, intent)
    for service in reverse_order(set(containers), dependents):
        for container in containers[service]:
            if intent.stop or not is_live(container):
                take_down(builder, observed.project, container, "rm", timeout=intent.timeout, volumes=intent.volumes)
    return builder.build(observed.project, desired)


def _stop(
    builder: PlanBuilder,
    project: str,
    container: ObservedContainer,
    timeout: float | None,
    reason: str,
    after: list[int],
) -> list[int]:
    """Stop if it runs, disconnect if it is attached; the numbers of the steps."""
    name, target = short_name(project, container), Existing(container.id)
    steps: list[int] = []
    if is_live(container):
        before = pre_stop(builder, container, name, target, after)
        steps.append(builder.add(StopContainer(name, target, timeout), reason, before))
    if container.endpoints and container.status != "created":
        steps.append(builder.add(Disconnect(name, target), reason, steps[-1:] or after))
    return steps


def _start_again(
    builder: PlanBuilder,
    desired: Desired,
    observed: Observed,
    containers: dict[str, list[ObservedContainer]],
    ended: dict[str, int],
) -> None:
    from compose.plan.intent import Intent

    gate = Gate(builder, desired, Intent(), set(containers))
    services = {service.name: service for service in desired.services}
    for name in desired.order:
        service = services[name]
        for container in containers.get(name, ()):
            label, target = short_name(observed.project, container), Existing(container.id)
            last = ended[container.id]
            if container.status != "created" or not container.supervised:
                shared = [step for other in shared_services(service) for step in gate.started_steps(other)]
                last = builder.add(PrepareContainer(label, target), "restart", (last, *shared))
            for key in service.networks:
                last = builder.add(Connect(label, target, name, key), f"{key}: declared network", (last,))
            started = builder.add(StartContainer(label, target), "restart", (last, *gate.steps(service)))
            started = post_start(builder, service, label, target, started)
            gate.note(name, target, [started], None)


def _restarted(desired: Desired, observed: Observed, intent: LifeIntent) -> dict[str, list[ObservedContainer]]:
    """The containers to restart: of the named services, and of those with a ``restart: true`` edge to one of them."""
    named = [service.name for service in desired.services]
    check_names(named, intent.services)
    chosen = set(intent.services or named)
    if not intent.no_deps:
        edges: dict[str, list[str]] = {name: [] for name in named}
        for service in desired.services:
            for edge in service.dependencies:
                if edge.restart and edge.service in edges:
                    edges[edge.service].append(service.name)
        chosen = closure(chosen, edges)
    containers = service_containers(observed)
    return {name: containers[name] for name in desired.order if name in chosen and name in containers}


def _chosen(desired: Desired | None, observed: Observed, intent: LifeIntent) -> dict[str, list[ObservedContainer]]:
    """Containers of the services that were named, or of all; one-offs left out."""
    containers = service_containers(observed)
    known = sorted(containers)
    if desired is not None:
        known = [*(service.name for service in desired.services), *desired.disabled]
    check_names(known, intent.services)
    wanted = intent.services or known
    return {name: rows for name, rows in containers.items() if name in wanted}


def _each(desired: Desired | None, observed: Observed, intent: LifeIntent) -> Iterator[ObservedContainer]:
    for rows in _chosen(desired, observed, intent).values():
        yield from rows


def plan_remove(desired: Desired | None, observed: Observed, idents: tuple[str, ...], *, volumes: bool) -> Plan:
    """Stop and remove certain containers (the end of ``run --rm``)."""
    builder = PlanBuilder()
    for container in observed.containers:
        if container.id in idents:
            take_down(builder, observed.project, container, "removed at its end", volumes=volumes)
    return builder.build(observed.project, desired)
