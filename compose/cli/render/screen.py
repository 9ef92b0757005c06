"""The last lines of a terminal, kept below whatever else is written to it: the live tree, the menu.

Each change is one write inside a synchronised update (terminals that do not know it ignore it), of only the lines that
changed. The cursor rests below the region, so that an interrupted program leaves a usable screen.
"""

from __future__ import annotations

import os
import threading

from compose.cli.render.progress import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_HIDE, _SHOW, _BEGIN, _END = "\x1b[?25l", "\x1b[?25h", "\x1b[?2026h", "\x1b[?2026l"
SMALLEST = os.terminal_size((20, 4))


class Screen:
    """The region at the bottom of the terminal ``fd``. May be used from several threads."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.RLock()
        self._lines: list[str] = []  # of the last picture, above the cursor
        self._columns = self.size().columns

    def size(self) -> os.terminal_size:
        """Columns and rows as they are now, at least 20x4."""
        try:
            found = os.get_terminal_size(self._fd)
        except OSError:
            return os.terminal_size((80, 24))
        if not found.columns or not found.lines:
            return os.terminal_size((80, 24))
        return os.terminal_size((max(found.columns, SMALLEST.columns), max(found.lines, SMALLEST.lines)))

    def holds(self, fd: int) -> bool:
        """Whether ``fd`` is this very terminal, so that what goes there must go through ``above``."""
        try:
            return os.isatty(fd) and os.fstat(fd).st_rdev == os.fstat(self._fd).st_rdev
        except OSError:
            return False

    def show(self, lines: Sequence[str], above: str = "") -> None:
        """Make ``lines`` the region; each must fit the width. ``above``: whole lines that scroll away over it."""
        with self._lock:
            columns = self.size().columns
            if above or columns != self._columns or len(lines) != len(self._lines):
                text = self._whole(lines, above)
            else:
                text = self._changes(lines)
            self._lines, self._columns = list(lines), columns
            if text:
                hide = _HIDE if lines else _SHOW
                self._write(f"{_BEGIN}{hide}{text}{_END}".encode("utf-8", "surrogateescape"))

    def above(self, data: bytes) -> None:
        """Whole lines of a program's output, over the region. Bytes are passed on as they are."""
        with self._lock:
            if not self._lines:
                self._write(data)
                return
            again = "".join(f"{line}\n" for line in self._lines)
            head = f"{_BEGIN}{self._up()}\x1b[J".encode()
            self._write(head + data + f"{again}{_END}".encode("utf-8", "surrogateescape"))
            self._columns = self.size().columns

    def leave(self) -> None:
        """The region as it stands becomes part of what was printed; the cursor is seen again."""
        with self._lock:
            if self._lines:
                self._lines = []
                self._write(_SHOW.encode())

    def _write(self, data: bytes) -> None:
        try:
            write_all(self._fd, data)
        except OSError:
            pass  # the terminal is gone; the work goes on

    def _whole(self, lines: Sequence[str], above: str) -> str:
        text = "".join(f"{line}\x1b[K\n" for line in lines)
        clear = "\x1b[J" if self._lines else ""
        return f"{self._up()}{clear if above or not lines else ''}{above}{text}{clear}"

    def _changes(self, lines: Sequence[str]) -> str:
        """Only what is different, each line by moving up to it and back."""
        parts = []
        for place, line in enumerate(lines):
            if line != self._lines[place]:
                distance = len(lines) - place
                parts.append(f"\x1b[{distance}A\r{line}\x1b[K\x1b[{distance}B\r")
        return "".join(parts)

    def _up(self) -> str:
        """To the first line of the region, which a narrower window has folded: terminals reflow when they shrink."""
        columns = self.size().columns
        rows = sum(max(1, -(-width(line) // columns)) for line in self._lines)
        return f"\x1b[{rows}A\r" if rows else "\r"


class Output:
    """Standard output and error where a screen may be in the way: what goes to its terminal goes above its region."""

    def __init__(self, screen: Screen | None = None) -> None:
        self._screen = screen
        self._over = {fd: screen is not None and screen.holds(fd) for fd in (1, 2)}

    def write(self, fd: int, data: bytes) -> None:
        """Whole lines. Raises BrokenPipeError when nobody reads."""
        if self._screen is not None and self._over[fd]:
            self._screen.above(data)
        else:
            write_all(fd, data)


def width(text: str) -> int:
    """Columns that a text takes: colours none, wide characters two."""
    if "\x1b" in text:
        text = plain(text)
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(2 if east_asian_width(one) in "WF" else 0 if combining(one) else 1 for one in text)


def plain(text: str) -> str:
    """Without its colours (``ESC [ ... m``)."""
    first, *rest = text.split("\x1b[")
    return first + "".join(part.partition("m")[2] for part in rest)


def fit(text: str, columns: int, tail: int = 0) -> str:
    """Cut to so many columns, with an ellipsis; the last ``tail`` characters stay, for names that differ there."""
    if width(text) <= columns:
        return text
    tail = min(tail, columns - 2) if columns > 2 else 0
    end = text[len(text) - tail :] if tail else ""
    room = columns - 1 - width(end)
    kept = ""
    for one in text:
        if width(kept + one) > room:
            break
        kept += one
    return f"{kept}…{end}"
