"""Mounts and devices of a service: short and long syntax to the long one."""

from __future__ import annotations

import posixpath
from typing import Any

from compose.spec import check as c
from compose.spec import compound as m
from compose.spec.check import Check
from compose.spec.shorts import short
from compose.spec.tree import BROKEN, Map, Path

_VOLUME_LABELS = m.pairs("")
_VOLUME = m.record(
    {
        "type": c.choice("bind", "volume", "tmpfs", "image", "npipe", "cluster"),
        "source": c.text,
        "target": c.text,
        "read_only": c.flag,
        "consistency": c.text,
        "bind": m.record(
            {
                "propagation": c.text,
                "create_host_path": c.flag,
                "recursive": c.choice("enabled", "disabled", "writable", "readonly"),
                "selinux": c.choice("z", "Z"),
            }
        ),
        "volume": m.record({"labels": _VOLUME_LABELS, "nocopy": c.flag, "subpath": c.text}),
        "tmpfs": m.record({"size": c.size, "mode": c.octal_number}),
        "image": m.record({"subpath": c.text}),
    },
    what="a volume such as data:/var/lib/data, or a mapping",
)
_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")


@c.written(lambda: c.any_of(c.STRING, {**c.schema_of(_VOLUME), "required": ["type", "target"]}))
def volume(value: Any, path: Path, check: Check) -> Any:
    """A mount of a service."""
    if isinstance(value, str):
        return _short_volume(value, path, check)
    result = _VOLUME(value, path, check)
    if result is BROKEN:
        return result
    if "type" not in result:
        return check.problem(path, "a volume needs a type: bind, volume or tmpfs")
    if not result.get("target"):
        return check.problem(path, "a volume needs a target, the path in the container")
    result["target"] = clean_path(result["target"])
    if result["type"] == "bind":
        bind = result.get("bind")
        if not isinstance(bind, Map):
            bind = Map(result.mark)
            result["bind"] = bind
        bind.setdefault("create_host_path", True)
    return result


def _short_volume(text: str, path: Path, check: Check) -> Any:
    fields = text.split(":")
    wrong = "too many colons" if len(text) > 1 and len(fields) > 3 else ""
    if not text or not all(fields[: 2 if len(fields) > 1 else 1]):
        wrong = wrong or "a part is empty"
    if wrong:
        return check.problem(path, f'expected source:target:options, not "{text}"', hint=wrong, stage=c.READ)
    if len(fields) == 1:
        shortest = len(text) < 3  # docker compose takes a short way for these, and prints less
        more: dict[str, Any] = {} if shortest else {"volume": Map()}
        return short({"type": "volume", "target": clean_path(text), **more})
    source, target, options = fields[0], fields[1], fields[2].split(",") if len(fields) == 3 else []
    bind = source[0] in "./~\\"
    result: dict[str, Any] = {"type": "bind" if bind else "volume", "source": source, "target": clean_path(target)}
    bind_options, volume_options = Map(), Map()
    for option in options:
        if option == "ro":
            result["read_only"] = True
        elif option in _PROPAGATIONS:
            bind_options["propagation"] = option
        elif option in ("z", "Z"):
            bind_options["selinux"] = option
        elif option == "nocopy" and not bind:
            volume_options["nocopy"] = True
        elif option not in ("rw", "nocopy", "cached", "delegated", "consistent"):
            check.warn(path, f'the volume option "{option}" is unknown and has no effect')
    if bind:
        bind_options["create_host_path"] = True
    if bind_options:
        result["bind"] = bind_options
    if not bind:
        result["volume"] = volume_options
    return short(result)


def clean_path(path: str) -> str:
    """A container path without doubled slashes, dots and a slash at the end."""
    cleaned = posixpath.normpath(path) if path else path
    return "/" + cleaned.lstrip("/") if cleaned.startswith("//") else cleaned


_DEVICE = m.record(
    {"source": c.text, "target": c.text, "permissions": c.text}, what="a device such as /dev/a:/dev/b:rwm"
)


@c.written(lambda: c.any_of(c.STRING, {**c.schema_of(_DEVICE), "required": ["source"]}))
def device(value: Any, path: Path, check: Check) -> Any:
    """A device: ``host[:container[:permissions]]`` or a mapping."""
    if isinstance(value, str):
        fields = value.split(":")
        if len(fields) > 3 or not fields[0]:
            return check.problem(path, f'expected host:container:permissions, not "{value}"', stage=c.READ)
        if len(fields) == 2 and fields[1] and set(fields[1]) <= set("rwm"):
            fields.insert(1, "")
        result = short({"source": fields[0]})
        if len(fields) > 1:
            result["target"] = fields[1]
        if len(fields) > 2:
            result["permissions"] = fields[2]
    else:
        result = _DEVICE(value, path, check)
        if result is BROKEN:
            return result
        if not result.get("source"):
            return check.problem(path, "a device needs a source, its path on the host")
    result["target"] = result.get("target") or result["source"]
    result["permissions"] = result.get("permissions") or "rwm"
    if not set(result["permissions"]) <= set("rwm"):
        check.cannot_run(path, f'expected permissions of r, w and m, not "{result["permissions"]}"', result)
    return result
