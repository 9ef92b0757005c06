"""Which paths a watch rule leaves out, and which line says so. Pure but for reading the ignore files.

Patterns are those of .dockerignore: the last one that matches a path, or a directory above it, decides; ``!`` keeps.
Left out in any case are ``.git`` and what editors write beside the files they save.
"""

from __future__ import annotations

import posixpath
import re

from compose.errors import UsageError
from compose.record import record
from runtime.build.errors import BuildFault
from runtime.build.patterns import glob_regex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BUILT_IN = (
    "**/.git",  # and all that is in it
    "**/*___jb_old___",  # JetBrains: the file before a safe write
    "**/*___jb_tmp___",
    "**/.idea",
    "**/*~",  # backups of vim, emacs, gedit
    "**/4913",  # vim: may it write here?
    "**/.*.sw?",
    "**/.*.swpx",
    "**/.*.swx",
    "**/.#*",  # emacs: lock
    "**/#*#",  # emacs: auto-save
    "**/.*.kate-swp",
    "**/.*.kate-newcmd",
    "**/.goutputstream-*",  # GLib's safe write
    "**/.nfs*",
    "**/.umask-probe*",
    "**/.~lock.*#",
    "**/.*.pycompose~",
)


@record
class Line:
    """A pattern and where it stands: ``web/.dockerignore:3``, or a word."""

    text: str
    origin: str


class Matcher:
    """Patterns over paths relative to one directory."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._rows: list[tuple[bool, re.Pattern[str], Line]] = []
        for line in lines:
            self._add(line)
        self._keeps = [line.text for keep, _pattern, line in self._rows if keep]
        self._quick = re.compile("|".join(f"(?:{row[1].pattern})" for row in self._rows) or r"(?!)", re.DOTALL)

    def _add(self, line: Line) -> None:
        text = line.text.strip()
        if not text or (text.startswith("#") and line.origin.partition(":")[0].endswith("ignore")):
            return
        keep = text.startswith("!")
        text = posixpath.normpath(text[1:].strip() if keep else text).lstrip("/")
        if text in ("", ".."):
            return
        try:
            pattern = r".*" if text == "." else glob_regex(text, deep=True)
        except BuildFault as fault:
            raise UsageError(fault.message, hint=fault.hint, where=line.origin) from None
        self._rows.append((keep, re.compile(rf"(?:{pattern})(?:/.*)?", re.DOTALL), line))

    def __bool__(self) -> bool:
        return bool(self._rows)

    def decides(self, path: str) -> Line | None:
        """The line that leaves a path out, or None if it stays."""
        if not self._quick.fullmatch(path):
            return None
        found: Line | None = None
        for keep, pattern, line in self._rows:
            if keep == (found is not None) and pattern.fullmatch(path):
                found = None if keep else line
        return found

    def prunes(self, directory: str) -> Line | None:
        """The line that leaves out a directory with all that is in it; None also where a ``!`` may keep a part."""
        line = self.decides(directory)
        if line is not None and any(_may_be_below(text[1:], directory) for text in self._keeps):
            return None
        return line


def _may_be_below(pattern: str, directory: str) -> bool:
    words = posixpath.normpath(pattern.strip()).lstrip("/").split("/")
    for word, name in zip(words, directory.split("/"), strict=False):
        if "**" in word:
            return True
        if not re.fullmatch(glob_regex(word), name, re.DOTALL):
            return False
    return True


BUILT_IN_MATCHER = Matcher([Line(text, "built in") for text in BUILT_IN])


def read_lines(path: str, shown: str) -> list[Line]:
    """The lines of an ignore file with their places; none if it is not there."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError:
        return []
    lines = text.removeprefix("\ufeff").splitlines()
    return [Line(line, f"{shown}:{number}") for number, line in enumerate(lines, 1)]
