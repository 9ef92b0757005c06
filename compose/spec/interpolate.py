"""``${VARIABLES}`` in values: docker compose's grammar, by a small real parser.

``$NAME`` ``${NAME}`` and, inside braces, the operators ``:-`` ``-`` ``:?`` ``?`` ``:+`` ``+``. What stands right of an
operator is interpolated too, but only if it is used. ``$$`` is one dollar; a ``$`` before anything else stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from compose.spec.tree import BROKEN, Map, Override, Path, Report, Seq, dotted, locate

Lookup = Callable[[str], "str | None"]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":-|:\?|:\+|-|\?|\+")


class InvalidTemplate(ValueError):
    """The text after a ``${`` is no variable."""


class MissingVariable(ValueError):
    """``${NAME:?message}`` without a value."""


_DEEPEST = 50  # variables within the words of variables


def substitute(text: str, lookup: Lookup, unset: Callable[[str], None]) -> str:
    """The text with every variable replaced. ``unset`` is told of each variable that has no value and no default.

    Raises InvalidTemplate and MissingVariable.
    """
    if "$" not in text:
        return text
    return _filled(text, lookup, unset, 0)


def _filled(text: str, lookup: Lookup, unset: Callable[[str], None], depth: int) -> str:
    if depth > _DEEPEST:
        raise InvalidTemplate("so many variables within each other")
    parts = []
    for literal, name, sign, word in _split(text):
        parts.append(literal)
        if name:
            parts.append(_value(name, sign, word, lookup, unset, depth + 1))
    return "".join(parts)


def pieces(text: str) -> Iterator[tuple[str, str, str]]:
    """(name, operator or "", text right of it) of every variable in a text. Raises InvalidTemplate."""
    return ((name, sign, word) for _, name, sign, word in _split(text) if name)


def _split(text: str) -> Iterator[tuple[str, str, str, str]]:
    """The text in pieces: (literal text, then the variable's name, operator and word, or three times "")."""
    position = 0
    while (start := text.find("$", position)) >= 0:
        before, following = text[position:start], text[start + 1 : start + 2]
        if following == "{":
            position = _closing_brace(text, start)
            yield (before, *_braced(text[start + 2 : position - 1]))
        elif following != "$" and (match := _NAME.match(text, start + 1)):
            position = match.end()
            yield before, match.group(), "", ""
        else:
            position = start + (2 if following == "$" else 1)
            yield before + "$", "", "", ""
    yield text[position:], "", "", ""


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


def _braced(body: str) -> tuple[str, str, str]:
    match = _NAME.match(body)
    if not match:
        raise InvalidTemplate("${" + body + "}")
    name, rest = match.group(), body[match.end() :]
    if not rest:
        return name, "", ""
    operator = _OPERATOR.match(rest)
    if not operator:
        raise InvalidTemplate("${" + body + "}")
    return name, operator.group(), rest[operator.end() :]


def _value(name: str, sign: str, word: str, lookup: Lookup, unset: Callable[[str], None], depth: int) -> str:
    value = lookup(name)
    present = value is not None and (value != "" or not sign.startswith(":"))
    if sign.endswith("+"):
        return _filled(word, lookup, unset, depth) if present else ""
    if value is not None and present:
        return value
    if sign.endswith("?"):
        raise MissingVariable(name, _filled(word, lookup, unset, depth))
    if not sign:
        unset(name)
    return _filled(word, lookup, unset, depth)


class Interpolator:
    """Replaces the variables in a whole tree, in place, and reports what is missing with its place."""

    def __init__(self, lookup: Lookup, report: Report, names: Callable[[], tuple[str, ...]] | None = None) -> None:
        self.lookup = lookup
        self.names = names  # of all variables there are, for hints
        self.report = report

    def tree(self, root: Any) -> None:
        self._walk(root, (), root)

    def files(self, root: Any) -> None:
        """Only what says which other files are read: ``include`` and ``extends``."""
        if not isinstance(root, Map):
            return
        self._walk(root.get("include"), ("include",), root)
        services = root.get("services")
        for name, service in services.items() if isinstance(services, Map) else ():
            if isinstance(service, Map):
                self._walk(service.get("extends"), ("services", name, "extends"), root)

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

    def _near(self, name: str) -> str:
        """``did you mean ...`` for a variable that is set and nearly called so."""
        from compose.spec.check import suggest

        return suggest(name, self.names(), 0.75) if self.names and not self.report.crowded else ""

    def _text(self, text: str, path: Path, root: Any) -> Any:
        def unset(name: str) -> None:
            near = self._near(name)
            text = f'the variable "{name}" is not set, a blank string is used'
            self.report.warn(f"{text}; {near}" if near else text, where=locate(root, path))

        try:
            return substitute(text, self.lookup, unset)
        except MissingVariable as error:
            name, message = error.args
            self.report.problem(
                f"{dotted(path)}: the variable {name} is required" + (f": {message}" if message else ""),
                hint=self._near(name) or f"set {name} in the environment or in .env",
                where=locate(root, path),
                path=path,
            )
        except InvalidTemplate as error:
            self.report.problem(
                f"{dotted(path)}: cannot read {error.args[0]!r} as a variable",
                hint="write ${NAME}, ${NAME:-default}, or $$ for a dollar sign",
                where=locate(root, path),
                path=path,
            )
        return BROKEN
