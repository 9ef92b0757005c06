"""Which services a command is about, and in which order: pure functions over Desired."""

from __future__ import annotations

from compose.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from compose.plan.desired import Dependency, Desired, DesiredService


def select_services(desired: Desired, names: Sequence[str], *, dependencies: bool = True) -> tuple[str, ...]:
    """The named services (none: all), with what they depend on, in ``desired.order``. Raises UsageError."""
    known = {service.name: service for service in desired.services}
    check_names(known, names)
    if not names:
        return desired.order
    chosen = set(names)
    if dependencies:
        edges = {name: [edge.service for edge in service.dependencies] for name, service in known.items()}
        chosen = closure(names, edges)
    return tuple(name for name in desired.order if name in chosen)


def check_names(known: Iterable[str], names: Sequence[str]) -> None:
    """Raise UsageError for the first name that is no service."""
    known = list(known)
    for name in names:
        if name not in known:
            raise UsageError(f"cannot find service {name!r}", hint=f"services: {', '.join(known) or 'none'}")


def closure(names: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """The names and all that can be reached from them; targets without an entry in ``edges`` are left out."""
    chosen: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in chosen and name in edges:
            chosen.add(name)
            pending.extend(edges[name])
    return chosen


def dependents(desired: Desired) -> dict[str, list[tuple[DesiredService, Dependency]]]:
    """For each service, who depends on it and how, in file order."""
    found: dict[str, list[tuple[DesiredService, Dependency]]] = {}
    for service in desired.services:
        for edge in service.dependencies:
            found.setdefault(edge.service, []).append((service, edge))
    return found


def shared_references(service: DesiredService) -> tuple[str, ...]:
    """``service:x`` and ``container:x`` for every container whose namespace or volumes the service uses, sorted.

    ``volumes_from`` entries count as well; a trailing ``:ro`` is cut off.
    """
    config = service.config
    found = {str(config[key]) for key in ("network_mode", "ipc", "pid", "uts", "cgroup") if _shares(config.get(key))}
    for entry in config.get("volumes_from") or ():
        found.add(volumes_from_reference(entry)[0])
    return tuple(sorted(found))


def volumes_from_reference(entry: str) -> tuple[str, bool]:
    """A ``volumes_from`` entry as (reference, read only): ``db:ro`` is (``service:db``, True)."""
    parts = entry.split(":")
    read_only = parts[-1] == "ro" and len(parts) > 1
    if parts[-1] in ("ro", "rw") and len(parts) > 1:
        parts = parts[:-1]
    if parts[0] in ("container", "service") and len(parts) > 1:
        return ":".join(parts[:2]), read_only
    return f"service:{parts[0]}", read_only


def shared_services(service: DesiredService) -> tuple[str, ...]:
    """The services among :func:`shared_references`."""
    return tuple(text[8:] for text in shared_references(service) if text.startswith("service:"))


def _shares(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("service:", "container:"))


def volume_mounts(service: DesiredService) -> list[tuple[str, str]]:
    """The named volumes a service mounts, as (key, target)."""
    mounts = service.config.get("volumes") or ()
    return [
        (mount["source"], mount["target"]) for mount in mounts if mount.get("type") == "volume" and mount.get("source")
    ]
