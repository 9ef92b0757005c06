"""The plan of ``down``: dependents first, then networks, then volumes. Works without a file, from the labels."""

from __future__ import annotations

from compose import labels
from compose.plan.actions import (
    Disconnect,
    Existing,
    RemoveContainer,
    RemoveImage,
    RemoveNetwork,
    RemoveProvider,
    RemoveVolume,
)
from compose.plan.halt import halt
from compose.plan.plan import PlanBuilder
from compose.plan.providers import is_provided
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
    removed: list[int] = []
    ended: list[int] = []  # steps after which nothing of a container runs: its network need not wait for its files
    stopped: dict[str, list[int]] = {}
    groups: dict[str, list[ObservedContainer]] = {}
    for container in leaving:
        groups.setdefault(container.service, []).append(container)
    for service in reverse_order(set(groups), dependents):
        after = [step for other in dependents.get(service, ()) for step in stopped.get(other, ())]
        for container in groups[service]:
            stop, remove = _remove(builder, project, container, intent, after, dropped)
            stopped.setdefault(service, []).append(stop or remove)
            removed.append(remove)
            ended.append(stop or remove)
    for name in _providers(desired, observed, intent, dependents):
        builder.add(RemoveProvider(name), "down", ended)
    for network in networks:
        title = network.labels.get(labels.NETWORK, network.name)
        builder.add(RemoveNetwork(title, network.name), "no longer used", ended)
    for ident in observed.lost if used else ():
        builder.add(Disconnect(ident[:12], Existing(ident)), "its container is gone")
    for name, who in used:
        builder.warn(f"network {name} is kept: {who}")
    if intent.volumes:
        _volumes(builder, desired, observed, removed)
    if intent.images and not intent.services:
        _images(builder, desired, observed, removed, everything=intent.images == "all")
    if not builder.steps and not builder.warnings:
        builder.warn(f"no resource found to remove for project {project}")
    return builder.build(project, desired)


def _images(
    builder: PlanBuilder, desired: Desired | None, observed: Observed, after: list[int], *, everything: bool
) -> None:
    """What the services are made from, as far as it is there. Without a file, what the containers were made from."""
    there = {image.reference for image in observed.images}
    if desired is not None:
        used = [one.image for one in desired.services if everything or not one.config.get("image")]
        used = [reference for reference in used if reference in there]
    else:
        used = [one.labels.get(labels.IMAGE_REFERENCE, "") for one in observed.containers if everything]
    for reference in dict.fromkeys(filter(None, used)):
        builder.add(RemoveImage(reference), "--rmi", after)


def _providers(
    desired: Desired | None, observed: Observed, intent: DownIntent, dependents: Mapping[str, list[str]]
) -> list[str]:
    """The provider services that go: those of the file, and those that an earlier command had made."""
    declared = {service.name for service in desired.services if is_provided(service)} if desired is not None else set()
    names = sorted(declared | set(observed.provided))
    if not intent.services:
        return names
    edges = {name: dependents.get(name, []) for name in {*names, *dependents}}
    return [name for name in names if name in closure(intent.services, edges)]


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
    known = {one.service for one in observed.containers} | set(observed.provided)
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
        extra = (container.oneoff and labels.HOOK not in container.labels) or container.service not in known
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
) -> tuple[int, int]:
    """(step that stops it or 0, step that removes it).

    Endpoints on networks that go with this plan go with them, all at once: one step instead of one each.
    """
    reason = "one-off" if container.oneoff else "down"
    outside = any(endpoint.network not in dropped for endpoint in container.endpoints)
    stopped = halt(builder, project, container, reason, after=after, timeout=intent.timeout, disconnect=outside)
    name, force = short_name(project, container), container.status in ("creating", "created")
    action = RemoveContainer(name, Existing(container.id), intent.volumes, force)
    return stopped, builder.add(action, reason, (stopped,) if stopped else after)


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
    going = {container.id for container in leaving} | set(observed.lost)
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
    """Those of the file, or without one all that are labelled as the project's."""
    declared = None
    if desired is not None:
        declared = {volume.name: volume.key for volume in desired.volumes if not volume.external}
    for volume in observed.volumes:
        ours = volume.project == observed.project
        if ours and (declared is None or volume.name in declared):
            title = declared[volume.name] if declared is not None else volume.labels.get(labels.VOLUME, volume.name)
            builder.add(RemoveVolume(title, volume.name), "--volumes", after)
