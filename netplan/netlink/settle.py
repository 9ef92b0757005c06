"""Wait until an IPv6 address is in use. The kernel adds one in a worker, even where it looks for no duplicates: until
then a packet to it, as the answer to a container's first question, is dropped, and the client waits for a second."""

from __future__ import annotations

import _socket
import select
from struct import pack, unpack_from
from time import monotonic

from netplan.netlink.link import GETROUTE, NEWROUTE
from netplan.netlink.message import attr, attributes, message, messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.netlink.socket import Netlink

_IPV6_ROUTES = 11  # RTNLGRP_IPV6_ROUTE
_LOCAL = 2  # RTN_LOCAL
_INET6 = 10
_PATIENCE = 0.3  # seconds; a link without a carrier has its addresses later, and nobody to talk to


class Settling:
    """Hears of new routes of the calling thread's namespace from now on."""

    def __init__(self) -> None:
        self._socket = _socket.socket(16, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK, 0)
        self._socket.bind((0, 1 << (_IPV6_ROUTES - 1)))

    def close(self) -> None:
        self._socket.close()

    def wait(self, socket: Netlink, address: bytes) -> bool:
        """Until the packed address is one of this machine's, as ``socket`` and the news tell. False: not in time."""
        if is_local(socket, address):
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        end = monotonic() + _PATIENCE
        while (left := end - monotonic()) > 0 and poll.poll(left * 1000):
            try:
                news = messages(self._socket.recv(1 << 16))
            except OSError:
                return is_local(socket, address)  # more news than fit the buffer
            if any(kind == NEWROUTE and _is(body, address) for kind, _flags, _sequence, body in news):
                return True
        return False


def is_local(socket: Netlink, address: bytes) -> bool:
    """Whether the routes say that packets to the address are for this machine."""
    body = pack("=BBBBBBBBI", _INET6, 128, 0, 0, 0, 0, 0, 0, 0)
    try:
        _kind, answer = socket.ask(message(GETROUTE, 0, body, attr(1, address)))
    except OSError:
        return False
    return bool(unpack_from("=BBBBBBBB", answer)[7] == _LOCAL)


def _is(body: bytes, address: bytes) -> bool:
    return unpack_from("=BBBBBBBB", body)[7] == _LOCAL and attributes(body, 12).get(1) == address
