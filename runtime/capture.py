"""A process in a running container whose output is read line by line, from any thread."""

from __future__ import annotations

from runtime.collect import Streams, execute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.paths import Roots
    from runtime.spec import Process


def capture(
    roots: Roots, ident: str, process: Process, line: Callable[[bytes], None], *, privileged: bool = False
) -> int:
    """Execute ``process`` with an empty input; its exit code. ``line`` is called with each line of stdout and stderr.

    Output of children that outlive it is not waited for. Raises StartFailed (126, 127) and Conflict (not running).
    """
    lines = _Lines(line)
    code, _killed = execute(roots, ident, process, Streams(lines.take), privileged=privileged)
    lines.finish()
    return code


class _Lines:
    """Cuts what comes into lines."""

    def __init__(self, line: Callable[[bytes], None]) -> None:
        self._line = line
        self._rest = b""

    def take(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        for one in whole:
            self._line(one + b"\n")

    def finish(self) -> None:
        """The end of a line without a newline."""
        if self._rest:
            self._line(self._rest + b"\n")
            self._rest = b""
