"""Desired + Observed + Intent → Plan. Pure: the same values give the same plan."""

from __future__ import annotations

from compose import labels
from compose.plan.checks import PlanError, check_external, check_healthchecks, check_images, check_names
from compose.plan.containers import Ready, Writer
from compose.plan.decide import Decisions, Keep, Make, Replace
from compose.plan.networks import changed_volumes, check_remade, plan_networks, plan_volumes, remade_networks
from compose.plan.plan import PlanBuilder
from compose.plan.providers import with_all_values
from compose.plan.remake import Remade, remade_volumes
from compose.plan.select import check_names as check_service_names
from compose.plan.select import closure, select_services
from compose.plan.world import is_live, short_name
from compose.record import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compose.plan.desired import Desired, DesiredService
    from compose.plan.intent import ImageIntent, Intent
    from compose.plan.observed import Observed, ObservedContainer
    from compose.plan.plan import Plan


def reconcile(desired: Desired, observed: Observed, intent: Intent, images: ImageIntent | None = None) -> Plan:
    """The plan that brings what is to what should be. Raises PlanError or UsageError before anything is touched.

    ``images``: what is to be shown of images that are not there yet; a command that acts brings them before it looks.
    """
    builder = PlanBuilder()
    brought: Mapping[str, int] = EMPTY
    if images is not None:
        observed, brought = foresee_images(builder, desired, observed, images)
    asked = desired
    desired = with_all_values(desired, observed.provided)
    selected = _selected(desired, intent)
    services = _services(desired, intent, selected)
    volumes = remade_volumes(desired, services, observed, intent)
    before, observed = observed, volumes.without(observed)
    remade = remade_networks(desired, services, observed) if intent.converge else {}
    decisions = Decisions(desired, observed, intent, selected, remade)
    _check(desired, observed, intent, selected, services, decisions)
    _check_remade(decisions, volumes, selected, before)

    writer = Writer(builder, desired, observed, intent, decisions)
    writer.release(observed.lost)
    for container in decisions.spoiled:
        who = short_name(desired.project, container)
        builder.warn(f"{who} is made anew, without what it wrote beside its volumes: the machine stopped while it ran")
    emptied = writer.halts.all_first(observed)
    removed = volumes.write(writer)
    for steps in emptied.values():
        steps.extend(removed.values())
    _orphans(writer, desired, observed, intent)
    for container in observed.containers:
        if labels.HOOK in container.labels and container.service in decisions.selected:
            writer.remove(container, "left by a hook that did not succeed")
    for name in desired.order:
        writer.retire(name)
    writer.ready = Ready(
        plan_networks(builder, desired, services, observed, emptied),
        plan_volumes(builder, desired, services, observed, removed),
        brought,
    )
    for name in desired.order:
        if name in decisions.selected or _is_restarted(decisions, name):
            writer.write(name)
    if intent.oneoff is not None:
        writer.write_oneoff(intent.oneoff)
    if intent.wait:
        writer.gate.wait_for_all(selected)
    return builder.build(desired.project, asked)


def foresee_images(
    builder: PlanBuilder, desired: Desired, observed: Observed, intent: ImageIntent
) -> tuple[Observed, Mapping[str, int]]:
    """Write the steps that bring images; what will be observed then, and image → step."""
    from compose.plan.images import write_images
    from compose.plan.observed import ObservedImage
    from compose.record import replace

    steps = write_images(builder, desired, observed, intent).steps
    have = {image.reference for image in observed.images}
    coming = tuple(ObservedImage(reference, "") for reference in steps if reference not in have)
    return replace(observed, images=(*observed.images, *coming)), steps


def volumes_to_ask_about(desired: Desired, observed: Observed, intent: Intent) -> list[str]:
    """Names of the volumes whose configuration changed, which nobody agreed to lose yet."""
    desired = with_all_values(desired, observed.provided)
    services = _services(desired, intent, _selected(desired, intent))
    return [one.name for one in changed_volumes(desired, services, observed) if one.name not in intent.remake]


def orphans(desired: Desired, observed: Observed) -> list[ObservedContainer]:
    """Containers of the project whose service is not in it (services hidden by a profile are)."""
    known = {service.name for service in desired.services} | set(desired.disabled)
    return [one for one in observed.containers if not one.oneoff and one.service not in known]


def _selected(desired: Desired, intent: Intent) -> tuple[str, ...]:
    """The services to converge. For ``run``: what its service depends on, not the service itself."""
    oneoff = intent.oneoff
    if oneoff is None:
        check_service_names([service.name for service in desired.services], tuple(intent.scale))
        return select_services(desired, intent.services, dependencies=not intent.no_deps)
    select_services(desired, (oneoff.service,))
    if intent.no_deps:
        return ()
    edges = {one.name: [edge.service for edge in one.dependencies] for one in desired.services}
    chosen = closure(edges[oneoff.service], edges) - {oneoff.service}
    return tuple(name for name in desired.order if name in chosen)


def _services(desired: Desired, intent: Intent, selected: Sequence[str]) -> list[DesiredService]:
    names = set(selected)
    if intent.oneoff is not None:
        names.add(intent.oneoff.service)
    return [service for service in desired.services if service.name in names]


def _check(
    desired: Desired,
    observed: Observed,
    intent: Intent,
    selected: Sequence[str],
    services: list[DesiredService],
    decisions: Decisions,
) -> None:
    needing = [service for service in services if _needs_image(decisions, service, intent)]
    extra = [desired.service(intent.oneoff.service)] if intent.oneoff is not None else []
    problems = check_images(needing, observed)
    problems += check_external(desired, services, observed)
    if not intent.no_start:
        problems += check_healthchecks(desired, selected, observed, extra)
    problems += check_names(decisions, observed, intent)
    if problems:
        raise PlanError(problems)


def _check_remade(decisions: Decisions, volumes: Remade, selected: Sequence[str], observed: Observed) -> None:
    """Raises PlanError if a network or volume cannot be made anew."""
    problems = check_remade(decisions.remade, observed) + volumes.check(selected)
    if problems:
        raise PlanError(problems)


def _needs_image(decisions: Decisions, service: DesiredService, intent: Intent) -> bool:
    if intent.oneoff is not None and intent.oneoff.service == service.name:
        return True
    rows = decisions.of[service.name]
    return any(isinstance(row, Make) or (isinstance(row, Replace) and row.successor is None) for row in rows)


def _is_restarted(decisions: Decisions, name: str) -> bool:
    return any(isinstance(row, Keep) and row.restart for row in decisions.of[name])


def _orphans(writer: Writer, desired: Desired, observed: Observed, intent: Intent) -> None:
    found = orphans(desired, observed)
    if intent.remove_orphans:
        ended = [one for one in observed.containers if one.oneoff and not is_live(one)]
        for container in [*found, *ended]:
            writer.remove(container, "one-off that ended" if container.oneoff else "orphan: no such service")
    elif found and not intent.ignore_orphans:
        names = ", ".join(short_name(desired.project, one) for one in found)
        writer.builder.warn(f"project {desired.project} has orphans: {names}; --remove-orphans removes them")
