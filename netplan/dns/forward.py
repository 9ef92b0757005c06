"""Questions for other DNS servers: in order, four seconds each, over the transport that the client used.

The host's servers are asked from the host, those that a service names itself from its container's namespace, as Docker
does: they may be its neighbours, or on a network that only the container has joined.

SERVFAIL, REFUSED, silence and unreachable servers go on to the next one; NXDOMAIN is an answer. Each question has its
own socket (so its own port) and a random id, and only its own reply is taken.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
from time import monotonic

from netplan import host
from netplan.dns import wire
from netplan.netns import inside, of_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from netplan.dns.wire import Query

_PATIENCE = 4.0
_SERVERS = 3
_IN_FLIGHT = 1024
_OWN = "127.0.0.11"


class Forwarder:
    """The questions in flight, in the epoll set of their resolver."""

    def __init__(self, epoll: select.epoll, servers: tuple[str, ...] | None) -> None:
        self._epoll = epoll
        self._fixed = servers
        self._read: tuple[str, ...] = ()
        self._stamp: tuple[int, int] | None = None
        self._flights: dict[int, _Flight] = {}

    def servers(self) -> tuple[str, ...]:
        """The upstream servers now: at most three."""
        if self._fixed is not None:
            return self._fixed[:_SERVERS]
        try:
            status = os.stat(host.RESOLV_CONF)
        except OSError:
            return ()
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._stamp = stamp
            self._read = tuple(server for server in host.read_nameservers() if server != _OWN)[:_SERVERS]
        return self._read

    def forward(
        self,
        query: Query,
        data: bytes,
        datagram: bool,
        send: Callable[[bytes], None],
        servers: tuple[str, ...] = (),
        origin: int = -1,
    ) -> None:
        """Ask, and ``send`` the reply some day; at the latest SERVFAIL. ``origin``: a socket of the namespace from
        which ``servers`` are asked."""
        if len(self._flights) >= _IN_FLIGHT:
            send(wire.reply(query, wire.REFUSED, []))
            return
        chosen = (servers or self.servers())[:_SERVERS]
        if not chosen and "." not in query.name:
            send(
                wire.reply(query, wire.NXDOMAIN, [])
            )  # nobody to ask: a client would take SERVFAIL for a passing trouble
            return
        self._launch(_Flight(query, data, datagram, send, chosen, origin if servers else -1))

    def handle(self, fd: int) -> bool:
        """Whether the descriptor is one of ours; then its news has been dealt with."""
        flight = self._flights.get(fd)
        if flight is None:
            return False
        try:
            reply = flight.receive()
        except OSError:
            self._next(flight)
            return True
        if reply is None:
            self._epoll.modify(fd, flight.waits_for())
        elif wire.code_of(reply) in (wire.SERVFAIL, wire.REFUSED):
            self._next(flight, reply)
        else:
            self._land(flight, reply)
        return True

    def deadline(self) -> float | None:
        return min((flight.deadline for flight in self._flights.values()), default=None)

    def tick(self, now: float) -> None:
        for flight in [flight for flight in self._flights.values() if flight.deadline <= now]:
            self._next(flight)

    def close(self) -> None:
        for flight in self._flights.values():
            flight.close()
        self._flights.clear()

    def _launch(self, flight: _Flight) -> None:
        while flight.left:
            try:
                fd = flight.start()
            except OSError:
                flight.close()
                continue
            self._flights[fd] = flight
            self._epoll.register(fd, flight.waits_for())
            return
        self._answer(flight, flight.last)

    def _next(self, flight: _Flight, reply: bytes = b"") -> None:
        self._drop(flight)
        flight.last = reply or flight.last
        self._launch(flight)

    def _land(self, flight: _Flight, reply: bytes) -> None:
        self._drop(flight)
        self._answer(flight, reply)

    def _drop(self, flight: _Flight) -> None:
        self._flights.pop(flight.fd, None)
        flight.close()

    def _answer(self, flight: _Flight, reply: bytes) -> None:
        query = flight.query
        if not reply:
            flight.send(wire.reply(query, wire.SERVFAIL, []))
        elif flight.datagram and len(reply) > query.limit:
            flight.send(wire.reply(query, wire.code_of(reply), [bytes(query.limit)], query.limit))
        else:
            flight.send(query.id.to_bytes(2, "big") + reply[2:])


class _Flight:
    """One question at one server after the other."""

    def __init__(
        self,
        query: Query,
        data: bytes,
        datagram: bool,
        send: Callable[[bytes], None],
        servers: tuple[str, ...],
        origin: int,
    ) -> None:
        self.query = query
        self.datagram = datagram
        self.send = send
        self.left = list(servers)
        self.last = b""  # the refusal to pass on if no server answers
        self.deadline = 0.0
        self.fd = -1
        self._data = data
        self._origin = origin
        self._id = 0
        self._socket: _socket.socket | None = None
        self._unsent = b""
        self._received = b""

    def start(self) -> int:
        """Ask the next server; the descriptor to wait for. Raises OSError."""
        server = self.left.pop(0)
        self._id = int.from_bytes(os.urandom(2), "big")
        self._socket = sock = self._open(_socket.AF_INET6 if ":" in server else _socket.AF_INET)
        self.fd = sock.fileno()
        self.deadline = monotonic() + _PATIENCE
        question = self._id.to_bytes(2, "big") + self._data[2:]
        self._received = b""
        self._unsent = question if self.datagram else len(question).to_bytes(2, "big") + question
        problem = sock.connect_ex((server, 53))
        if problem not in (0, errno.EINPROGRESS):
            raise OSError(problem, os.strerror(problem))
        if self.datagram:
            sock.send(self._unsent)
            self._unsent = b""
        return self.fd

    def _open(self, family: int) -> _socket.socket:
        kind = (_socket.SOCK_DGRAM if self.datagram else _socket.SOCK_STREAM) | _socket.SOCK_NONBLOCK
        if self._origin < 0:
            return _socket.socket(family, kind | _socket.SOCK_CLOEXEC)
        netns = of_socket(self._origin)
        try:
            with inside(netns):
                return _socket.socket(family, kind | _socket.SOCK_CLOEXEC)
        finally:
            os.close(netns)

    def waits_for(self) -> int:
        return select.EPOLLOUT if self._unsent else select.EPOLLIN

    def receive(self) -> bytes | None:
        """The reply, or None if there is more to wait for. Raises OSError if this server will not answer."""
        assert self._socket is not None
        if self._unsent:
            if problem := self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR):
                raise OSError(problem, os.strerror(problem))
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
            return None
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return None
        if self.datagram:
            return data if wire.answers(data, self._id, self.query.question) else None
        if not data:
            raise OSError(errno.ECONNRESET, "connection closed")
        self._received += data
        size = int.from_bytes(self._received[:2], "big") + 2
        if len(self._received) < max(size, 2):
            return None
        reply = self._received[2:size]
        if not wire.answers(reply, self._id, self.query.question):
            raise OSError(errno.EBADMSG, "another answer")
        return reply

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
