"""An attached client: output as it comes, input, window size. One SEQPACKET message is one frame.

To the client: ``1`` + bytes (stdout), ``2`` + bytes (stderr), ``0`` + JSON (the end: {"exit": code}).
From the client: ``0`` + bytes (stdin), ``c`` (end of stdin), ``r`` + JSON {"rows", "columns"}, ``s`` + JSON {"signal"}.
"""

from __future__ import annotations

import select

from runtime import plain_json as json
from runtime.messages import Closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.messages import Channel
    from runtime.shim.supervisor import Supervisor

CHUNK = 32 * 1024
BACKLOG = 64  # frames waiting for a slow client before the container's output is held


class Attached:
    """A connection that follows the streams."""

    def __init__(self, shim: Supervisor, channel: Channel) -> None:
        self.shim = shim
        self.channel = channel
        self.waiting: list[bytes] = []
        self.holding = False
        shim.io.attached.append(self)
        shim.loop.watch(channel.fileno(), self._ready)

    def output(self, number: int, data: bytes) -> None:
        kind = b"12"[number : number + 1]
        for start in range(0, len(data), CHUNK):
            self.waiting.append(kind + data[start : start + CHUNK])
        self._flush()

    def finish(self, code: int) -> None:
        """The container has ended: deliver what waits, blocking for at most five seconds, then the exit code."""
        self.waiting.append(b"0" + json.dumps({"exit": code}).encode())
        self.channel.settimeout(5)
        self._flush()
        self.close()

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        if events & ~select.EPOLLOUT:
            self._input()

    def _flush(self) -> None:
        try:
            while self.waiting:
                self.channel.send_bytes(self.waiting[0])
                del self.waiting[0]
        except BlockingIOError:
            pass
        except (Closed, OSError):
            self.close()
            return
        self._balance()

    def _balance(self) -> None:
        events = select.EPOLLIN | (select.EPOLLOUT if self.waiting else 0)
        self.shim.loop.watch(self.channel.fileno(), self._ready, events)
        hold = len(self.waiting) > BACKLOG
        if hold != self.holding:
            self.holding = hold
            self.shim.io.hold_output(hold)

    def _input(self) -> None:
        try:
            data, _fds = self.channel.receive_bytes()
        except BlockingIOError:
            return
        except (Closed, OSError):
            self.close()
            return
        kind, rest = data[:1], data[1:]
        if kind == b"0":
            self.shim.io.feed(rest)
        elif kind == b"c":
            self.shim.io.end_of_input()
        elif kind == b"r":
            size = json.loads(rest)
            self.shim.io.resize(size["rows"], size["columns"])
        elif kind == b"s":
            self.shim.signal(int(json.loads(rest)["signal"]))

    def close(self) -> None:
        if self in self.shim.io.attached:
            self.shim.io.attached.remove(self)
            if self.holding:
                self.shim.io.hold_output(False)
            self.shim.loop.forget(self.channel.fileno())
            self.channel.close()
