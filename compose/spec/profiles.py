"""Profiles: which services take part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compose.spec.tree import Map

if TYPE_CHECKING:
    from compose.project import LoadOptions
    from compose.spec.files import Variables


def active_profiles(options: LoadOptions, variables: Variables) -> tuple[str, ...]:
    """The profiles asked for: by option, or else by COMPOSE_PROFILES; ``*`` is all."""
    if options.profiles:
        return options.profiles
    return tuple(part.strip() for part in (variables("COMPOSE_PROFILES") or "").split(",") if part.strip())


def all_profiles(root: Map) -> tuple[str, ...]:
    """Every profile that a service names, in the order of the files."""
    services = root.get("services")
    items = services.values() if isinstance(services, Map) else ()
    lists = [service.get("profiles") for service in items if isinstance(service, Map)]
    return tuple(dict.fromkeys(p for found in lists for p in found or () if isinstance(p, str)))


def split_profiles(root: Map, profiles: tuple[str, ...], targets: tuple[str, ...]) -> tuple[str, ...]:
    """Take services out whose profiles are not active; gives their names. ``targets`` activate their own profiles."""
    services = root.get("services")
    if not isinstance(services, Map):
        return ()
    active = set(profiles)
    for target in targets:
        service = services.get(target)
        active.update((service.get("profiles") or ()) if isinstance(service, Map) else ())
    disabled = []
    for name, service in list(services.items()):
        own = service.get("profiles") if isinstance(service, Map) else None
        if own and "*" not in active and not active.intersection(p for p in own if isinstance(p, str)):
            disabled.append(name)
            del services[name]
    return tuple(disabled)
