"""Messages between commands, shims and the helper: one JSON object per SOCK_SEQPACKET datagram, with file descriptors.

``_socket`` is used directly because importing ``socket`` costs 12 ms. A message is at most 200 KiB, which every Linux
default socket buffer takes; at most 253 descriptors travel with one message (SCM_MAX_FD, unix(7)).
"""

from __future__ import annotations

import _socket
import array
import os

from runtime import plain_json as json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Message = dict[str, Any]

MAX_BYTES = 200 * 1024
MAX_FDS = 250
_SEQPACKET = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC


class Closed(Exception):
    """The other side is gone."""


def pair() -> tuple[Channel, Channel]:
    """Two connected channels."""
    left, right = _socket.socketpair(_socket.AF_UNIX, _SEQPACKET)
    return Channel(left), Channel(right)


class Channel:
    """One end of a SEQPACKET connection."""

    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock

    @classmethod
    def from_fd(cls, fd: int) -> Channel:
        """Take over a descriptor."""
        return cls(_socket.socket(_socket.AF_UNIX, _SEQPACKET, 0, fd))

    @classmethod
    def connect(cls, path: str, timeout: float | None = None) -> Channel:
        """Connect to a listening path. Raises OSError (ENOENT, ECONNREFUSED: nobody there)."""
        sock = _socket.socket(_socket.AF_UNIX, _SEQPACKET)
        try:
            sock.settimeout(timeout)
            connect_path(sock, path)
        except OSError:
            sock.close()
            raise
        return cls(sock)

    def fileno(self) -> int:
        return self.sock.fileno()

    def settimeout(self, seconds: float | None) -> None:
        self.sock.settimeout(seconds)

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send one message. Raises Closed (other side gone) or BlockingIOError (non-blocking and full)."""
        self.send_bytes(json.dumps(message, separators=(",", ":")).encode(), fds)

    def send_bytes(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.sock.sendmsg([data], rights, _socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def receive_bytes(self) -> tuple[bytes, list[int]]:
        """One datagram and its descriptors (close-on-exec). Raises Closed at the end."""
        data, ancillary = self._receive()
        fds = array.array("i")
        for level, kind, payload in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        if not data:
            raise Closed
        return data, list(fds)

    def _receive(self) -> tuple[bytes, list[tuple[int, int, bytes]]]:
        """One datagram. A reset is reported once, before what is still queued: the second look gets that or the end."""
        for _attempt in (0, 1):
            try:
                data, ancillary, _flags, _address = self.sock.recvmsg(
                    MAX_BYTES, _socket.CMSG_SPACE(4 * MAX_FDS), _socket.MSG_CMSG_CLOEXEC
                )
            except ConnectionResetError:
                continue
            return data, ancillary
        raise Closed

    def receive(self) -> tuple[Message, list[int]]:
        data, fds = self.receive_bytes()
        return json.loads(data), fds

    def ask(self, message: Message, fds: tuple[int, ...] = ()) -> tuple[Message, list[int]]:
        """Send and wait for the answer."""
        self.send(message, fds)
        return self.receive()

    def close(self) -> None:
        self.sock.close()


def listen(path: str, backlog: int = 64) -> _socket.socket:
    """A listening SEQPACKET socket at ``path`` that replaces an older one atomically; mode 0600."""
    sock = _socket.socket(_socket.AF_UNIX, _SEQPACKET)
    temporary = f"{path}.{os.getpid()}"
    try:
        os.unlink(temporary)
    except FileNotFoundError:
        pass
    bind_path(sock, temporary)
    os.chmod(temporary, 0o600)
    sock.listen(backlog)
    os.rename(temporary, path)
    return sock


def accept(sock: _socket.socket) -> Channel:
    """Accept one connection."""
    fd, _address = sock._accept()  # type: ignore[attr-defined]
    os.set_inheritable(fd, False)
    return Channel.from_fd(fd)


# sun_path holds 108 bytes; longer paths go through /proc/self/fd of their directory.


def bind_path(sock: _socket.socket, path: str) -> None:
    _through_directory(sock.bind, path)


def connect_path(sock: _socket.socket, path: str) -> None:
    _through_directory(sock.connect, path)


def _through_directory(call: Any, path: str) -> None:
    if len(os.fsencode(path)) < 108:
        call(path)
        return
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    finally:
        os.close(directory)
