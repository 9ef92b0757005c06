"""How Go writes values: as JSON, and with %v. Apart from the templates, because every list that is shown needs it."""

from __future__ import annotations

from compose import plain_json as json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Map(dict):  # type: ignore[type-arg]  # no typing here: the hot path
    """What is a map in Go, not a struct: printed with its keys, sorted."""


def go_json(value: Any) -> str:
    """JSON as Go's encoding/json writes it: no spaces, and <, >, & escaped."""
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def plain(value: Any) -> Any:
    """Without methods."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if not callable(one)}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


def printed(value: Any) -> str:
    """A value as Go's fmt prints it with %v."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{' '.join(printed(one) for one in value)}]"
    if isinstance(value, Map):
        return f"map[{' '.join(f'{key}:{printed(value[key])}' for key in sorted(value))}]"
    if isinstance(value, dict):
        return f"{{{' '.join(printed(one) for one in value.values() if not callable(one))}}}"
    return str(value)
