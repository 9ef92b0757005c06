"""A Dockerfile's text as logical lines: directives, comments, continuations, here-documents. Pure."""

from __future__ import annotations

import re

from runtime.build.errors import BuildFault
from runtime.build.words import Expander, WordError
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE = 65535
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
_HEREDOC = re.compile(r"(\d*)<<(-?)([^<]*)")
_WITH_HEREDOCS = ("ADD", "COPY", "RUN")
DIRECTIVES = ("syntax", "escape", "check")


@record
class Heredoc:
    """A here-document: ``body`` with its line ends, ``expand`` unless its name was quoted, ``chomp`` for ``<<-``."""

    name: str
    body: str
    expand: bool
    chomp: bool
    fd: int = 0


@record
class Line:
    """A logical line: ``number`` where it begins and ``end`` where it ends, its text, and its here-documents."""

    number: int
    end: int
    text: str
    heredocs: tuple[Heredoc, ...] = ()


@record
class Source:
    """A whole file. ``directives``: what was said at its top, by lower-case name."""

    lines: tuple[Line, ...]
    directives: tuple[tuple[str, str], ...]
    escape: str
    warnings: tuple[str, ...] = ()


def split_lines(data: bytes, fault: Callable[[int, str], BuildFault]) -> Source:
    """The logical lines of a file. ``fault``: an error at a line. Raises BuildFault."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    raw = text.split("\n")
    if raw and raw[-1] == "":
        raw.pop()
    for number, line in enumerate(raw, 1):
        if len(line.encode("utf-8", "surrogateescape")) > MAX_LINE:
            raise fault(number, f"the line is longer than {MAX_LINE} bytes")
    directives = _directives(raw, fault)
    escape = dict(directives).get("escape", "\\")
    if escape not in ("\\", "`"):
        raise fault(1, f"the escape character is {escape!r}, and must be \\ or `")
    return _Splitter(raw, escape, fault).run(directives)


def _directives(raw: list[str], fault: Callable[[int, str], BuildFault]) -> tuple[tuple[str, str], ...]:
    """Lines ``# name=value`` at the very top; the first line that is not one ends them."""
    found: dict[str, str] = {}
    for number, line in enumerate(raw, 1):
        match = _DIRECTIVE.match(line.strip())
        name = match.group(1).lower() if match else ""
        if match is None or name not in DIRECTIVES:
            break
        if name in found:
            raise fault(number, f"the directive {name} is there twice")
        found[name] = match.group(2)
    return tuple(found.items())


class _Splitter:
    def __init__(self, raw: list[str], escape: str, fault: Callable[[int, str], BuildFault]) -> None:
        self.raw = raw
        self.escape = escape
        self.fault = fault
        self.at = 0
        self.warnings: list[str] = []
        mark = re.escape(escape)
        self.continued = re.compile(rf"(?:(?<!{mark})|^){mark}[ \t]*$")

    def run(self, directives: tuple[tuple[str, str], ...]) -> Source:
        lines: list[Line] = []
        while self.at < len(self.raw):
            line = self._line()
            if line is not None:
                lines.append(line)
        return Source(tuple(lines), directives, self.escape, tuple(self.warnings))

    def _next(self) -> str:
        text = self.raw[self.at]
        self.at += 1
        return text.rstrip("\r")

    def _line(self) -> Line | None:
        text = self._next().lstrip(" \t\v\f\r")
        number = self.at
        if not text or text.startswith("#"):
            return None
        text, more = self._trim(text)
        while more and self.at < len(self.raw):
            part = self._next()
            if part.lstrip().startswith("#"):
                continue
            if not part.strip():
                self.warnings.append(f"line {self.at}: an empty line inside a continued one")
                continue
            part, more = self._trim(part)
            text += part
        if not text.strip():
            return None
        heredocs = tuple(self._heredocs(text, number))
        return Line(number, self.at, text, heredocs)

    def _trim(self, text: str) -> tuple[str, bool]:
        found = self.continued.search(text)
        return (text[: found.start()], True) if found else (text, False)

    def _heredocs(self, text: str, number: int) -> list[Heredoc]:
        words = text.split(None, 1)
        if words[0].upper() == "ONBUILD" and len(words) > 1:
            words = words[1].split(None, 1)
        if words[0].upper() not in _WITH_HEREDOCS or "<<" not in text:
            return []
        try:
            candidates = Expander({}, self.escape, raw=True).words(text)
        except WordError:
            return []
        found = []
        for word in candidates:
            match = _HEREDOC.fullmatch(word)
            if match and match.group(3):
                found.append(self._heredoc(match, number))
        return found

    def _heredoc(self, match: re.Match[str], number: int) -> Heredoc:
        rest = match.group(3)
        names = Expander({}, self.escape).words(rest)
        if len(names) != 1:
            raise self.fault(number, f"the name of the here-document {match.group()!r} cannot be read")
        chomp = bool(match.group(2))
        body: list[str] = []
        while self.at < len(self.raw):
            line = self.raw[self.at]
            self.at += 1
            plain = line.lstrip("\t") if chomp else line
            if plain.rstrip("\r") == names[0]:
                fd = int(match.group(1)) if match.group(1) else 0
                return Heredoc(names[0], "".join(body), names[0] == rest, chomp, fd)
            body.append(plain + "\n")
        raise self.fault(number, f"the here-document {names[0]} does not end")
