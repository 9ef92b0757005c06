"""Problems of Compose files for editors and for terminals: as plain values, and with the line they are in."""

from __future__ import annotations

from typing import Any

from compose.errors import SpecError


def problem_to_plain(problem: SpecError) -> dict[str, Any]:
    """A problem as JSON can hold it: ``file``, ``line`` and ``column`` (from 1; 0: not known), message and hint."""
    file, line, column = split_where(problem.where)
    return {
        "file": file,
        "line": line,
        "column": column,
        "path": problem.path,
        "message": problem.message,
        "hint": problem.hint,
    }


def split_where(where: str) -> tuple[str, int, int]:
    """``file:line:column`` or ``file:line`` or ``file``, taken apart."""
    file, line, column = (*where.rsplit(":", 2), "", "")[:3]
    if line.isdigit() and column.isdigit():
        return file, int(line), int(column)
    file, _, line = where.rpartition(":")
    return (file, int(line), 0) if file and line.isdigit() else (where, 0, 0)


def with_excerpt(problem: SpecError, width: int = 120) -> str:
    """The whole problem as a terminal shows it: place and fact, the line with a caret, what to try."""
    first, *hint = problem.text().split("\n", 1)
    return "\n".join(part for part in (first, excerpt(problem, width).rstrip("\n"), *hint) if part)


def excerpt(problem: SpecError, width: int = 120) -> str:
    """The line of a problem with a caret below its place, or "" when that cannot be shown."""
    file, line, column = split_where(problem.where)
    if not column or file.startswith("<"):
        return ""
    try:
        with open(file, encoding="utf-8", errors="replace") as source:
            text = next((text for number, text in enumerate(source, 1) if number == line), "")
    except OSError:
        return ""
    text = text.rstrip("\n")
    if not text.strip() or column > len(text) + 1 or len(text) > width:
        return ""
    number = f"{line:>5}"
    lead = "".join("\t" if char == "\t" else " " for char in text[: column - 1])
    return f"{number} | {text}\n      | {lead}^\n"
