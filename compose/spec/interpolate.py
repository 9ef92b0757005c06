"""``${VARIABLES}`` in values: docker compose's grammar, by a small real parser.

``$NAME`` ``${NAME}`` and, inside braces, the operators ``:-`` ``-`` ``:?`` ``?`` ``:+`` ``+``. What stands right of an
operator is interpolated too, but only if it is used. ``$$`` is one dollar; a ``$`` before anything else stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from compose.spec.tree import BROKEN, Map, Override, Path, Report, Seq, dotted, locate

Lookup = Callable[[str], "str | None"]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":-|:\?|:\+|-|\?|\+")


class InvalidTemplate(ValueError):
    """The text after a ``${`` is no variable."""


class MissingVariable(ValueError):
    """``${NAME:?message}`` without a value."""


def substitute(text: str, lookup: Lookup, unset: Callable[[str], None]) -> str:
    """The text with every variable replaced. ``unset`` is told of each variable that has no value and no default.

    Raises InvalidTemplate and MissingVariable.
    """
    start = text.find("$")
    if start < 0:
        return text
    parts = []
    position = 0
    while start >= 0:
        parts.append(text[position:start])
        following = text[start + 1 : start + 2]
        if following == "$":
            parts.append("$")
            position = start + 2
        elif following == "{":
            position = _closing_brace(text, start)
            parts.append(_braced(text[start + 2 : position - 1], lookup, unset))
        elif match := _NAME.match(text, start + 1):
            position = match.end()
            parts.append(_plain(match.group(), lookup, unset))
        else:
            parts.append("$")
            position = start + 1
        start = text.find("$", position)
    parts.append(text[position:])
    return "".join(parts)


def _closing_brace(text: str, start: int) -> int:
    """The position after the brace that closes the one after ``start``; braces are counted."""
    depth = 0
    for position in range(start + 1, len(text)):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if not depth:
                return position + 1
    raise InvalidTemplate(text[start:])


def _plain(name: str, lookup: Lookup, unset: Callable[[str], None]) -> str:
    value = lookup(name)
    if value is None:
        unset(name)
        return ""
    return value


def _braced(body: str, lookup: Lookup, unset: Callable[[str], None]) -> str:
    match = _NAME.match(body)
    if not match:
        raise InvalidTemplate("${" + body + "}")
    name, rest = match.group(), body[match.end() :]
    if not rest:
        return _plain(name, lookup, unset)
    operator = _OPERATOR.match(rest)
    if not operator:
        raise InvalidTemplate("${" + body + "}")
    sign, word = operator.group(), rest[operator.end() :]
    value = lookup(name)
    present = value is not None and (value != "" or not sign.startswith(":"))
    if sign.endswith("+"):
        return substitute(word, lookup, unset) if present else ""
    if present:
        return value or ""
    if sign.endswith("?"):
        raise MissingVariable(name, substitute(word, lookup, unset))
    return substitute(word, lookup, unset)


class Interpolator:
    """Replaces the variables in a whole tree, in place, and reports what is missing with its place."""

    def __init__(self, lookup: Lookup, report: Report) -> None:
        self.lookup = lookup
        self.report = report

    def tree(self, root: Any) -> None:
        self._walk(root, (), root)

    def _walk(self, node: Any, path: Path, root: Any) -> None:
        if isinstance(node, Override):
            if isinstance(node.value, str):
                node.value = self._text(node.value, path, root)
            else:
                self._walk(node.value, path, root)
            return
        items: Any = node.items() if isinstance(node, Map) else enumerate(node) if isinstance(node, Seq) else ()
        for key, value in items:
            if type(value) is str:
                if "$" in value:
                    node[key] = self._text(value, (*path, key), root)
            elif isinstance(value, (Map, Seq, Override)):
                self._walk(value, (*path, key), root)

    def _text(self, text: str, path: Path, root: Any) -> Any:
        def unset(name: str) -> None:
            self.report.warn(f'the variable "{name}" is not set, a blank string is used', where=locate(root, path))

        try:
            return substitute(text, self.lookup, unset)
        except MissingVariable as error:
            name, message = error.args
            self.report.problem(
                f"{dotted(path)}: the variable {name} is required" + (f": {message}" if message else ""),
                hint=f"set {name} in the environment or in .env",
                where=locate(root, path),
            )
        except InvalidTemplate as error:
            self.report.problem(
                f"{dotted(path)}: cannot read {error.args[0]!r} as a variable",
                hint="write ${NAME}, ${NAME:-default}, or $$ for a dollar sign",
                where=locate(root, path),
            )
        return BROKEN
