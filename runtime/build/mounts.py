"""``RUN --mount``: the words of a mount, checked. Pure."""

from __future__ import annotations

import posixpath

from runtime.build.errors import BuildFault, nearest
from runtime.build.words import Expander, WordError
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_ALIASES = {"dst": "target", "destination": "target", "src": "source", "readonly": "ro", "readwrite": "rw"}
KEYS = {
    "bind": ("target", "source", "from", "rw", "ro"),
    "cache": ("target", "source", "from", "id", "ro", "rw", "sharing", "mode", "uid", "gid"),
    "tmpfs": ("target", "size"),
    "secret": ("target", "id", "required", "mode", "uid", "gid", "env"),
    "ssh": ("target", "id", "required", "mode", "uid", "gid"),
}
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30}
_TRUE, _FALSE = ("", "true", "1"), ("false", "0")


@record
class BuildMount:
    """One mount. ``from_`` is empty for the main context; ``mode``, ``uid``, ``gid``: -1 when not given."""

    type: str
    target: str = ""
    source: str = ""
    from_: str = ""
    id: str = ""
    env: str = ""
    sharing: str = "shared"
    readonly: bool = False
    required: bool = False
    mode: int = -1
    uid: int = -1
    gid: int = -1
    size: int = 0


def parse_mount(text: str, values: Mapping[str, str]) -> BuildMount:
    """A mount from its words. ``values``: of variables, in every word but ``from``. Raises BuildFault."""
    found: dict[str, str] = {}
    for word in text.split(","):
        key, _, value = word.partition("=")
        key = _ALIASES.get(key.strip().lower(), key.strip().lower())
        found[key] = value if key == "from" else _expand(value, values, text)
    kind = found.pop("type", "bind")
    if kind not in KEYS:
        hint = nearest(kind, list(KEYS)) or f"known: {', '.join(KEYS)}"
        raise BuildFault(f"cannot mount {text!r}: the type {kind!r} is not known", hint)
    for key in found:
        if key not in KEYS[kind]:
            hint = nearest(key, list(KEYS[kind])) or f"known: {', '.join(KEYS[kind])}"
            raise BuildFault(f"cannot mount {text!r}: {kind} has no option {key!r}", hint)
    made = BuildMount(
        kind,
        target=found.get("target", ""),
        source=found.get("source", ""),
        from_=found.get("from", ""),
        id=found.get("id", ""),
        env=found.get("env", ""),
        sharing=found.get("sharing", "shared"),
        readonly=_readonly(found, kind, text),
        required=_switch(found, "required", text),
        mode=_number(found, "mode", text, 8),
        uid=_number(found, "uid", text, 10),
        gid=_number(found, "gid", text, 10),
        size=_size(found.get("size", ""), text),
    )
    _check(made, text)
    return made


def _expand(value: str, values: Mapping[str, str], text: str) -> str:
    if "$" not in value or not values:
        return value
    try:
        return Expander(values).word(value)
    except WordError as error:
        raise BuildFault(f"cannot mount {text!r}: {error}") from None


def _readonly(found: Mapping[str, str], kind: str, text: str) -> bool:
    if "rw" in found:
        return not _switch(found, "rw", text)
    return _switch(found, "ro", text) if "ro" in found else kind == "bind"


def _switch(found: Mapping[str, str], key: str, text: str) -> bool:
    value = found.get(key)
    if value is None or value.lower() in _FALSE:
        return False
    if value.lower() not in _TRUE:
        raise BuildFault(f"cannot mount {text!r}: {key} is true or false, not {value!r}")
    return True


def _number(found: Mapping[str, str], key: str, text: str, base: int) -> int:
    if key not in found:
        return -1
    try:
        return int(found[key], base)
    except ValueError:
        raise BuildFault(f"cannot mount {text!r}: {key} is not a number: {found[key]!r}") from None


def _size(value: str, text: str) -> int:
    digits = value.rstrip("bBkKmMgG")
    try:
        return int(digits) * _UNITS[value[len(digits) :].lower()] if value else 0
    except (ValueError, KeyError):
        raise BuildFault(f"cannot mount {text!r}: size is not a size: {value!r}") from None


def _check(made: BuildMount, text: str) -> None:
    if not made.target and made.type not in ("secret", "ssh"):
        raise BuildFault(f"cannot mount {text!r}: it has no target", "write target=/path")
    if made.type == "secret" and not made.id and not made.target:
        raise BuildFault(f"cannot mount {text!r}: it has neither id nor target")
    if made.sharing not in ("shared", "private", "locked"):
        raise BuildFault(f"cannot mount {text!r}: sharing is shared, private or locked, not {made.sharing!r}")


def place(target: str, cwd: str) -> str:
    """A target as an absolute path without ``..``."""
    return posixpath.normpath(posixpath.join("/", cwd, target))
