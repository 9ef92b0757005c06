"""The plan of ``down``: dependents first, then networks, then volumes. Works without a file, from the labels."""

from __future__ import annotations

from compose import labels
from compose.plan.actions import RemoveNetwork, RemoveVolume
from compose.plan.halt import take_down
from compose.plan.plan import PlanBuilder
from compose.plan.select import check_names, closure
from compose.plan.world import short_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from compose.plan.desired import Desired
    from compose.plan.intent import DownIntent
    from compose.plan.observed import Observed, ObservedContainer, ObservedNetwork
    from compose.plan.plan import Plan


def plan_down(desired: Desired | None, observed: Observed, intent: DownIntent) -> Plan:
    """Remove the project's containers and networks, and with ``volumes`` its named volumes. Raises UsageError.

    With services named: those and all that depend on them; a network goes when nobody of the project is left on it.
    """
    builder = PlanBuilder()
    project = desired.project if desired is not None else observed.project
    dependents = dependents_by_service(desired, observed)
    leaving, staying = _split(desired, observed, intent, dependents)
    networks, used = _networks(builder, desired, observed, leaving, staying, bool(intent.services))
    dropped = {network.name for network in networks}
    removed: dict[str, list[int]] = {}
    for service in reverse_order({one.service for one in leaving}, dependents):
        after = [step for other in dependents.get(service, ()) for step in removed.get(other, ())]
        for container in leaving:
            if container.service == service:
                last = _remove(builder, project, container, intent, after, dropped)
                removed.setdefault(service, []).append(last)
    everyone = [step for steps in removed.values() for step in steps]
    for network in networks:
        title = network.labels.get(labels.NETWORK, network.name)
        builder.add(RemoveNetwork(title, network.name), "no longer used", everyone)
    for name, who in used:
        builder.warn(f"network {name} is kept: {who}")
    if intent.volumes:
        _volumes(builder, desired, observed, everyone)
    if not builder.steps and not builder.warnings:
        builder.warn(f"no resource found to remove for project {project}")
    return builder.build(project, desired)


def dependents_by_service(desired: Desired | None, observed: Observed) -> dict[str, list[str]]:
    """For each service, those that depend on it: from the file, else from the containers' labels."""
    edges: dict[str, set[str]] = {}
    if desired is not None:
        for service in desired.services:
            edges[service.name] = {edge.service for edge in service.dependencies}
    for container in observed.containers:
        if container.service not in edges:
            text = container.labels.get(labels.DEPENDS_ON, "")
            edges[container.service] = {row.split(":")[0] for row in text.split(",") if row}
    found: dict[str, list[str]] = {}
    for name in sorted(edges):
        for other in sorted(edges[name]):
            found.setdefault(other, []).append(name)
    return found


def reverse_order(services: set[str], dependents: Mapping[str, list[str]]) -> list[str]:
    """Services with their dependents before them, otherwise by name. A cycle in stale labels is cut, not followed."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(service: str) -> None:
        if service in seen:
            return
        seen.add(service)
        for other in dependents.get(service, ()):
            visit(other)
        if service in services:
            order.append(service)

    for service in sorted(services):
        visit(service)
    return order


def _split(
    desired: Desired | None, observed: Observed, intent: DownIntent, dependents: Mapping[str, list[str]]
) -> tuple[list[ObservedContainer], list[ObservedContainer]]:
    """(containers that go, containers that stay)."""
    known = {one.service for one in observed.containers}
    if desired is not None:
        known = {service.name for service in desired.services} | set(desired.disabled)
    chosen = known
    if intent.services:
        check_names(sorted(known), intent.services)
        edges = {name: dependents.get(name, []) for name in {*known, *dependents}}
        chosen = closure(intent.services, edges)
    leaving: list[ObservedContainer] = []
    staying: list[ObservedContainer] = []
    for container in observed.containers:
        extra = container.oneoff or container.service not in known
        goes = intent.remove_orphans if extra else container.service in chosen
        (leaving if goes else staying).append(container)
    return leaving, staying


def _remove(
    builder: PlanBuilder,
    project: str,
    container: ObservedContainer,
    intent: DownIntent,
    after: list[int],
    dropped: set[str],
) -> int:
    """Endpoints on networks that go with this plan go with them, all at once: one step instead of one each."""
    reason = "down"
    if container.oneoff:
        reason = "one-off"
    outside = any(endpoint.network not in dropped for endpoint in container.endpoints)
    return take_down(
        builder,
        project,
        container,
        reason,
        after=after,
        timeout=intent.timeout,
        volumes=intent.volumes,
        disconnect=outside,
    )


def _networks(
    builder: PlanBuilder,
    desired: Desired | None,
    observed: Observed,
    leaving: list[ObservedContainer],
    staying: list[ObservedContainer],
    partial: bool,
) -> tuple[list[ObservedNetwork], list[tuple[str, str]]]:
    """(networks to remove, networks of ours that stay in use with who uses them)."""
    external = {network.name for network in desired.networks if network.external} if desired is not None else set()
    going = {container.id for container in leaving}
    names = {container.id: short_name(observed.project, container) for container in staying}
    attached: dict[str, list[str]] = {}
    for container in staying:
        for endpoint in container.endpoints:
            attached.setdefault(endpoint.network, []).append(container.id)
    free, used = [], []
    for network in observed.networks:
        if network.project != observed.project or network.name in external:
            continue
        users = {*network.containers, *attached.get(network.name, ())} - going
        if not users:
            if not (partial and staying):
                free.append(network)
        elif not partial:
            who = ", ".join(sorted(names.get(ident, ident[:12]) for ident in users))
            used.append((network.name, f"still used by {who}"))
    return free, used


def _volumes(builder: PlanBuilder, desired: Desired | None, observed: Observed, after: list[int]) -> None:
    declared = None
    if desired is not None:
        declared = {volume.name for volume in desired.volumes if not volume.external}
    for volume in observed.volumes:
        ours = volume.project == observed.project
        if ours and (declared is None or volume.name in declared):
            title = volume.labels.get(labels.VOLUME, volume.name)
            builder.add(RemoveVolume(title, volume.name), "--volumes", after)
