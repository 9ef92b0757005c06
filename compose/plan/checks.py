"""Everything that can be known to fail before anything is touched: all problems found, then one error."""

from __future__ import annotations

from compose.errors import ComposeError
from compose.plan.decide import Make, Replace
from compose.plan.hooks import hook_images
from compose.plan.networks import used_networks
from compose.plan.providers import is_provided
from compose.plan.select import volume_mounts
from compose.plan.world import final_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from compose.plan.decide import Decisions
    from compose.plan.desired import Desired, DesiredService
    from compose.plan.intent import Intent
    from compose.plan.observed import Observed, ObservedImage


class PlanError(ComposeError):
    """The plan cannot work. ``problems``: every sentence, each with its hint."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__(problems[0][0], hint=problems[0][1])
        self.problems = tuple(problems)

    def text(self) -> str:
        """All problems, one below the other."""
        lines = [f"{message}\n  {hint}" if hint else message for message, hint in self.problems]
        return "\n".join(lines)


def check_images(services: Sequence[DesiredService], observed: Observed) -> list[tuple[str, str]]:
    """One problem per image that is not in the store, naming the services that want it."""
    have = {image.reference for image in observed.images}
    wanted: dict[str, list[str]] = {}
    for service in services:
        for image in {service.image, *hook_images(service)} - have:
            wanted.setdefault(image, []).append(service.name)
    return [
        (
            f"cannot find image {image!r}, wanted by {', '.join(names)}",
            "pycompose pull brings it from its registry, pycompose load -i FILE from an archive; "
            "pycompose image ls lists what there is",
        )
        for image, names in wanted.items()
    ]


def check_external(desired: Desired, services: Sequence[DesiredService], observed: Observed) -> list[tuple[str, str]]:
    """One problem per external network or volume that is not there."""
    networks = {network.name for network in observed.networks}
    volumes = {volume.name for volume in observed.volumes}
    used = {key for service in services for key, _target in volume_mounts(service)}
    problems = [
        (
            f"cannot find network {one.name!r}, declared as external ({one.key})",
            "create it, or drop external: true; networks of Docker are not seen here",
        )
        for one in used_networks(desired, services)
        if one.external and one.name not in networks
    ]
    problems += [
        (f"cannot find volume {one.name!r}, declared as external ({one.key})", "create it, or drop external: true")
        for one in desired.volumes
        if one.external and one.key in used and one.name not in volumes
    ]
    return problems


def check_healthchecks(
    desired: Desired, selected: Sequence[str], observed: Observed, extra: Sequence[DesiredService] = ()
) -> Iterator[tuple[str, str]]:
    """A problem per service that others want healthy although nothing checks its health."""
    images = {image.reference: image for image in observed.images}
    services = {service.name: service for service in desired.services}
    seen = set()
    for service in [*(services[name] for name in selected), *extra]:
        for edge in service.dependencies:
            if edge.condition != "service_healthy" or not edge.required or edge.service not in selected:
                continue
            other = services[edge.service]
            if is_provided(other):
                continue
            if edge.service not in seen and not has_healthcheck(other, images.get(other.image)):
                seen.add(edge.service)
                yield (
                    f"cannot wait until {edge.service} is healthy, as {service.name} asks: it has no healthcheck",
                    f"add services.{edge.service}.healthcheck, or use condition: service_started",
                )


def has_healthcheck(service: DesiredService, image: ObservedImage | None) -> bool:
    """Whether the service's own or its image's health check is in force."""
    own = service.config.get("healthcheck") or {}
    test = own.get("test") or ()
    if own.get("disable") or list(test[:1]) == ["NONE"]:
        return False
    if image is not None and not image.digest:
        return True  # it is not there yet, so that nobody knows
    inherited = ((image.config.get("Healthcheck") if image else None) or {}).get("Test") or ()
    return bool(test) or bool(inherited and list(inherited[:1]) != ["NONE"])


def check_names(decisions: Decisions, observed: Observed, intent: Intent) -> list[tuple[str, str]]:
    """One problem per container name that another project, or another service, has."""
    project = decisions.desired.project
    ours = {container.name: container for container in observed.containers}
    problems = []
    for name, owner in _new_names(decisions):
        holder = ours.get(name)
        if holder is not None and (holder.service != owner or holder.oneoff):
            problems.append(
                (
                    f"cannot create container {name!r}: {holder.service} has one of that name",
                    "remove that one, or give this one another name",
                )
            )
        elif holder is None and observed.names.get(name, project) != project:
            taken = observed.names[name]
            whose = f"project {taken}" if taken else "a container outside of any project"
            problems.append(
                (
                    f"cannot create container {name!r}: the name is taken by {whose}",
                    "remove that one, or give this one another name",
                )
            )
    oneoff = intent.oneoff
    if oneoff is not None and (oneoff.name in observed.names or oneoff.name in ours):
        problems.append((f"cannot create container {oneoff.name!r}: the name is taken", "choose another --name"))
    return problems


def _new_names(decisions: Decisions) -> Iterator[tuple[str, str]]:
    services = {service.name: service for service in decisions.desired.services}
    for name, rows in decisions.of.items():
        container_name = services[name].container_name
        for row in rows:
            if isinstance(row, (Make, Replace)):
                yield final_name(decisions.desired, name, row.number, container_name), name
