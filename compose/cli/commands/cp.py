"""``cp``: into all replicas of a service, out of the first, as docker compose does."""

from __future__ import annotations

import sys

from compose.api.read import check_services, in_file_order
from compose.errors import UsageError
from compose.record import record
from runtime import copy as copying
from runtime.opening import close_root, open_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session
    from compose.plan.observed import ObservedContainer


@record
class Options:
    source: str
    destination: str
    all: bool = False
    archive: bool = False
    follow_link: bool = False
    index: int = 0


def run(session: Session, options: Options) -> int:
    source, destination = split_place(options.source), split_place(options.destination)
    if bool(source[0]) == bool(destination[0]):
        hint = "one side is SERVICE:PATH, the other a path here, or - for a tar stream"
        raise UsageError(f"cannot copy from {options.source} to {options.destination}", hint=hint)
    service = source[0] or destination[0]
    containers = _containers(session, service, options)
    if source[0]:
        _copy_out(session, containers[0], source[1], destination[1], options)
        return 0
    if source[1] == "-" and len(containers) > 1:
        raise UsageError(f"cannot copy a stream into {len(containers)} replicas", hint="choose one with --index")
    for container in containers:
        _copy_in(session, container, source[1], destination[1], options)
    return 0


def split_place(text: str) -> tuple[str, str]:
    """``web:/etc`` is (``web``, ``/etc``); a path, also one with a colon after a slash or dot, is ("", path)."""
    name, colon, path = text.partition(":")
    if not colon or "/" in name or name.startswith(".") or not name:
        return "", text
    return name, path


def _containers(session: Session, service: str, options: Options) -> list[ObservedContainer]:
    project, desired = session.project((service,))
    observed = session.observe(project)
    check_services(observed, desired, (service,))
    mine = [
        one
        for one in in_file_order(observed.containers, desired)
        if one.service == service and (options.all or not one.oneoff)
    ]
    if options.index:
        mine = [one for one in mine if one.number == options.index and not one.oneoff]
    if not mine:
        raise UsageError(f'no container found for service "{service}"', hint=f"create one: pycompose up -d {service}")
    return mine


def _copy_in(session: Session, container: ObservedContainer, source: str, path: str, options: Options) -> None:
    root = open_root(session.roots, container.id)
    try:
        stream = sys.stdin.buffer if source == "-" else source
        copying.copy_to(root, stream, path, archive=options.archive, follow=options.follow_link)
    finally:
        close_root(root)


def _copy_out(session: Session, container: ObservedContainer, path: str, target: str, options: Options) -> None:
    root = open_root(session.roots, container.id)
    try:
        stream = sys.stdout.buffer if target == "-" else target
        copying.copy_from(root, path, stream, archive=options.archive, follow=options.follow_link)
    finally:
        close_root(root)
