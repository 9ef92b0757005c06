"""The output of a RUN as whole lines, and what a registry tells as lines."""

from __future__ import annotations

import time

from runtime.build.request import StepOutput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.build.request import Reporter
    from runtime.images.registry.progress import Part

    Tell = Callable[[Part], None]

_TAIL = 20
_LONGEST = 1 << 16
_TELL_EVERY = 0.5  # seconds between lines about one layer


class Output:
    """Cuts bytes into lines for the reporter. ``tail``: the last lines, for an error."""

    def __init__(self, reporter: Reporter, number: int) -> None:
        self._reporter = reporter
        self._number = number
        self._rest = b""
        self.tail: list[str] = []

    def write(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            lines, self._rest = [*lines, self._rest], b""
        if lines:
            self._emit([line.decode("utf-8", "replace").rstrip("\r") for line in lines])

    def flush(self) -> None:
        """What came without an end of line."""
        if self._rest:
            self._emit([self._rest.decode("utf-8", "replace")])
            self._rest = b""

    def _emit(self, lines: list[str]) -> None:
        self.tail = (self.tail + lines)[-_TAIL:]
        self._reporter.emit(StepOutput(self._number, "\n".join(lines)))


class PartLines:
    """What is told of layers, as lines of a step: when it becomes another word, at the end, and now and then."""

    def __init__(self, reporter: Reporter, number: int) -> None:
        self._reporter = reporter
        self._number = number
        self._told: dict[str, tuple[str, float]] = {}

    def __call__(self, part: Part) -> None:
        """Called from several threads, for one layer from one."""
        status, when = self._told.get(part.name, ("", 0.0))
        moment = time.monotonic()
        if part.status == status and not part.done and moment - when < _TELL_EVERY:
            return
        self._told[part.name] = part.status, moment
        amount = f" {part.current / 1e6:.1f}MB / {part.total / 1e6:.1f}MB" if part.total else ""
        name = f"{part.name} " if part.name else ""
        self._reporter.emit(StepOutput(self._number, f"{name}{part.status}{amount}"))
