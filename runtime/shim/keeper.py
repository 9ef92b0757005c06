"""The helper's half of the bond with the shims: holds duplicates, starts a dead shim again, ends when all are gone.

It knows nothing of networks: what else lives in the helper process comes as :class:`Services`.
"""

from __future__ import annotations

import _signal
import _socket
import os
import time

from runtime.messages import Channel, Closed, accept
from runtime.shim.keeping import remove_files, take_lock
from runtime.shim.launcher import fork_asked, fork_shim
from runtime.shim.loop import Loop
from runtime.state import STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from runtime.messages import Message
    from runtime.paths import Roots

    class Services(Protocol):
        """What the helper does beside keeping. Descriptors stay the keeper's: duplicate what must live longer."""

        def start(self, loop: Loop) -> None: ...
        def held(self, ident: str, fds: dict[str, int]) -> None:
            """The container's descriptors now."""
            ...

        def ended(self, ident: str, *, manual: bool) -> None:
            """The container has ended for good; ``manual``: a command ended it and cleans up itself."""
            ...

        def gone(self, ident: str) -> None:
            """The shim has left; its descriptors are closed."""
            ...

        def is_busy(self) -> bool:
            """Whether something that ended is still to be cleaned up: the helper stays for it."""
            ...


IDLE = 0.02  # seconds without any shim before the helper ends
BUSY = 0.05  # seconds between two looks whether it may end at last
FIRST_PATIENCE = 20.0
ATTEMPTS = 20  # new shims for one container within WINDOW seconds; beyond, each waits for PAUSE
WINDOW = 10.0
PAUSE = 1.0


class Kept:
    """One container as the helper sees it."""

    def __init__(self, ident: str) -> None:
        self.ident = ident
        self.fds: dict[str, int] = {}
        self.channel: Channel | None = None
        self.status = ""
        self.manual = False
        self.farewell = False
        self.pending = -1  # pidfd of a shim that was forked here and has not yet said hello
        self.attempts: list[float] = []

    def drop(self, names: list[str]) -> None:
        for name in names:
            fd = self.fds.pop(name, -1)
            if fd >= 0:
                os.close(fd)


class Keeper:
    """The helper's loop."""

    def __init__(self, roots: Roots, directory: str, listener: int, helper_main: str, services: Services) -> None:
        self.roots = roots
        self.directory = directory
        self.helper_main = helper_main
        self.services = services
        self.loop = Loop()
        self.listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, listener)
        self.listener.setblocking(False)
        self.kept: dict[str, Kept] = {}
        self.channels: dict[int, Channel] = {}

    def run(self) -> None:
        _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
        self.loop.watch(self.listener.fileno(), self._accept)
        self.services.start(self.loop)
        self.loop.later(FIRST_PATIENCE, self._maybe_leave)
        self.loop.run()

    def _accept(self, _events: int) -> None:
        try:
            channel = accept(self.listener)
        except BlockingIOError:
            return
        channel.sock.setblocking(False)
        self.channels[channel.fileno()] = channel
        self.loop.watch(channel.fileno(), lambda _events: self._readable(channel))

    def _readable(self, channel: Channel) -> None:
        try:
            while True:
                message, fds = channel.receive()
                self._message(channel, message, fds)
        except BlockingIOError:
            return
        except (Closed, OSError):
            self._closed(channel)

    def _message(self, channel: Channel, message: Message, fds: list[int]) -> None:
        operation = message["op"]
        if operation == "hello":
            self._hello(channel, message, fds)
            return
        if operation in ("create", "adopt"):  # from a command: we are as good a launcher as any
            fork_asked(self.roots, self.helper_main, message, fds)
            for fd in fds:
                os.close(fd)
            return
        kept = self._kept_by(channel)
        if kept is None:
            return
        if operation == "drop":
            kept.drop(message["names"])
            self.services.held(kept.ident, kept.fds)
            if message.get("answer"):
                channel.send({"ok": True})
        elif operation == "state":
            kept.status, kept.manual = message["status"], message["manual"]
            if kept.status == STOPPED:
                self.services.ended(kept.ident, manual=kept.manual)
        elif operation == "bye":
            kept.farewell = True

    def _hello(self, channel: Channel, message: Message, fds: list[int]) -> None:
        kept = self.kept.setdefault(message["id"], Kept(message["id"]))
        kept.channel, kept.status, kept.farewell, kept.pending = channel, message["status"], False, -1
        kept.drop(message["names"])
        kept.fds.update(zip(message["names"], fds))
        self.services.held(kept.ident, kept.fds)

    def _kept_by(self, channel: Channel) -> Kept | None:
        return next((kept for kept in self.kept.values() if kept.channel is channel), None)

    def _closed(self, channel: Channel) -> None:
        kept = self._kept_by(channel)
        self.loop.forget(channel.fileno())
        self.channels.pop(channel.fileno(), None)
        channel.close()
        if kept is not None:
            kept.channel = None
            if kept.farewell or kept.status == STOPPED:
                self._forget(kept)
            else:
                self._revive(kept)
        self._leave_soon()

    def _leave_soon(self) -> None:
        if not self._is_needed():
            self.loop.later(IDLE, self._maybe_leave)

    def _is_needed(self) -> bool:
        """Whether somebody is connected, or a dead shim's successor is still on its way."""
        return bool(self.channels or self.kept)

    def _forget(self, kept: Kept) -> None:
        del self.kept[kept.ident]
        kept.drop(list(kept.fds))
        self.services.gone(kept.ident)
        self._leave_soon()

    def _revive(self, kept: Kept) -> None:
        """The shim died without farewell: fork a new one that takes over."""
        now = time.monotonic()
        kept.attempts = [when for when in kept.attempts if now - when < WINDOW] + [now]
        if not os.path.exists(f"{self.roots.state}/containers/{kept.ident}/spec.json"):
            self._forget(kept)
        elif len(kept.attempts) > ATTEMPTS:
            self.loop.later(PAUSE, lambda: self._fork(kept))
        else:
            self._fork(kept)

    def _fork(self, kept: Kept) -> None:
        pid = fork_shim(self.roots, kept.ident, self.helper_main, adopt=True, held=dict(kept.fds))
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.loop.later(0.05, lambda: self._revive(kept))
            return
        kept.pending = pidfd
        self.loop.watch(pidfd, lambda _events: self._revived_ended(kept, pidfd))

    def _revived_ended(self, kept: Kept, pidfd: int) -> None:
        """A forked shim is gone. One that had said hello is seen by the end of its connection instead."""
        self.loop.forget(pidfd)
        os.close(pidfd)
        if kept.pending == pidfd and self.kept.get(kept.ident) is kept:
            self._revive(kept)

    def _maybe_leave(self) -> None:
        """End when nobody is connected and nobody knocks, under the lock that those who fork helpers take."""
        if self._is_needed():
            return
        if self.services.is_busy():
            self.loop.later(BUSY, self._maybe_leave)
            return
        lock = take_lock(self.directory)
        try:
            self._accept(0)
            if self._is_needed():
                return
            remove_files(self.directory)
            _remove_directory(self.directory)
            self.loop.stop()
        finally:
            os.close(lock)


def _remove_directory(path: str) -> None:
    """The project's directory, unless a command's lock is in it."""
    try:
        os.rmdir(path)
    except OSError:
        pass
