"""A project as ``pycompose config`` prints it, and its lists. ``$`` is printed as ``$$``: the text loads again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from compose.spec.defaults import SECTIONS

if TYPE_CHECKING:
    from compose.model.project import Project


def render_config(project: Project, format: str = "yaml") -> str:
    """The canonical project as text, ``yaml`` or ``json``, with a newline at the end."""
    from compose.model.project import to_plain

    return render_plain(to_plain(project), format)


def render_plain(plain: Mapping[str, Any], format: str = "yaml", *, escape: bool = True) -> str:
    """The same from ``plain_project``, which does without the 70 ms that pydantic takes to import.

    ``escape``: print ``$`` as ``$$``, because variables are filled in already.
    """
    document = _copy(_document(plain), "$$" if escape else "$")
    if format == "json":
        for name, service in document["services"].items():
            document["services"][name] = {key: value for key, value in service.items() if not key.startswith("x-")}
            watch = (service.get("develop") or {}).get("watch", [])
            watch[:] = [dict(sorted({"exec": {"command": None}, **rule}.items())) for rule in watch]
        return json.dumps(_finite(document), indent=2, ensure_ascii=False) + "\n"
    for service in document["services"].values():
        for key in ("command", "entrypoint"):
            if service.get(key, ()) is None:
                del service[key]
    for network in document.get("networks", {}).values():
        if network.get("ipam") == {}:
            del network["ipam"]
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1000))


def _document(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The project as a Compose document: only sections that hold something, services always."""
    result = {"name": plain["name"]}
    result.update({key: plain[key] for key in SECTIONS if plain[key] or key == "services"})
    result.update(plain.get("extensions") or {})
    result.update({key: value for key, value in plain.items() if key.startswith("x-")})
    return result


def _copy(value: Any, dollar: str) -> Any:
    """A copy for printing: ``$`` as ``dollar``, numbers without what was typed."""
    if isinstance(value, str):
        return value.replace("$", dollar)
    if isinstance(value, dict):
        return {key: _copy(item, dollar) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item, dollar) for item in value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return int(value) if isinstance(value, int) else float(value)


def _finite(value: Any) -> Any:
    """A copy that JSON can hold: an infinite number becomes its YAML text."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return ".nan" if value != value else ".inf" if value > 0 else "-.inf"
    return value


def list_services(plain: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of services in file order."""
    return tuple(plain["services"])


def list_volumes(plain: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(plain["volumes"])


def list_networks(plain: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(plain["networks"])


def list_models(plain: Mapping[str, Any]) -> tuple[str, ...]:
    """What the models are, each once."""
    return tuple(dict.fromkeys(item.get("model", "") for item in plain["models"].values()))


def list_images(plain: Mapping[str, Any]) -> tuple[str, ...]:
    """Images in file order, each once; services that are only built have the name their build will get."""
    images = (
        item.get("image") or f"{plain['name']}{plain['separator']}{name}" for name, item in plain["services"].items()
    )
    return tuple(dict.fromkeys(images))


def list_hashes(plain: Mapping[str, Any], names: tuple[str, ...] = ()) -> tuple[tuple[str, str], ...]:
    """(service, config hash) of all services, or of these. Raises KeyError for an unknown one."""
    return tuple((name, plain["hashes"][name]) for name in names or plain["services"])
