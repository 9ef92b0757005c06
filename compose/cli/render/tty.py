"""The live tree on a terminal: one row per resource with spinner, state and time, redrawn without flicker.

The whole picture is one write: cursor up, each line overwritten and cleared to its end, inside a synchronised update
(terminals that do not know it ignore it). It is drawn when something happened, at most every 50 ms, and every 100 ms
for the spinner while something is going on; nothing is drawn by the threads that work.
"""

from __future__ import annotations

import os
import threading
import time

from compose.cli.render.progress import STDERR, write_all
from compose.cli.render.words import CYAN, DIM, GREEN, INSIDE, RED, WORDS, YELLOW, Counter, Style, duration, title
from compose.events import Note, StepFinished, StepStarted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.events import Event

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAME, PERIOD = 0.05, 0.1
_HIDE, _SHOW, _BEGIN, _END = "\x1b[?25l", "\x1b[?25h", "\x1b[?2026h", "\x1b[?2026l"


class _Row:
    """One resource: what is happening to it since when, or what has happened."""

    def __init__(self, label: str, now: float) -> None:
        self.label = label
        self.doing = ""
        self.done = ""
        self.begin = now
        self.end = 0.0
        self.error = False
        self.running = 0


class Tree:
    """The renderer. ``verb`` stands in the head line (``up``); ``fd`` must be a terminal."""

    def __init__(self, verb: str, fd: int = STDERR, style: Style | None = None) -> None:
        self._verb = verb
        self._fd = fd
        self._style = style or Style(True)
        self._rows: dict[str, _Row] = {}
        self._notes: list[str] = []
        self._counter = Counter()
        self._begin = time.monotonic()
        self._drawn = 0  # lines of the last picture, above the cursor
        self._changed = threading.Condition()
        self._dirty = False
        self._over = False
        self._thread: threading.Thread | None = None

    def emit(self, event: Event) -> None:
        now = time.monotonic()
        with self._changed:
            match event:
                case Note(text=text, level=level):
                    mark = self._style.paint(f"{level}: ", YELLOW) if level != "info" else ""
                    self._notes.append(f"{mark}{text}")
                case StepStarted():
                    self._started(event, now)
                case StepFinished():
                    self._finished(event, now)
            self._dirty = True
            self._changed.notify()
            if self._thread is None and not self._over:
                self._thread = threading.Thread(target=self._draw_until_over, daemon=True)
                self._thread.start()

    def _started(self, event: StepStarted, now: float) -> None:
        label = title(event.kind, event.name)
        row = self._rows.setdefault(label, _Row(label, now))
        row.running += 1
        row.doing = WORDS[event.verb][0] if event.verb in WORDS else INSIDE.get(event.verb, row.doing)

    def _finished(self, event: StepFinished, now: float) -> None:
        self._counter.add(event.kind, event.name, event.verb)
        label = title(event.kind, event.name)
        row = self._rows.setdefault(label, _Row(label, now - event.seconds))
        row.running = max(0, row.running - 1)
        row.end = now
        if event.error:
            row.error, row.done = True, "Error"
        elif event.verb in WORDS and not row.error:
            row.done = (event.detail if event.verb == "wait" else "") or WORDS[event.verb][1]

    def _draw_until_over(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._dirty or self._over, PERIOD)
                if self._over:
                    return
                self._dirty = False
                data = self._picture(os.get_terminal_size(self._fd))
            write_all(self._fd, data)
            time.sleep(FRAME)  # the least time between two pictures

    def _picture(self, size: os.terminal_size, final: str = "") -> bytes:
        """The bytes that turn the last picture into the present one; ``final``: the last line of all."""
        now = time.monotonic()
        lines = [self._line(row, now, size.columns) for row in self._rows.values()]
        room = max(1, size.lines - 3)
        over = bool(final) or self._over
        if not over and len(lines) > room:
            lines = self._most_wanted(lines, room)
        if lines:
            lines.insert(0, self._head(now))
        if final:
            lines.append(final)
        up = f"\x1b[{self._drawn}A\r" if self._drawn else "\r"
        text = "".join(f"{line}\x1b[K\n" for line in self._notes + lines)
        self._notes = []
        self._drawn = 0 if over else len(lines)
        return f"{_BEGIN}{_HIDE}{up}{text}\x1b[J{_SHOW if over else ''}{_END}".encode()

    def _most_wanted(self, lines: list[str], room: int) -> list[str]:
        """What fits: rows at work and failures before the finished ones, in their order."""
        rows = list(self._rows.values())
        order = sorted(range(len(rows)), key=lambda place: (not rows[place].error, not rows[place].running, -place))
        chosen = sorted(order[: room - 1])
        return [lines[place] for place in chosen] + [f"   … {len(lines) - len(chosen)} more"]

    def _head(self, now: float) -> str:
        done = sum(1 for row in self._rows.values() if not row.running)
        return f"[+] {self._verb} {done}/{len(self._rows)}  {duration(now - self._begin)}"

    def _line(self, row: _Row, now: float, columns: int) -> str:
        """`` ✔ Container web-1  Started                0.3s``, cut to the terminal's width."""
        took = duration((now if row.running else row.end) - row.begin)
        width = max(10, columns - len(took) - 5)
        text = f"{row.label}  {row.doing if row.running and not row.error else row.done or row.doing}"
        text = text if len(text) <= width else f"{text[: width - 1]}…"
        pad = " " * max(1, min(width, 60) - len(text))
        if row.error:
            mark, colour = "✘", RED
        elif row.running:
            mark, colour = SPINNER[int((now - self._begin) / PERIOD) % len(SPINNER)], CYAN
        else:
            mark, colour = "✔", GREEN
        return f" {self._style.paint(mark, colour)} {text}{pad}{self._style.paint(took, DIM)}"

    def close(self, *, summary: bool = False, unchanged: int = 0) -> None:
        """The last picture, all rows in full, then the summary."""
        with self._changed:
            if self._over:
                return
            self._over = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        final = self._counter.summary(time.monotonic() - self._begin, unchanged) if summary else ""
        if self._rows or self._notes or final:
            write_all(self._fd, self._picture(os.get_terminal_size(self._fd), final))
