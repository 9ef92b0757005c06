"""A process in a running container whose output is read line by line, from any thread."""

from __future__ import annotations

import os
import select

from runtime.container import connect, raise_for
from runtime.errors import RuntimeFault
from runtime.messages import Closed
from runtime.record import to_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.messages import Channel
    from runtime.paths import Roots
    from runtime.spec import Process

CHUNK = 32 * 1024


def capture(
    roots: Roots, ident: str, process: Process, line: Callable[[bytes], None], *, privileged: bool = False
) -> int:
    """Execute ``process`` with an empty input; its exit code. ``line`` is called with each line of stdout and stderr.

    Output of children that outlive it is not waited for. Raises StartFailed (126, 127) and Conflict (not running).
    """
    channel = connect(roots, ident)
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            message = {"op": "exec", "process": to_plain(process), "privileged": privileged}
            channel.send(message, (null, writer, writer))
        finally:
            os.close(null)
            os.close(writer)
        raise_for(channel.receive()[0])
        os.set_blocking(reader, False)
        return _follow(channel, _Lines(reader, line))
    except Closed:
        raise RuntimeFault(f"cannot exec in container {ident[:12]}: its shim has died", "try again") from None
    finally:
        channel.close()
        os.close(reader)


def _follow(channel: Channel, lines: _Lines) -> int:
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    poll.register(lines.fd, select.POLLIN)
    while True:
        for fd, _events in poll.poll():
            if fd == lines.fd:
                if not lines.read():
                    poll.unregister(fd)
            else:
                code = int(channel.receive()[0]["exit"])
                while lines.read():
                    pass
                lines.finish()
                return code


class _Lines:
    """Cuts what comes out of a non-blocking descriptor into lines."""

    def __init__(self, fd: int, line: Callable[[bytes], None]) -> None:
        self.fd = fd
        self._line = line
        self._rest = b""

    def read(self) -> bool:
        """Pass on what is there; False when there is nothing more."""
        try:
            data = os.read(self.fd, CHUNK)
        except BlockingIOError:
            return False
        *whole, self._rest = (self._rest + data).split(b"\n")
        for one in whole:
            self._line(one + b"\n")
        return bool(data)

    def finish(self) -> None:
        """The end of a line without a newline."""
        if self._rest:
            self._line(self._rest + b"\n")
            self._rest = b""
