"""Namespaces of other services, when a container is booted again: theirs may have been made anew meanwhile."""

from __future__ import annotations

import os

from compose import labels as key
from runtime import container as containers
from runtime.paths import Bundle
from runtime.state import ACTIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.container import Container
    from runtime.paths import Roots


_NAMESPACES = (("network_mode", "network"), ("pid", "pid"), ("ipc", "ipc"), ("uts", "uts"), ("cgroup", "cgroup"))


def rejoin(roots: Roots, ident: str) -> None:
    """Let a stopped container join what now runs for each ``service:x`` that it was made to join.

    A container that still runs stays the one; of several others the lowest number counts, as when it was made. Nothing
    changes if there is none: the boot says then whom it misses. Raises OSError.
    """
    config = containers.read_annotations(roots, ident).get("config") or {}
    modes = [(name, str(config.get(attribute) or "")) for attribute, name in _NAMESPACES]
    if not any(mode.startswith("service:") for _name, mode in modes):
        return
    joined = containers.read_spec(roots, ident).namespaces
    found = {(mode[8:], getattr(joined, name)) for name, mode in modes if mode.startswith("service:")}
    for service, text in sorted(found):
        other = text.removeprefix("container:")
        if containers.settled_state(roots, other).status not in ACTIVE:
            now = _running(roots, ident, service)
            if now:
                _rename(roots, ident, other, now)


def _running(roots: Roots, ident: str, service: str) -> str:
    """The id of the service's running container in the same project, or nothing."""
    own = containers.read_container(roots, ident)
    project = own.labels.get(key.PROJECT, "") if own is not None else ""
    found = [one for one in containers.list_containers(roots) if _is_of(one, project, service)]
    return min(found, key=lambda one: int(one.labels.get(key.NUMBER) or 0)).id if found else ""


def _is_of(one: Container, project: str, service: str) -> bool:
    return (
        one.labels.get(key.PROJECT) == project
        and one.labels.get(key.SERVICE) == service
        and one.labels.get(key.ONEOFF) != "True"
        and one.state.status in ACTIVE
    )


def _rename(roots: Roots, ident: str, old: str, new: str) -> None:
    """Put one id for another in all that the bundle says; an id occurs nowhere by chance.

    The specification comes last: it says whether this is to be done.
    """
    bundle = Bundle(roots, ident)
    for path in (bundle.labels, bundle.annotations, bundle.spec):
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        if old in text:
            temporary = f"{path}.{os.getpid()}.tmp"
            with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text.replace(old, new))
            os.rename(temporary, path)
