"""What an image's configuration must look like, before anything else relies on it: strangers wrote it."""

from __future__ import annotations

from runtime.errors import BadArchive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(_is_text(item) for item in value)


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(_is_text(key) and _is_text(item) for key, item in value.items())


def _is_set(value: object) -> bool:
    return isinstance(value, dict) and all(_is_text(key) for key in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _is_health(value: object) -> bool:
    if not isinstance(value, dict) or not _is_list(value.get("Test") or []):
        return False
    numbers = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
    return all(_is_number(value.get(key) or 0) for key in numbers)


_CONFIG = {
    "Cmd": _is_list,
    "Entrypoint": _is_list,
    "Env": _is_list,
    "ExposedPorts": _is_set,
    "Healthcheck": _is_health,
    "Labels": _is_texts,
    "OnBuild": _is_list,
    "Shell": _is_list,
    "StopSignal": _is_text,
    "StopTimeout": _is_number,
    "User": _is_text,
    "Volumes": _is_set,
    "WorkingDir": _is_text,
}
_TOP = ("created", "architecture", "os")


def check_config(plain: Mapping[str, Any]) -> None:
    """Raises BadArchive unless every known field is null or of its type; unknown ones are kept (OCI image-spec)."""
    config = plain.get("config") or {}
    if not isinstance(config, dict):
        raise BadArchive("cannot load archive: an image's config is not an object")
    for key, fits in _CONFIG.items():
        if config.get(key) is not None and not fits(config[key]):
            raise BadArchive(f"cannot load archive: {key} of an image's config is malformed")
    for key in _TOP:
        if plain.get(key) is not None and not _is_text(plain[key]):
            raise BadArchive(f"cannot load archive: {key} of an image configuration is malformed")
