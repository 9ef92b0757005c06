"""Which containers an attached ``up`` shows, what they will be called, and whose end does not count."""

from __future__ import annotations

import os

from compose.api.follow import short_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.api.up import UpOptions
    from compose.cli.commands.up import Options
    from compose.plan.desired import Desired
    from compose.plan.observed import ObservedContainer


def watched_services(desired: Desired, options: Options) -> frozenset[str]:
    """The services whose logs are shown: the named ones, all when none is named, less those that do not want it."""
    everything = {service.name for service in desired.services}
    if options.attach:
        chosen = set(options.attach)
    elif options.services and not options.attach_dependencies:
        chosen = set(options.services)
    else:
        chosen = everything
    silent = {service.name for service in desired.services if service.config.get("attach") is False}
    return frozenset(name for name in chosen - set(options.no_attach) if name in options.attach or name not in silent)


def expected_names(desired: Desired, watched: frozenset[str], there: list[ObservedContainer], request: UpOptions | None,
                   ) -> list[str]:  # fmt: skip
    """Short names of the containers whose logs will be shown, as they will be called when all are there."""
    names = []
    for service in desired.services:
        if service.name not in watched:
            continue
        numbers = sorted(one.number for one in there if one.service == service.name)
        count = request.scale.get(service.name, service.replicas) if request is not None else len(numbers)
        numbers = numbers[:count]
        while len(numbers) < count:
            numbers.append(max(numbers, default=0) + 1)
        names += [service.container_name or f"{service.name}-{number}" for number in numbers]
    return sorted(short_name(desired.project, name) for name in names)


def jobs(desired: Desired) -> frozenset[str]:
    """Services that others wait for to complete: their success is no end of anything."""
    return frozenset(
        edge.service
        for service in desired.services
        for edge in service.dependencies
        if edge.condition == "service_completed_successfully"
    )


def converged(desired: Desired, options: Options) -> tuple[str, ...]:
    """The services that this ``up`` is about: the named ones and what they depend on; empty for all."""
    if not options.services or options.no_deps:
        return options.services
    from compose.plan.select import select_services

    return tuple(select_services(desired, options.services))


def is_locked(path: str) -> bool:
    """Whether a command holds the lock of the project."""
    from fcntl import LOCK_NB, LOCK_SH, flock

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        flock(fd, LOCK_SH | LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
