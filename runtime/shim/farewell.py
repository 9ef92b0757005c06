"""The end of the machine, as systemd tells it: SIGTERM to every process, and SIGKILL 90 seconds later.

The first process of a container ignores a SIGTERM that it has no handler for (pid_namespaces(7)): a machine with such a
container would wait all that time, and what it wrote would not be settled on disk. Its shim stops it as ``stop`` does.
At any other time SIGTERM ends a shim like any program; it comes back.
"""

from __future__ import annotations

import _signal
import os

from runtime.cgroups import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shim.loop import Loop


def is_going_down() -> bool:
    """Whether process 1 has become systemd's last program (systemd-shutdown(8)); a name is cut after 15 bytes."""
    return files.read("/proc/1/comm").strip() == "systemd-shutdow"


class Farewell:
    """Calls ``stop`` in the loop when the machine goes down."""

    def __init__(self, loop: Loop, stop: Callable[[], None]) -> None:
        self.stop = stop
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        loop.watch(self.fd, self._said)
        _signal.signal(_signal.SIGTERM, self._terminated)

    def _terminated(self, number: int, _frame: object) -> None:
        if is_going_down():
            os.eventfd_write(self.fd, 1)  # timers are the loop's, which sleeps
            return
        _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _said(self, _events: int) -> None:
        os.eventfd_read(self.fd)
        self.stop()
