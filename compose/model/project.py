"""A project: everything its files say, merged, checked, in canonical form."""

from collections.abc import Mapping
from typing import Any

from compose.model.resources import FileSource, Network, Volume
from compose.model.service import (
    Attachment,
    Dependency,
    Deploy,
    Device,
    FileReference,
    Healthcheck,
    Logging,
    Model,
    Mount,
    Port,
    Service,
)


class Project(Model):
    """``services`` in file order, enabled ones only; ``disabled`` names those that profiles leave out."""

    name: str
    working_dir: str
    config_files: tuple[str, ...] = ()
    environment_files: tuple[str, ...] = ()
    services: Mapping[str, Service] = {}
    networks: Mapping[str, Network] = {}
    volumes: Mapping[str, Volume] = {}
    secrets: Mapping[str, FileSource] = {}
    configs: Mapping[str, FileSource] = {}
    models: Mapping[str, Any] = {}
    order: tuple[str, ...] = ()  # dependencies first
    hashes: Mapping[str, str] = {}  # service → config hash
    separator: str = "-"  # between the parts of names on the machine; "_" with --compatibility
    disabled: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()  # all that services name, also the disabled ones
    warnings: tuple[str, ...] = ()
    extensions: Mapping[str, Any] = {}  # top-level x-* keys


# Fields of a model that hold models: by name, and whether in a list or below keys of the user's choice.
_LISTS: dict[str, type[Model]] = {
    "configs": FileReference,
    "secrets": FileReference,
    "devices": Device,
    "ports": Port,
    "volumes": Mount,
}
_MAPS: dict[str, type[Model]] = {"depends_on": Dependency, "networks": Attachment}
_ONES: dict[str, type[Model]] = {"deploy": Deploy, "healthcheck": Healthcheck, "logging": Logging}
_RESOURCES: dict[str, type[Model]] = {
    "networks": Network,
    "volumes": Volume,
    "secrets": FileSource,
    "configs": FileSource,
}


def service_from_plain(plain: Mapping[str, Any]) -> Service:
    """The model of a checked canonical mapping; ``x-`` keys become ``extensions``."""
    values: dict[str, Any] = {}
    extensions: dict[str, Any] = {}
    for key, value in plain.items():
        if key.startswith("x-"):
            extensions[key] = value
        elif key in _LISTS:
            values[key] = tuple(_LISTS[key].model_construct(**item) for item in value)
        elif key in _MAPS:
            kind = _MAPS[key]
            values[key] = {
                name: None if item is None else kind.model_construct(**_frozen(item)) for name, item in value.items()
            }
        elif key in _ONES:
            values[key] = _ONES[key].model_construct(**_frozen(value))
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
    if extensions:
        values["extensions"] = extensions
    return Service.model_construct(**values)


def _frozen(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in plain.items() if key[:2] != "x-"}


def project_from_plain(plain: Mapping[str, Any]) -> Project:
    """The model of a whole checked project."""
    values = dict(plain)
    values["services"] = {name: service_from_plain(item) for name, item in plain["services"].items()}
    for section, kind in _RESOURCES.items():
        values[section] = {name: kind.model_construct(**_frozen(item)) for name, item in plain[section].items()}
    return Project.model_construct(**values)


def to_plain(value: Any) -> Any:
    """A model as dicts and lists, with exactly the fields that were set; ``extensions`` are keys again."""
    if isinstance(value, Model):
        result = {name: to_plain(value.__dict__[name]) for name in sorted(value.model_fields_set)}
        result.update(result.pop("extensions", {}))
        return result
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value
