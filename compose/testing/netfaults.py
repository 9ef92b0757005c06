"""Network faults that last: put back into the new namespace when a container is started again or made anew.

A fault is rules inside a container's network namespace, which ends when the container stops. Whoever starts it with our
engine waits until the fault is there again: not one packet passes. For what other processes start (a command, another
pytest worker) a thread follows the project's journal as long as faults stand; there a moment passes. Restarts by a
restart policy keep the namespace.
"""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING

from compose.api.events import Journal
from compose.engine.local import told
from compose.errors import EngineError
from runtime.container import read_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from compose.testing.stack import Stack


class NetworkFault:
    """``begin`` and ``end`` take a descriptor of a namespace and the fault's key; ``begin`` again replaces it."""

    def __init__(
        self, text: str, service: str, begin: Callable[[int, str], None], end: Callable[[int, str], None]
    ) -> None:
        self.text, self.service, self._begin, self._end = text, service, begin, end
        self.key = os.urandom(4).hex()
        self.error: Exception | None = None  # it could not be put back

    def begin(self, fd: int) -> None:
        self._begin(fd, self.key)

    def end(self, fd: int) -> None:
        self._end(fd, self.key)


class NetworkFaults:
    """Those that stand in one stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._standing: list[NetworkFault] = []
        self._lock = threading.Lock()
        self._follower: _Follower | None = None

    def begin(self, fault: NetworkFault) -> None:
        """In all containers of its service, now and later. Raises EngineError, and then there is nothing of it."""
        if self._follower is None:
            self._follower = _Follower(self._stack, self._again)
            self._stack.engine.before_start = lambda _ident: self._put_back()
        with self._lock:
            self._standing.append(fault)
        try:
            self._put_back(fault)
        except BaseException:
            self.end(fault)
            raise

    def end(self, fault: NetworkFault) -> None:
        """Raises EngineError, after all, for one that could not be put back in the meantime."""
        with self._lock:
            self._standing.remove(fault)
            self._in_each(fault, fault.end)
            follower, self._follower = self._follower, None if not self._standing else self._follower
        if follower is not None and self._follower is None:
            self._stack.engine.before_start = lambda _ident: None
            follower.close()
        if fault.error is not None:
            raise EngineError(
                f"cannot keep up {fault.text}: {fault.error}", hint="pycompose doctor says what this machine lacks"
            ) from fault.error

    def _put_back(self, only: NetworkFault | None = None) -> None:
        with self._lock:
            for fault in self._standing:
                if only in (None, fault):
                    self._in_each(fault, fault.begin)

    def _again(self) -> None:
        """Something was started. What goes wrong is raised by the end of the fault."""
        with self._lock:
            for fault in self._standing:
                try:
                    self._in_each(fault, fault.begin)
                except Exception as error:  # noqa: BLE001 -- of a thread that nobody waits for
                    fault.error = error

    def _in_each(self, fault: NetworkFault, work: Callable[[int], None]) -> None:
        for one in self._stack.containers((fault.service,)):
            if one.pid:
                _inside(self._stack, one.id, one.pid, fault, work)


@told
def _inside(stack: Stack, ident: str, pid: int, fault: NetworkFault, work: Callable[[int], None]) -> None:
    """Call with a descriptor of the process's network namespace; nothing when it has ended."""
    try:
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if read_spec(stack.roots, ident).namespaces.network == "host":
            raise EngineError(
                f"cannot {fault.text}: it has the host's network", hint="a fault needs a network of the container's own"
            )
        work(fd)
    finally:
        os.close(fd)


class _Follower:
    """Calls when any container of the stack was started."""

    def __init__(self, stack: Stack, started: Callable[[], None]) -> None:
        self._journal = Journal(stack.roots, stack.name)
        self._started = started
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._journal.fileno(), select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            if any(fd == self._wake for fd, _event in poll.poll()):
                return
            if any(one.action == "start" for one in self._journal.pending()):
                self._started()

    def close(self) -> None:
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._journal.__exit__()
        os.close(self._wake)
