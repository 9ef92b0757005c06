"""The live tree on a terminal: one row per resource with spinner, state and time, redrawn without flicker.

It is drawn when something happened, at most every 50 ms, and every 100 ms for the spinner while something is going on;
nothing is drawn by the threads that work. What does not fit is folded: failures and what is going on stay in sight. A
window that is resized in the middle gets the next picture in its new size.
"""

from __future__ import annotations

import threading
import time

from compose.cli.render.progress import STDERR
from compose.cli.render.rows import Rows
from compose.cli.render.screen import Screen
from compose.cli.render.words import YELLOW, Counter, Style, duration
from compose.events import BuildOutput, Note, StepFinished, StepProgress, StepStarted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.events import Event

FRAME, PERIOD = 0.05, 0.1


class Tree:
    """The renderer. ``verb`` stands in the head line (``up``); ``fd`` must be a terminal.

    ``screen``: the region to draw in when log lines go above it. ``folded``: at the end only the summary and what
    failed stay, because log lines go on below.
    """

    def __init__(
        self,
        verb: str,
        fd: int = STDERR,
        style: Style | None = None,
        *,
        screen: Screen | None = None,
        folded: bool = False,
    ) -> None:
        self._verb = verb
        self._style = style or Style(True)
        self._folded = folded
        self.screen = screen or Screen(fd)
        self._rows = Rows(self._style)
        self._notes: list[str] = []
        self._counter = Counter()
        self._begin = time.monotonic()
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
                    self._notes.append(f"{mark}{text}\n")
                case StepStarted():
                    self._rows.started(event, now)
                case StepFinished():
                    self._counter.add(event.kind, event.name, event.verb)
                    self._rows.finished(event, now)
                case BuildOutput(image=image, part=part, done=done) if part:
                    line = event.text.rpartition("\n")[2].partition(" ")[2]
                    self._rows.progress(
                        StepProgress("image", image, part, "" if part in line else line, done=done), now
                    )
                case StepProgress():
                    self._rows.progress(event, now)
            self._dirty = True
            self._changed.notify()
            if self._thread is None and not self._over:
                self._thread = threading.Thread(target=self._draw_until_over, daemon=True)
                self._thread.start()

    def _draw_until_over(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._dirty or self._over, PERIOD if self._rows.busy else None)
                if self._over:
                    return
                self._dirty = False
                self._draw()
            time.sleep(FRAME)  # the least time between two pictures

    def _draw(self) -> None:
        size = self.screen.size()
        now = time.monotonic()
        lines = self._rows.lines(now, now - self._begin, size.columns, max(1, size.lines - 3))
        self._put([self._head(now), *lines] if lines else [])

    def _put(self, lines: list[str]) -> None:
        above = "".join(self._notes)
        self._notes = []
        self.screen.show(lines, above)

    def _head(self, now: float) -> str:
        done, total = self._rows.count()
        return f"[+] {self._verb} {done}/{total}  {duration(now - self._begin)}"

    def close(self, *, summary: bool = False, unchanged: int = 0) -> None:
        """The last picture, all rows in full, then the summary."""
        with self._changed:
            if self._over:
                return
            self._over = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        now = time.monotonic()
        final = self._counter.summary(now - self._begin, unchanged) if summary else ""
        lines = self._rows.lines(now, now - self._begin, self.screen.size().columns, 0, only_failed=self._folded)
        if lines and not self._folded:
            lines.insert(0, self._head(now))
        self._put([*lines, final] if final else lines)
        self.screen.leave()
