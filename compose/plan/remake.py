"""Volumes that are made anew, because their configuration changed and somebody agreed to lose what is in them."""

from __future__ import annotations

from compose.plan.actions import RemoveVolume
from compose.plan.networks import changed_volumes
from compose.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from compose.plan.containers import Writer
    from compose.plan.desired import Desired, DesiredService, DesiredVolume
    from compose.plan.intent import Intent
    from compose.plan.observed import Observed, ObservedContainer


@record
class Remade:
    """``volumes``: what goes. ``users``: the project's containers that mount one of them, with its name."""

    volumes: tuple[DesiredVolume, ...] = ()
    users: tuple[tuple[ObservedContainer, str], ...] = ()

    def without(self, observed: Observed) -> Observed:
        """What there will be once they are removed."""
        if not self.volumes:
            return observed
        gone = {container.id for container, _name in self.users}
        names = {volume.name for volume in self.volumes}
        return replace(
            observed,
            containers=tuple(one for one in observed.containers if one.id not in gone),
            volumes=tuple(one for one in observed.volumes if one.name not in names),
        )

    def check(self, selected: Sequence[str]) -> list[tuple[str, str]]:
        """A problem per container that would not come back: of another service than those asked for, or a one-off."""
        return [
            (
                f"cannot make volume {name!r} anew: {container.name} uses it and is not asked for",
                "remove that container first, or name its service, too",
            )
            for container, name in self.users
            if container.oneoff or container.service not in selected
        ]

    def write(self, writer: Writer) -> dict[str, int]:
        """Add the steps that remove the containers, then the volumes; per volume's name, the step."""
        steps: dict[str, list[int]] = {volume.name: [] for volume in self.volumes}
        removed: dict[str, int] = {}
        keys = {volume.name: volume.key for volume in self.volumes}
        for container, name in self.users:
            if container.id not in removed:
                removed[container.id] = writer.remove(container, f"volume {keys[name]} is made anew")
            steps[name].append(removed[container.id])
        return {
            name: writer.builder.add(RemoveVolume(keys[name], name), "config changed", after)
            for name, after in steps.items()
        }


def remade_volumes(desired: Desired, services: Sequence[DesiredService], observed: Observed, intent: Intent) -> Remade:
    """The changed volumes that may be made anew, and who uses them."""
    if not intent.remake or not intent.converge:
        return Remade()
    changed = changed_volumes(desired, services, observed)
    volumes = tuple(one for one in changed if "*" in intent.remake or one.name in intent.remake)
    names = {volume.name for volume in volumes}
    users = [
        (container, source)
        for container in observed.containers
        for kind, source, _target in container.mounts
        if kind == "volume" and source in names
    ]
    return Remade(volumes, tuple(users))
