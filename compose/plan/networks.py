"""Networks and volumes of the project: what to create, and which networks to make anew."""

from __future__ import annotations

from compose.plan.actions import CreateNetwork, CreateVolume, RemoveNetwork
from compose.plan.select import volume_mounts
from compose.record import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from compose.plan.desired import Desired, DesiredNetwork, DesiredService, DesiredVolume
    from compose.plan.observed import Observed
    from compose.plan.plan import PlanBuilder


def used_networks(desired: Desired, services: Sequence[DesiredService]) -> list[DesiredNetwork]:
    """The networks that any of the services joins (with --all-resources: all), in file order."""
    if desired.all_resources:
        return list(desired.networks)
    keys = {key for service in services for key in service.networks}
    return [network for network in desired.networks if network.key in keys]


def remade_networks(desired: Desired, services: Sequence[DesiredService], observed: Observed) -> dict[str, str]:
    """Networks of ours whose configuration changed: name on the machine → key."""
    there = {network.name: network for network in observed.networks}
    remade = {}
    for network in used_networks(desired, services):
        found = there.get(network.name)
        if found is None or network.external or found.project != desired.project:
            continue
        if found.config_hash and found.config_hash != network.config_hash:
            remade[network.name] = network.key
    return remade


def check_remade(remade: Iterable[str], observed: Observed) -> list[tuple[str, str]]:
    """A problem per network to be made anew to which containers of others are attached."""
    ours = {container.id for container in observed.containers} | set(observed.lost)
    there = {network.name: network for network in observed.networks}
    return [
        (
            f"cannot change network {name!r}: containers of other projects are attached to it "
            f"({', '.join(sorted(ident[:12] for ident in foreign))})",
            "disconnect them first, or give the network another name",
        )
        for name in remade
        if (foreign := set(there[name].containers) - ours)
    ]


def plan_networks(
    builder: PlanBuilder,
    desired: Desired,
    services: Sequence[DesiredService],
    observed: Observed,
    emptied: dict[str, list[int]],
) -> dict[str, int]:
    """Add the steps. ``emptied``: for each network that is made anew, the steps that take containers off it.

    Returns, per key, the step after which the network is there (0: it is there already).
    """
    there = {network.name: network for network in observed.networks}
    ready = {}
    for network in used_networks(desired, services):
        found = there.get(network.name)
        ready[network.key] = 0
        if network.name in emptied:
            gone = builder.add(RemoveNetwork(network.key, network.name), "config changed", emptied[network.name])
            again = CreateNetwork(network.key, network.name)
            ready[network.key] = builder.add(again, f"made anew, removed by step {gone}", (gone,))
        elif network.external:
            continue
        elif found is None:
            ready[network.key] = builder.add(CreateNetwork(network.key, network.name), "not found")
        elif found.project != desired.project:
            builder.warn(_foreign("network", network.name, found.project, desired.project))
    return ready


def used_volumes(desired: Desired, services: Sequence[DesiredService]) -> list[DesiredVolume]:
    """The volumes that any of the services mounts (with --all-resources: all), in file order."""
    used = {key for service in services for key, _target in volume_mounts(service)}
    return [volume for volume in desired.volumes if volume.key in used or desired.all_resources]


def changed_volumes(desired: Desired, services: Sequence[DesiredService], observed: Observed) -> list[DesiredVolume]:
    """Volumes of ours whose configuration is no longer that they were made with."""
    there = {volume.name: volume for volume in observed.volumes}
    changed = []
    for volume in used_volumes(desired, services):
        found = there.get(volume.name)
        if found is None or volume.external or found.project != desired.project:
            continue
        if found.config_hash and found.config_hash != volume.config_hash:
            changed.append(volume)
    return changed


def plan_volumes(
    builder: PlanBuilder,
    desired: Desired,
    services: Sequence[DesiredService],
    observed: Observed,
    removed: Mapping[str, int] = EMPTY,
) -> dict[str, int]:
    """Add a step per volume that is missing; per key, the step after which it is there.

    A volume whose configuration changed is kept and told of: making it anew would lose its data. ``removed``: names of
    those that somebody agreed to lose, and the steps that remove them.
    """
    there = {volume.name: volume for volume in observed.volumes}
    ready = {}
    for volume in used_volumes(desired, services):
        found = there.get(volume.name)
        ready[volume.key] = 0
        if volume.external:
            continue
        gone = removed.get(volume.name)
        if gone:
            again = CreateVolume(volume.key, volume.name)
            ready[volume.key] = builder.add(again, f"made anew, removed by step {gone}", (gone,))
        elif found is None:
            ready[volume.key] = builder.add(CreateVolume(volume.key, volume.name), "not found")
        elif found.project != desired.project:
            builder.warn(_foreign("volume", volume.name, found.project, desired.project))
        elif found.config_hash and found.config_hash != volume.config_hash:
            builder.warn(
                f"volume {volume.name} is kept as it was made, though its configuration changed; "
                "to make it anew and lose its data: pycompose up --yes"
            )
    return ready


def _foreign(kind: str, name: str, owner: str, project: str) -> str:
    whose = f"was made by project {owner}" if owner else "was not made by pycompose"
    return f"{kind} {name} {whose}, not by {project}; set external: true to say that this is meant"
