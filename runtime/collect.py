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
    channel = connect(roots, ident)
    streams = _Streams(stdin)
    try:
        message = {"op": "exec", "process": to_plain(process), "privileged": privileged}
        channel.send(message, streams.ends)
        streams.close_ends()
        raise_for(_receive(channel))
        try:
            code, late = streams.relay(channel, None if timeout is None else began + timeout, cancel)
        except KeyboardInterrupt:
            channel.send(KILL)
            raise
    finally:
        streams.close()
        channel.close()
    return Captured(code, bytes(streams.out), bytes(streams.err), time.monotonic() - began, late)


def _receive(channel: Channel) -> dict[str, object]:
    try:
        return channel.receive()[0]
    except Closed:
        raise RuntimeFault("cannot exec: the container's shim has died", "try again") from None


class _Streams:
    """Three pipes, ours and the process's ends."""

    def __init__(self, stdin: bytes) -> None:
        self.pending = memoryview(stdin)
        self.out, self.err = bytearray(), bytearray()
        in_end, self._into = os.pipe2(os.O_CLOEXEC)
        self._from_out, out_end = os.pipe2(os.O_CLOEXEC)
        self._from_err, err_end = os.pipe2(os.O_CLOEXEC)
        self.ends: tuple[int, ...] = (in_end, out_end, err_end)
        self._open = {self._into, self._from_out, self._from_err}
        self._poll = select.poll()
        for fd in (self._from_out, self._from_err):
            os.set_blocking(fd, False)
            self._poll.register(fd, select.POLLIN)
        os.set_blocking(self._into, False)
        if stdin:
            self._poll.register(self._into, select.POLLOUT)
        else:
            self._end(self._into)

    def close_ends(self) -> None:
        for fd in self.ends:
            os.close(fd)
        self.ends = ()

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
                code = int(str(_receive(channel)["exit"]))
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
        (self.out if fd == self._from_out else self.err).extend(data)
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
        for fd in (self._from_out, self._from_err):
            while fd in self._open and self._move(fd):
                pass

    def _end(self, fd: int) -> None:
        self._open.discard(fd)
        try:
            self._poll.unregister(fd)
        except KeyError:
            pass
        os.close(fd)
