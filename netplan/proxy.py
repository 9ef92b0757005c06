"""[::]:port → container: the way in that the kernel's translation cannot serve.

A published port is also reserved on IPv6 (netplan/publish.py). Here such a socket listens, and each TCP connection is
spliced to the container's address: through a pipe, never through Python's memory; datagrams are relayed
(netplan/datagrams.py). Of a container with IPv6 only ``::1`` comes here, which the kernel cannot translate; of one
without it all IPv6. It lives in somebody else's epoll loop, with one descriptor of its own.
"""

from __future__ import annotations

import _socket
import errno
import os
import select

from netplan.datagrams import Relay
from netplan.family import V4, V6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from netplan.store import Store

_CHUNK = 1 << 16
_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_BACKLOG = 128
_AGAIN = (errno.EAGAIN, errno.EINTR)


class Proxy:
    """Listens on reserved IPv6 sockets. Register ``fds()`` for reading and call ``handle``; not thread-safe."""

    def __init__(self, store: Store) -> None:
        """``store`` stays the caller's."""
        self._store = store
        self._epoll = select.epoll()
        self._listeners: dict[int, _socket.socket] = {}
        self._relays: dict[int, Relay] = {}
        self._actions: dict[int, Callable[[], None]] = {}
        self._ends: dict[int, _Half] = {}

    def add(self, fd: int) -> bool:
        """Take a reservation socket if it is one for us (on IPv6); the proxy keeps a duplicate of it."""
        sock = _socket.socket(fileno=os.dup(fd))
        if sock.family != _socket.AF_INET6:
            sock.close()
            return False
        os.set_inheritable(sock.fileno(), False)
        if sock.type == _socket.SOCK_DGRAM:
            self._relays[sock.fileno()] = Relay(sock, self._epoll, self._actions, self._datagram_target)
            return True
        sock.setblocking(False)
        try:
            sock.listen(_BACKLOG)
        except OSError:
            sock.close()  # another proxy listens on the port: it is served
            return False
        self._listeners[sock.fileno()] = sock
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        return True

    def remove(self, fd: int) -> None:
        """Stop listening on the port of this socket; open connections go on until their ends close them."""
        inode = os.fstat(fd).st_ino
        for sock in [sock for own, sock in self._listeners.items() if os.fstat(own).st_ino == inode]:
            self._drop(sock)
        for own in [own for own in self._relays if os.fstat(own).st_ino == inode]:
            self._relays.pop(own).close()

    def sweep(self) -> None:
        """Stop listening on ports that nobody publishes any more: they would keep the next container from them."""
        for sock in [sock for sock in self._listeners.values() if self._target(sock.getsockname()) is None]:
            self._drop(sock)
        for own in [own for own, relay in self._relays.items() if self._datagram_target(relay.socket) is None]:
            self._relays.pop(own).close()

    def _drop(self, sock: _socket.socket) -> None:
        self._epoll.unregister(sock.fileno())
        del self._listeners[sock.fileno()]
        try:
            sock.shutdown(_socket.SHUT_RDWR)  # whoever holds a duplicate keeps the port, but nobody connects to it
        except OSError:
            pass
        sock.close()

    def fds(self) -> list[int]:
        return [self._epoll.fileno()]

    def handle(self, fd: int = -1) -> None:
        """Do what is ready; never waits."""
        for ready, events in self._epoll.poll(0, 64):
            if listener := self._listeners.get(ready):
                self._accept(listener)
            elif half := self._ends.get(ready):
                half.ready(events)
            elif action := self._actions.get(ready):
                action()

    def close(self) -> None:
        for sock in self._listeners.values():
            sock.close()
        for relay in self._relays.values():
            relay.close()
        for half in list(self._ends.values()):
            half.connection.close()
        self._epoll.close()

    def _accept(self, listener: _socket.socket) -> None:
        try:
            fd, _address = listener._accept()  # type: ignore[attr-defined]  # the C class's accept
        except OSError:
            return
        client = _socket.socket(fileno=fd)
        client.setblocking(False)
        target = self._target(listener.getsockname())
        family = _socket.AF_INET6 if target and ":" in target[0] else _socket.AF_INET
        server = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
        problem = server.connect_ex(target) if target else errno.ECONNREFUSED
        if problem not in (0, errno.EINPROGRESS):
            client.close()
            server.close()
            return
        for sock in (client, server):
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        connection = _Connection(self._epoll, self._ends, client, server)
        for half in connection.halves:
            self._ends[half.fd] = half
            self._epoll.register(half.fd, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)

    def _datagram_target(self, sock: _socket.socket) -> tuple[str, int] | None:
        return self._target(sock.getsockname(), "udp")

    def _target(self, name: tuple[str, int, int, int], protocol: str = "tcp") -> tuple[str, int] | None:
        """Address and port of the container that has published this port."""
        found = self._store.execute(
            "SELECT e.address, e.address6, p.container_port FROM published p JOIN endpoint e USING (container, network)"
            " WHERE p.protocol = ? AND p.host_port = ? AND p.host_ip = ?",
            (protocol, name[1], name[0]),
        )
        if not found:
            return None
        address, address6, port = found[0]
        return (V6.render_address(int(address6, 16)) if address6 else V4.render_address(address)), port


class _Connection:
    """Two sockets and a pipe for each direction."""

    def __init__(
        self, epoll: select.epoll, ends: dict[int, _Half], client: _socket.socket, server: _socket.socket
    ) -> None:
        self._epoll = epoll
        self._ends = ends
        self.halves = (_Half(self, client, server), _Half(self, server, client))

    def pump(self) -> None:
        """Move what can be moved, both ways; close when both directions have ended."""
        try:
            for half in self.halves:
                half.pump()
        except OSError:
            self.close()
            return
        if all(half.done for half in self.halves):
            self.close()

    def close(self) -> None:
        for half in self.halves:
            if self._ends.pop(half.fd, None):
                half.close()


class _Half:
    """One direction: from ``source`` through a pipe to ``target``. Edge-triggered: every event tries everything."""

    def __init__(self, connection: _Connection, source: _socket.socket, target: _socket.socket) -> None:
        self.connection = connection
        self.fd = source.fileno()
        self.done = False
        self._source = source
        self._target = target
        self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._inside = 0
        self._ended = False

    def ready(self, _events: int) -> None:
        self.connection.pump()

    def pump(self) -> None:
        """Raises OSError if an end is broken."""
        while not self.done:
            moved = self._fill() + self._drain()
            if self._ended and not self._inside:
                self.done = True
                try:
                    self._target.shutdown(_socket.SHUT_WR)
                except OSError:
                    pass  # it is closed already
            if not moved:
                return

    def _fill(self) -> int:
        if self._ended or self._inside >= _CHUNK:
            return 0
        try:
            moved = os.splice(self.fd, self._pipe[1], _CHUNK - self._inside, flags=_FLAGS)
        except OSError as problem:
            if problem.errno in _AGAIN or problem.errno == errno.ENOTCONN:  # the server's end is still connecting
                return 0
            raise
        self._ended = not moved
        self._inside += moved
        return moved

    def _drain(self) -> int:
        if not self._inside:
            return 0
        try:
            moved = os.splice(self._pipe[0], self._target.fileno(), self._inside, flags=_FLAGS)
        except OSError as problem:
            if problem.errno in _AGAIN or problem.errno == errno.ENOTCONN:
                return 0
            raise
        self._inside -= moved
        return moved

    def close(self) -> None:
        self._source.close()
        for fd in self._pipe:
            os.close(fd)
