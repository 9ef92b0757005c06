"""The containers' DNS resolver, made to live in somebody else's epoll loop: no thread, no asyncio, one descriptor.

Names come from the store and are fresh at every query (PRAGMA data_version, so nobody needs to notify us). Unknown
names go to the host's servers, asynchronously. The sockets are made by netplan/dns/sockets.py inside each container's
namespace and given to :meth:`Resolver.add`: the socket says which container asks.
"""

from __future__ import annotations

import _socket
import select
from time import monotonic

from netplan.dns import wire
from netplan.dns.forward import Forwarder
from netplan.dns.zone import Zone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netplan.dns.wire import Query
    from netplan.store import Store

_AT_ONCE = 64  # datagrams of one container before the others get their turn
_CONNECTIONS = 256
_SIZES = {wire.A: 4, wire.AAAA: 16}  # of an address, by the type that asks for it
_IDLE = 10.0  # seconds that a client's silent TCP connection is kept


class Resolver:
    """Answers for any number of containers. Not thread-safe.

    Register ``fds()`` (one epoll descriptor; it stays the same) for reading, call ``handle`` when it is readable and
    ``tick`` at ``deadline()`` (monotonic seconds, or None).
    """

    def __init__(self, store: Store, servers: Iterable[str] | None = None) -> None:
        """``store`` stays the caller's. ``servers``: upstream addresses; None: those of the host's resolv.conf, read
        again when it changes."""
        self._store = store
        self._epoll = select.epoll()
        self._forwarder = Forwarder(self._epoll, None if servers is None else tuple(servers))
        self._sockets: dict[str, tuple[_socket.socket, _socket.socket]] = {}
        self._actions: dict[int, Callable[[], None]] = {}
        self._clients: dict[int, _Client] = {}
        self._version = (-1, -1)
        self._zone = Zone((), ())
        self._turn = 0

    def add(self, container: str, udp_fd: int, tcp_fd: int, servers: Iterable[str] = ()) -> None:
        """Answer on these sockets from now on; the resolver owns them. ``servers``: the container's own upstreams."""
        self.remove(container)
        udp, tcp = _socket.socket(fileno=udp_fd), _socket.socket(fileno=tcp_fd)
        upstream = tuple(servers)
        for sock, action in ((udp, self._datagrams), (tcp, self._connections)):
            sock.setblocking(False)
            self._actions[sock.fileno()] = _bound(action, container, sock, upstream)
            self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._sockets[container] = (udp, tcp)

    def remove(self, container: str) -> None:
        """Close the container's sockets: they would keep its namespace alive."""
        for client in [client for client in self._clients.values() if client.container == container]:
            client.close()
        for sock in self._sockets.pop(container, ()):
            self._actions.pop(sock.fileno(), None)
            sock.close()  # which also takes it out of the epoll set, unless somebody has a duplicate

    def containers(self) -> list[str]:
        """Who is answered."""
        return list(self._sockets)

    def fds(self) -> list[int]:
        return [self._epoll.fileno()]

    def handle(self, fd: int = -1) -> None:
        """Do what is ready; never waits."""
        for ready, _events in self._epoll.poll(0, 64):
            if action := self._actions.get(ready):
                action()
            elif client := self._clients.get(ready):
                client.read()
            elif not self._forwarder.handle(ready):
                try:  # a duplicate elsewhere keeps a socket in the set that we have closed
                    self._epoll.unregister(ready)
                except OSError:
                    pass

    def deadline(self) -> float | None:
        """When ``tick`` has something to do."""
        times = [client.deadline for client in self._clients.values()]
        if (own := self._forwarder.deadline()) is not None:
            times.append(own)
        return min(times) if times else None

    def tick(self) -> None:
        """Go on to the next upstream server where one is late; drop silent connections."""
        now = monotonic()
        for client in [client for client in self._clients.values() if client.deadline <= now]:
            client.close()
        self._forwarder.tick(now)

    def close(self) -> None:
        for container in list(self._sockets):
            self.remove(container)
        self._forwarder.close()
        self._epoll.close()

    def _datagrams(self, container: str, sock: _socket.socket, servers: tuple[str, ...]) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, client = sock.recvfrom(4096)
            except (BlockingIOError, ConnectionError):
                return
            self.answer(container, data, True, _sender(sock, client), servers)

    def _connections(self, container: str, sock: _socket.socket, servers: tuple[str, ...]) -> None:
        try:
            fd, _address = sock._accept()  # type: ignore[attr-defined]  # the C class's accept
        except OSError:
            return
        peer = _socket.socket(fileno=fd)
        if len(self._clients) >= _CONNECTIONS:
            peer.close()
            return
        peer.setblocking(False)
        self._clients[fd] = _Client(self, container, peer, servers)
        self._epoll.register(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        self._clients.pop(fd, None)

    def answer(
        self, container: str, data: bytes, datagram: bool, send: Callable[[bytes], None], servers: tuple[str, ...] = ()
    ) -> None:
        """Answer one message, now or when an upstream server has."""
        query = wire.parse_query(data)
        if query is None:
            if refusal := wire.refuse(data, wire.FORMERR):
                send(refusal)
            return
        limit = query.limit if datagram else 65535
        if wire.opcode(query) or query.class_ != wire.IN:
            send(wire.reply(query, wire.NOTIMP, []))
            return
        self._refresh()
        found = self._local(container, query)
        if found is not None:
            send(wire.reply(query, found[0], found[1], limit))
        elif self._zone.is_known(container, query.name) or not (servers or self._zone.may_forward(container)):
            send(wire.reply(query, wire.NXDOMAIN, []))
        else:
            origin = self._sockets[container][0].fileno() if container in self._sockets else -1
            self._forwarder.forward(query, data, datagram, send, servers, origin)

    def _refresh(self) -> None:
        version = self._store.version()
        if version != self._version:
            self._version = version
            self._zone = Zone(self._store.networks(), self._store.endpoints(), self._store.known_names())

    def _local(self, container: str, query: Query) -> tuple[int, list[bytes]] | None:
        """Code and records, or None for a name that is not ours. A known name has A records and nothing else."""
        if query.type == wire.PTR:
            return self._pointer(container, query)
        addresses = self._zone.addresses(container, query.name)
        if addresses is None:
            return None
        size = _SIZES.get(query.type, 0)
        addresses = [address for address in addresses if len(address) == size]
        if len(addresses) > 1:  # replicas share the work: each reply begins with another one
            self._turn += 1
            at = self._turn % len(addresses)
            addresses = addresses[at:] + addresses[:at]
        return wire.NOERROR, [wire.address_record(address) for address in addresses]

    def _pointer(self, container: str, query: Query) -> tuple[int, list[bytes]] | None:
        address = wire.reversed_address(query.name)
        if address is None:
            return None
        name = self._zone.pointer(container, address)
        if name is None:
            return None
        return (wire.NOERROR, [wire.pointer_record(name)]) if name else (wire.NXDOMAIN, [])


def _bound(
    action: Callable[[str, _socket.socket, tuple[str, ...]], None],
    container: str,
    sock: _socket.socket,
    servers: tuple[str, ...],
) -> Callable[[], None]:
    return lambda: action(container, sock, servers)


def _sender(sock: _socket.socket, client: tuple[str, int]) -> Callable[[bytes], None]:
    def send(data: bytes) -> None:
        try:
            sock.sendto(data, client)
        except OSError:
            pass  # a full buffer or a closed socket: the client asks again

    return send


class _Client:
    """One TCP connection of a container: messages with their length before them (RFC 7766)."""

    def __init__(self, resolver: Resolver, container: str, sock: _socket.socket, servers: tuple[str, ...]) -> None:
        self.container = container
        self.deadline = monotonic() + _IDLE
        self._resolver = resolver
        self._socket = sock
        self._fd = sock.fileno()
        self._servers = servers
        self._data = b""

    def read(self) -> None:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self.deadline = monotonic() + _IDLE
        self._data += data
        while len(self._data) >= 2 and len(self._data) >= 2 + (size := int.from_bytes(self._data[:2], "big")):
            message, self._data = self._data[2 : 2 + size], self._data[2 + size :]
            self._resolver.answer(self.container, message, False, self._send, self._servers)

    def _send(self, data: bytes) -> None:
        try:
            frame = len(data).to_bytes(2, "big") + data
            if self._socket.send(frame) == len(frame):
                return
        except OSError:
            pass
        self.close()  # a client that does not read its answers

    def close(self) -> None:
        self._resolver.forget(self._fd)
        self._socket.close()
