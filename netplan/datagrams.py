"""UDP through the proxy: one connected socket per client, forgotten when it has been silent for a while."""

from __future__ import annotations

import _socket
import select
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Address = tuple[str, int, int, int]
    Target = Callable[[_socket.socket], "tuple[str, int] | None"]

_IDLE = 90.0  # seconds, as Docker's proxy
_CLIENTS = 1024
_AT_ONCE = 64
_DETACH_FILTER = 27  # SO_DETACH_FILTER


class Relay:
    """One published UDP port. Its sockets are in the proxy's epoll set, ``actions`` says whose is which."""

    def __init__(
        self, sock: _socket.socket, epoll: select.epoll, actions: dict[int, Callable[[], None]], target: Target
    ) -> None:
        sock.setsockopt(_socket.SOL_SOCKET, _DETACH_FILTER, 0)
        sock.setblocking(False)
        self.socket = sock
        self._epoll = epoll
        self._actions = actions
        self._target = target
        self._clients: dict[Address, tuple[_socket.socket, float]] = {}
        self._watch(sock, self._from_clients)

    def close(self) -> None:
        for server, _last in self._clients.values():
            self._forget(server)
        self._clients.clear()
        self._forget(self.socket)

    def _watch(self, sock: _socket.socket, action: Callable[[], None]) -> None:
        self._actions[sock.fileno()] = action
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _forget(self, sock: _socket.socket) -> None:
        self._actions.pop(sock.fileno(), None)
        self._epoll.unregister(sock.fileno())
        sock.close()

    def _from_clients(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, client = self.socket.recvfrom(65536)
            except OSError:
                return
            server = self._server(client)
            try:
                if server is not None:
                    server.send(data)
            except OSError:
                pass  # refused or full: a datagram may be lost

    def _server(self, client: Address) -> _socket.socket | None:
        now = monotonic()
        known = self._clients.get(client)
        if known is not None:
            self._clients[client] = known[0], now
            return known[0]
        self._expire(now)
        target = self._target(self.socket)
        if target is None or len(self._clients) >= _CLIENTS:
            return None
        family = _socket.AF_INET6 if ":" in target[0] else _socket.AF_INET
        server = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
        try:
            server.connect(target)
        except OSError:
            server.close()
            return None
        self._clients[client] = server, now
        self._watch(server, lambda: self._from_server(server, client))
        return server

    def _from_server(self, server: _socket.socket, client: Address) -> None:
        for _ in range(_AT_ONCE):
            try:
                self.socket.sendto(server.recv(65536), client)
            except OSError:
                return

    def _expire(self, now: float) -> None:
        for client in [client for client, (_server, last) in self._clients.items() if now - last > _IDLE]:
            self._forget(self._clients.pop(client)[0])
