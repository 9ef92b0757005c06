"""A project as ``pycompose config`` prints it, and its lists. ``$`` is printed as ``$$``: the text loads again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from compose.model.project import Project

_SECTIONS = ("services", "networks", "volumes", "secrets", "configs")


def render_config(project: Project, format: str = "yaml") -> str:
    """The canonical project as text, ``yaml`` or ``json``, with a newline at the end."""
    from compose.model.project import to_plain

    return render_plain(to_plain(project), format)


def render_plain(plain: Mapping[str, Any], format: str = "yaml") -> str:
    """The same from ``compose.project.load_plain``, which does without the 70 ms that pydantic takes to import."""
    document = _escaped(_document(plain))
    if format == "json":
        for name, service in document["services"].items():
            document["services"][name] = {key: value for key, value in service.items() if not key.startswith("x-")}
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    for service in document["services"].values():
        for key in ("command", "entrypoint"):
            if service.get(key, ()) is None:
                del service[key]
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1000))


def _document(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The project as a Compose document: only sections that hold something, services always."""
    result = {"name": plain["name"]}
    result.update({key: plain[key] for key in _SECTIONS if plain[key] or key == "services"})
    result.update(plain.get("extensions") or {})
    result.update({key: value for key, value in plain.items() if key.startswith("x-")})
    return result


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return int(value) if isinstance(value, int) else float(value)


def list_services(project: Project) -> tuple[str, ...]:
    """Names of services in file order."""
    return tuple(project.services)


def list_volumes(project: Project) -> tuple[str, ...]:
    return tuple(project.volumes)


def list_networks(project: Project) -> tuple[str, ...]:
    return tuple(project.networks)


def list_images(project: Project) -> tuple[str, ...]:
    """Images in file order, each once; services that are only built have the name their build will get."""
    images = (service.image or f"{project.name}-{name}" for name, service in project.services.items())
    return tuple(dict.fromkeys(images))


def list_hashes(project: Project, names: tuple[str, ...] = ()) -> tuple[tuple[str, str], ...]:
    """(service, config hash) of all services, or of these. Raises KeyError for an unknown one."""
    return tuple((name, project.hashes[name]) for name in names or project.services)
