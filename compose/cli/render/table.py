"""Tables and Go templates: how lists of things reach stdout."""

from __future__ import annotations

import json
import re

from compose.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Row = Mapping[str, object]


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], least: int = 10, gap: int = 3) -> str:
    """Left-justified columns, ``gap`` apart and ``least`` wide, as docker compose's; the last is not padded."""
    everything = [list(headers), *[list(row) for row in rows]]
    widths = [max(least, gap + max(len(row[column]) for row in everything)) for column in range(len(headers))]
    lines = ["".join(cell.ljust(width) for cell, width in zip(row[:-1], widths)) + row[-1] for row in everything]
    return "".join(f"{line}\n" for line in lines)


def json_lines(rows: Sequence[Row]) -> str:
    """One object a line, keys sorted, as ``docker compose ps --format json``."""
    return "".join(json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)


def json_array(rows: Sequence[Row]) -> str:
    """All in one array, as ``docker compose ls --format json``."""
    return json.dumps(list(rows), ensure_ascii=False, separators=(",", ":")) + "\n"


def go_template(text: str, rows: Sequence[Row]) -> str:
    """``{{.Name}}``, ``{{json .Labels}}``, ``{{upper .State}}`` ...; with ``table`` in front, under headers.

    Raises UsageError for what is not in this subset, and for unknown fields.
    """
    text = text.replace("\\t", "\t").replace("\\n", "\n")
    if not text.startswith("table "):
        return "".join(f"{expand(text, row)}\n" for row in rows)
    text = text.removeprefix("table ")
    headers = re.sub(r"\{\{[^}]*?\.(\w+)[^}]*\}\}", lambda match: match[1].upper(), text).split("\t")
    return table(headers, [expand(text, row).split("\t") for row in rows])


_FUNCTIONS: dict[str, Callable[[object], str]] = {
    "": lambda value: _text(value),
    "json": lambda value: json.dumps(value, ensure_ascii=False),
    "upper": lambda value: _text(value).upper(),
    "lower": lambda value: _text(value).lower(),
    "println": lambda value: f"{_text(value)}\n",
}


def expand(text: str, row: Row) -> str:
    """One row through a template."""
    return re.sub(r"\{\{(.*?)\}\}", lambda match: _field(match[1].strip(), row), text)


def _field(expression: str, row: Row) -> str:
    match = re.fullmatch(r"(?:(\w+)\s+)?\.(\w*)", expression)
    function = match[1] or "" if match else ""
    if match is None or function not in _FUNCTIONS:
        raise UsageError(
            f"cannot read the template {{{{{expression}}}}}",
            hint="known: {{.Field}}, {{json .Field}}, upper, lower, println",
        )
    if not match[2]:
        return _FUNCTIONS[function](dict(row))
    if match[2] not in row:
        raise UsageError(f"cannot find the field {match[2]}", hint=f"fields: {', '.join(sorted(row))}")
    return _FUNCTIONS[function](row[match[2]])


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def show(
    format: str, rows: Sequence[Row], columns: Sequence[tuple[str, str]], *, lines: bool = False, least: int = 10
) -> str:
    """Rows in the format asked for: ``table``, ``json`` (``lines``: one object a line), or a template.

    ``columns``: (header, field) of the table.
    """
    if format in ("", "table"):
        return table(
            [header for header, _ in columns], [[_text(row[field]) for _, field in columns] for row in rows], least
        )
    if format == "json":
        return json_lines(rows) if lines else json_array(rows)
    if "{{" in format:
        return go_template(format, rows)
    raise UsageError(f"cannot show the format {format}", hint="formats: table, json, or a Go template")
