"""Tables, JSON and Go templates: how lists of things reach stdout."""

from __future__ import annotations

from compose.cli.govalues import go_json, printed
from compose.errors import UsageError
from compose.record import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Row = Mapping[str, object]


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], least: int = 10, gap: int = 3) -> str:
    """Left-justified columns, ``gap`` apart and ``least`` wide, as docker compose's; the last is not padded."""
    everything = [list(headers), *[list(row) for row in rows]]
    widths = [max(least, gap + max(len(row[column]) for row in everything)) for column in range(len(headers))]
    lines = ["".join(cell.ljust(width) for cell, width in zip(row[:-1], widths)) + row[-1] for row in everything]
    return "".join(f"{line}\n" for line in lines)


def json_lines(rows: Sequence[Row]) -> str:
    """One object a line, keys sorted, as ``docker compose ps --format json``."""
    return "".join(f"{go_json(dict(sorted(row.items())))}\n" for row in rows)


def json_array(rows: Sequence[Row]) -> str:
    """All in one array, as ``docker compose ls --format json``."""
    return f"{go_json(list(rows))}\n"


def go_template(text: str, rows: Sequence[Row], headers: Mapping[str, str] = EMPTY) -> str:
    """``{{.Name}}``, ``{{json .Labels}}`` ...; with ``table`` in front, in columns under ``headers`` (field -> header).

    Raises UsageError for what is no template, and for unknown fields.
    """
    from compose.cli.gofunctions import HEADER_FUNCTIONS, Header, Headers, TemplateError
    from compose.cli.gotemplate import Template

    head, _, body = text.partition(" ")
    in_columns = head == "table" and bool(body.strip())
    body = (body if in_columns else text).replace("\\t", "\t").replace("\\n", "\n")
    try:
        template = Template(body)
        lines = [template.execute(row) for row in rows]
        if in_columns:
            names = Headers({field: Header(header) for field, header in headers.items()})
            lines.insert(0, template.execute(names, HEADER_FUNCTIONS))
    except TemplateError as error:
        raise UsageError(f"cannot show the format {text}: {error}", hint=error.hint) from None
    return aligned(line.split("\t") for line in lines) if in_columns else "".join(f"{line}\n" for line in lines)


def aligned(rows: Iterable[Sequence[str]], least: int = 10, gap: int = 3) -> str:
    """Cells that are followed by another one are as wide as the widest in their column; rows may differ in length."""
    everything = list(rows)
    widths: dict[int, int] = {}
    for row in everything:
        for column, cell in enumerate(row[:-1]):
            widths[column] = max(widths.get(column, least), gap + len(cell))
    return "".join(
        "".join(cell.ljust(widths[column]) for column, cell in enumerate(row[:-1])) + row[-1] + "\n"
        for row in everything
    )


def show(
    format: str, rows: Sequence[Row], columns: Sequence[tuple[str, str]], *, lines: bool = False, least: int = 10
) -> str:
    """Rows in the format asked for: ``table``, ``json`` (``lines``: one object a line), or a Go template.

    ``columns``: (header, field) of the table. Raises UsageError.
    """
    if format in ("", "table"):
        return table(
            [header for header, _ in columns], [[printed(row[key]) for _, key in columns] for row in rows], least
        )
    if format == "json":
        return json_lines(rows) if lines else json_array(rows)
    if "{{" in format:
        return go_template(format, rows, {key: header for header, key in columns})
    raise UsageError(f"cannot show the format {format}", hint="formats: table, json, or a Go template")
