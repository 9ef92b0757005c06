"""Run a process in a container and keep what it says: exec for programs, where ``client.py`` is exec for terminals.

No signal handlers and no global state: it may be called from any thread.
"""

from __future__ import annotations

import os
import select
import time

from runtime.container import connect, raise_for
from runtime.errors import RuntimeFault
from runtime.messages import Channel, Closed
from runtime.record import record, to_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.paths import Roots
    from runtime.spec import Process

CHUNK = 64 * 1024
GRACE = 5.0  # seconds for a killed process to be reported
KILL: dict[str, object] = {"op": "signal-exec", "signal": 9}


@record
class Captured:
    """How a process ended. ``timed_out``: it was killed because its time was over; ``seconds`` it took."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False


def collect(
    roots: Roots,
    ident: str,
    process: Process,
    *,
    stdin: bytes = b"",
    timeout: float | None = None,
    privileged: bool = False,
    cancel: int = -1,
) -> Captured:
    """Run it to its end, or for ``timeout`` seconds. Raises StartFailed (126, 127), Conflict (not running).

    ``cancel``: a descriptor; the process is killed once it is readable. So it is when the caller is interrupted.
    """
    began = time.monotonic()
    out, err = bytearray(), bytearray()
    streams = Streams(out.extend, err.extend, stdin)
    end = None if timeout is None else began + timeout
    code, late = execute(roots, ident, process, streams, end=end, privileged=privileged, cancel=cancel)
    return Captured(code, bytes(out), bytes(err), time.monotonic() - began, late)


def execute(
    roots: Roots,
    ident: str,
    process: Process,
    streams: Streams,
    *,
    end: float | None = None,
    privileged: bool = False,
    cancel: int = -1,
) -> tuple[int, bool]:
    """Run it with these streams, which are closed, until monotonic time ``end``: the exit code, and whether it was
    killed. The rest as :func:`collect`."""
    channel = None
    try:
        channel = connect(roots, ident)
        channel.send({"op": "exec", "process": to_plain(process), "privileged": privileged}, streams.ends)
        streams.close_ends()
        raise_for(channel.receive()[0])
        try:
            return streams.relay(channel, end, cancel)
        except KeyboardInterrupt:
            channel.send(KILL)
            raise
    except Closed:
        raise RuntimeFault(f"cannot exec in container {ident[:12]}: its shim has died", "try again") from None
    finally:
        streams.close()
        if channel is not None:
            channel.close()


class Streams:
    """Pipes, ours and the process's ends. ``out`` and ``err`` take what it writes; without ``err`` both go through one
    pipe to ``out``, in order."""

    def __init__(
        self, out: Callable[[bytes], object], err: Callable[[bytes], object] | None = None, stdin: bytes = b""
    ) -> None:
        self.pending = memoryview(stdin)
        in_end, self._into = os.pipe2(os.O_CLOEXEC)
        reader, out_end = os.pipe2(os.O_CLOEXEC)
        self._sinks = {reader: out}
        ends = {in_end, out_end}
        err_end = out_end
        if err is not None:
            reader, err_end = os.pipe2(os.O_CLOEXEC)
            self._sinks[reader] = err
            ends.add(err_end)
        self.ends: tuple[int, ...] = (in_end, out_end, err_end)
        self._theirs = ends
        self._open = {self._into, *self._sinks}
        self._poll = select.poll()
        for fd in self._sinks:
            os.set_blocking(fd, False)
            self._poll.register(fd, select.POLLIN)
        os.set_blocking(self._into, False)
        if stdin:
            self._poll.register(self._into, select.POLLOUT)
        else:
            self._end(self._into)

    def close_ends(self) -> None:
        while self._theirs:
            os.close(self._theirs.pop())

    def close(self) -> None:
        self.close_ends()
        for fd in tuple(self._open):
            self._end(fd)

    def relay(self, channel: Channel, end: float | None, cancel: int) -> tuple[int, bool]:
        """The exit code, and whether time was over. Output that outlives the process is not waited for."""
        self._poll.register(channel.fileno(), select.POLLIN)
        if cancel >= 0:
            self._poll.register(cancel, select.POLLIN)
        late = False
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            ready = self._poll.poll(None if left is None else left * 1000)
            cancelled = any(fd == cancel for fd, _events in ready)
            if cancelled:
                self._poll.unregister(cancel)
            if cancelled or not ready:
                if late and not ready:
                    raise RuntimeFault("cannot end the process: it does not die", "look for it with pycompose top")
                late, end = True, time.monotonic() + GRACE
                channel.send(KILL)
            for fd, _events in ready:
                if fd not in (channel.fileno(), cancel):
                    self._move(fd)
            if any(fd == channel.fileno() for fd, _events in ready):
                code = int(channel.receive()[0]["exit"])
                self._drain()
                return code, late

    def _move(self, fd: int) -> bool:
        """Take or give what goes now; False when there is nothing more for the moment."""
        if fd == self._into:
            return self._feed()
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._end(fd)
            return False
        self._sinks[fd](data)
        return True

    def _feed(self) -> bool:
        try:
            self.pending = self.pending[os.write(self._into, self.pending) :]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            self.pending = memoryview(b"")
        if not self.pending:
            self._end(self._into)
        return bool(self.pending)

    def _drain(self) -> None:
        for fd in self._sinks:
            while fd in self._open and self._move(fd):
                pass

    def _end(self, fd: int) -> None:
        self._open.discard(fd)
        try:
            self._poll.unregister(fd)
        except KeyError:
            pass
        os.close(fd)
