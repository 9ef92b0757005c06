"""The shim's side of its bond with the project's helper.

The helper keeps duplicates of what must not die with a shim (terminal master, stdin, network namespace, pidfd, DNS
sockets, port reservations) and starts a new shim when the connection breaks without a farewell. The shim does the same
for the helper: when the connection breaks, the first shim to take the lock forks a new helper, and all of them send
it everything again.
"""

from __future__ import annotations

import fcntl
import os

from runtime.messages import Channel, Closed, listen
from runtime.record import EMPTY
from runtime.state import CREATED, STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Mapping

    from runtime.shim.supervisor import Supervisor
    from runtime.state import State

RETRY = 0.05
PATIENCE = 1.0  # seconds for the helper to close what it holds


def ensure_helper(directory: str, fork_helper: _ForkHelper) -> Channel:
    """A connection to the helper of ``directory``; forks one when there is none. Safe against others doing the same."""
    path = f"{directory}/helper.sock"
    while True:
        try:
            return Channel.connect(path)
        except OSError:
            pass
        lock = take_lock(directory)
        try:
            return Channel.connect(path)
        except OSError:
            listener = listen(path, 512)
            fork_helper(listener)
            listener.close()
        finally:
            os.close(lock)


def take_lock(directory: str) -> int:
    """The lock under which helpers come and go. A helper that leaves removes the file: then we lock the new one."""
    while True:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        try:
            lock = os.open(f"{directory}/helper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # the directory went between the two calls
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(lock), os.stat(f"{directory}/helper.lock")):
                return lock
        except FileNotFoundError:
            pass
        os.close(lock)


def clear_stale(directory: str) -> None:
    """Remove what a killed helper left in its directory. A living one, even if it is about to leave, does so itself."""
    path = f"{directory}/helper.sock"
    if not os.path.exists(path) and not os.path.exists(f"{directory}/helper.lock"):
        return
    lock = take_lock(directory)
    try:
        Channel.connect(path).close()
    except OSError:
        remove_files(directory)
    finally:
        os.close(lock)


def remove_files(directory: str) -> None:
    """The helper's socket and lock. Call with the lock held; who waits for it notices and takes a new one."""
    for name in ("helper.sock", "helper.lock"):
        try:
            os.unlink(f"{directory}/{name}")
        except FileNotFoundError:
            pass


class Keeping:
    """What this shim holds, and its connection to the helper."""

    def __init__(self, shim: Supervisor) -> None:
        self.shim = shim
        self.held: dict[str, int] = {}
        self.channel: Channel | None = None

    @property
    def directory(self) -> str:
        return self.shim.spec.helper_dir

    def take(self, held: Mapping[str, int] = EMPTY) -> None:
        """Own what the helper kept, except what others own by name."""
        for name, fd in held.items():
            if name not in ("netns", "pidfd", "master", "stdin"):
                self.held[name] = fd

    def hold(self, name: str, fd: int) -> None:
        if name in self.held:
            self.drop(name)
        self.held[name] = fd

    def drop(self, name: str) -> None:
        """Give one descriptor up, here and at the helper."""
        fd = self.held.pop(name, -1)
        if fd >= 0:
            os.close(fd)
        self._tell({"op": "drop", "names": [name]})

    def release(self, prefix: str = "") -> None:
        """Give up everything that keeps the network namespace or host ports busy.

        Returns when the helper has closed its duplicates too: the next container may want the same ports at once.
        """
        names = [name for name in self.held if name.startswith(prefix)]
        for name in names:
            os.close(self.held.pop(name))
        self._tell({"op": "drop", "names": [*names] if prefix else [*names, "netns"], "answer": bool(names)})
        if names and self.channel is not None:
            self.channel.settimeout(PATIENCE)
            try:
                self.channel.receive()
            except (Closed, OSError):
                pass  # it is gone, and its descriptors with it
            else:
                self.channel.sock.setblocking(True)

    def connect(self) -> None:
        if not self.directory or self.shim.state.status == STOPPED:
            return
        try:
            self.channel = ensure_helper(self.directory, self._fork_helper)
        except OSError as error:
            self.shim.note(f"cannot reach the helper: {error}")
            self.shim.loop.later(RETRY, self.connect)
            return
        self.shim.loop.watch(self.channel.fileno(), self._readable)
        if self.shim.state.status == CREATED:  # it dies with us: nothing is worth holding before its start
            self._hello({})
        else:
            self.offer()

    def offer(self) -> None:
        """Send duplicates of everything to the helper."""
        everything = {**self.held, **self.shim.io.held()}
        if self.shim.netns >= 0:
            everything["netns"] = self.shim.netns
        if self.shim.pidfd >= 0:
            everything["pidfd"] = self.shim.pidfd
        self._hello(everything)

    def _hello(self, everything: Mapping[str, int]) -> None:
        names = list(everything)
        status = self.shim.state.status
        for start in range(0, max(len(names), 1), 200):
            part = names[start : start + 200]
            self._tell(
                {"op": "hello", "id": self.shim.bundle.id, "status": status, "names": part},
                tuple(everything[name] for name in part),
            )

    def announce(self, state: State) -> None:
        self._tell({"op": "state", "status": state.status, "manual": state.manual})

    def leave(self) -> None:
        """Say farewell, so that nobody starts a new shim."""
        self._tell({"op": "bye"})
        if self.channel is not None:
            self.shim.loop.forget(self.channel.fileno())
            self.channel.close()
            self.channel = None

    def _tell(self, message: dict[str, object], fds: tuple[int, ...] = ()) -> None:
        if self.channel is None:
            return
        try:
            self.channel.send(message, fds)
        except (Closed, OSError):
            pass  # _readable sees the end and connects again

    def _readable(self, _events: int) -> None:
        """The helper never speaks: this is its end."""
        assert self.channel is not None
        self.shim.loop.forget(self.channel.fileno())
        self.channel.close()
        self.channel = None
        self.connect()

    def _fork_helper(self, listener: _socket.socket) -> None:
        from runtime.shim.launcher import fork_helper

        fork_helper(self.shim.roots, self.directory, self.shim.helper_main, listener)


if TYPE_CHECKING:
    from collections.abc import Callable

    _ForkHelper = Callable[[_socket.socket], None]
