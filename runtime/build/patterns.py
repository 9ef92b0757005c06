"""Patterns over slash-separated paths: of COPY (Go's filepath.Match) and of .dockerignore (``**`` too). Pure."""

from __future__ import annotations

import posixpath
import re

from runtime.build.errors import BuildFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def has_wildcard(text: str) -> bool:
    return any(char in text for char in "*?[")


def unescape(text: str) -> str:
    """A pattern without wildcards as the name it means."""
    return re.sub(r"\\(.)", r"\1", text)


def glob_regex(pattern: str, deep: bool = False) -> str:
    """A pattern as a regular expression: ``*`` and ``?`` stop at a slash; ``deep``: ``**`` crosses it.

    Raises BuildFault for one that is malformed.
    """
    out, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if deep and char == "*" and pattern[at : at + 1] == "*":
            at += 1
            if pattern[at : at + 1] == "/":
                at += 1
                out.append("(?:.*/)?")
            else:
                out.append(".*")
        elif char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            piece, at = _class(pattern, at)
            out.append(piece)
        elif char == "\\":
            if at == len(pattern):
                raise _bad(pattern)
            out.append(re.escape(pattern[at]))
            at += 1
        else:
            out.append(re.escape(char))
    return "".join(out)


def _class(pattern: str, at: int) -> tuple[str, int]:
    """A bracket expression: its regular expression, and where it ends."""
    negated = pattern[at : at + 1] == "^"
    at += negated
    rows: list[str] = []
    while True:
        if at >= len(pattern):
            raise _bad(pattern)
        if pattern[at] == "]" and rows:
            inner = "".join(rows)
            if not inner:  # only ranges that run backwards: nothing is in them
                return "[^/]" if negated else "(?!)", at + 1
            return f"(?!/)[{'^' if negated else ''}{inner}]", at + 1
        low, at = _class_char(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _class_char(pattern, at + 1)
        if high < low:
            rows.append("")
            continue
        rows.append(re.escape(low) if low == high else f"{re.escape(low)}-{re.escape(high)}")


def _class_char(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] in ("", "-", "]"):
        raise _bad(pattern)
    if pattern[at] == "\\":
        at += 1
    if at >= len(pattern):
        raise _bad(pattern)
    return pattern[at], at + 1


def _bad(pattern: str) -> BuildFault:
    return BuildFault(f"cannot use pattern {pattern!r}: it is malformed")


class Ignore:
    """A .dockerignore: which paths are left out. The last pattern that matches a path, or a parent of it, decides."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.rules: list[tuple[bool, re.Pattern[str], str]] = []
        for number, line in enumerate(lines):
            text = line.removeprefix("\ufeff") if number == 0 else line
            if not text.startswith("#") and text.strip():
                self._add(text.strip())

    def _add(self, text: str) -> None:
        keep = text.startswith("!")
        text = text[1:].strip() if keep else text
        if not text:
            raise BuildFault("cannot use .dockerignore: a '!' stands alone", "write !PATH to keep a path")
        text = posixpath.normpath(text)
        while text.startswith("/"):
            text = text[1:]
        if text and text != "..":
            below = re.compile(
                f"(?:{glob_regex(text, deep=True)})(?:/.*)?", re.DOTALL
            )  # what matches, and all below it
            self.rules.append((keep, below, text))

    def __bool__(self) -> bool:
        return bool(self.rules)

    def ignores(self, path: str) -> bool:
        """Whether a path (relative, without leading slash) is left out."""
        ignored = False
        for keep, pattern, _text in self.rules:
            if keep == ignored and pattern.fullmatch(path):
                ignored = not keep
        return ignored

    def prunes(self, directory: str) -> bool:
        """Whether nothing below an ignored directory can be kept."""
        return not any(keep and _may_be_below(text, directory) for keep, _pattern, text in self.rules)


def _may_be_below(pattern: str, directory: str) -> bool:
    """Whether a pattern could match something below a directory."""
    for word, name in zip(pattern.split("/"), directory.split("/"), strict=False):
        if word == "**" or "**" in word:
            return True
        if not re.fullmatch(glob_regex(word), name, re.DOTALL):
            return False
    return True
