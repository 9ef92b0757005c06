"""The output of a RUN as whole lines."""

from __future__ import annotations

from runtime.build.request import StepOutput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.build.request import Reporter

_TAIL = 20
_LONGEST = 1 << 16


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
