"""Forget connections whose translation is out of date (linux/netfilter/nfnetlink_conntrack.h).

A UDP client that never pauses keeps its old conntrack entry alive, and with it the old destination: entries go by the
*host* port when a port is published or withdrawn, and by the container's address when that is leased or released.
"""

from __future__ import annotations

import errno
from struct import pack

from netplan.family import V4, V6
from netplan.netlink.message import attr, attributes, message, nest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.family import Family
    from netplan.netlink.message import Message
    from netplan.netlink.socket import Netlink

_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_ORIGINAL, _REPLY, _FILTER = 1, 2, 25
_HEADERS = {V4: pack(">BBH", 2, 0, 0), V6: pack(">BBH", 10, 0, 0)}
_GONE = (errno.ENOENT, errno.ESRCH)
UDP = 17
_FEW = 12  # each filter walks the whole table: from here on one dump is quicker
# Bits of CTA_FILTER_*_FLAGS (kernel: CTA_FILTER_F_CTA_*).
_SOURCE, _DESTINATION, _PROTOCOL, _DESTINATION_PORT = 1 << 0, 1 << 1, 1 << 3, 1 << 5


def forget(socket: Netlink, addresses: list[int], udp_ports: list[int], family: Family = V4) -> None:
    """Delete a family's entries that name one of the addresses in any position, or a UDP destination port of the
    original direction. Failures are not reported: there is nothing a caller could do."""
    filters = [_of_address(address, side, flag, family) for address in addresses for side, flag in _POSITIONS]
    filters += [_of_port(port, family) for port in udp_ports]
    if not filters:
        return
    try:
        refused = True
        if len(filters) <= _FEW:
            numbers = [number for number, _ in socket.attempt(*filters).values()]
            refused = errno.EINVAL in numbers or errno.EOPNOTSUPP in numbers  # a kernel whose delete takes no filter
        if refused:
            _forget_by_dump(socket, addresses, udp_ports, family)
    except OSError:
        pass


_POSITIONS = ((1, _SOURCE), (1, _DESTINATION), (2, _SOURCE))


def _of_address(address: int, side: int, flag: int, family: Family) -> Message:
    """``side`` 1 or 2: the original or the reply direction, of which one address (source or destination) counts."""
    first = 1 if family is V4 else 3  # CTA_IP_V4_SRC, CTA_IP_V6_SRC; the destination comes next
    parts = nest(side, nest(1, attr(first if flag == _SOURCE else first + 1, family.pack(address))))
    chosen = nest(_FILTER, _host32(side, flag))
    return message(_DELETE, 0, _HEADERS[family], parts, chosen, tolerate=_GONE)


def _of_port(port: int, family: Family) -> Message:
    parts = nest(1, nest(2, attr(1, bytes([UDP])), attr(3, pack(">H", port))))
    chosen = nest(_FILTER, _host32(1, _PROTOCOL | _DESTINATION_PORT))
    return message(_DELETE, 0, _HEADERS[family], parts, chosen, tolerate=_GONE)


def _host32(kind: int, value: int) -> bytes:
    return attr(kind, pack("=I", value))


def _forget_by_dump(socket: Netlink, addresses: list[int], udp_ports: list[int], family: Family) -> None:
    wanted = {family.pack(address) for address in addresses}
    ports = {pack(">H", port) for port in udp_ports}
    doomed = []
    for _kind, body in socket.dump(message(_GET, 0, _HEADERS[family])):
        parts = attributes(body, 4)
        ends, protocol, port = _ends(parts)
        if ends & wanted or (protocol == bytes([UDP]) and port in ports):
            doomed.append(message(_DELETE, 0, _HEADERS[family], nest(1, parts[_ORIGINAL]), tolerate=_GONE))
    for at in range(0, len(doomed), 64):
        socket.attempt(*doomed[at : at + 64])


def _ends(parts: dict[int, bytes]) -> tuple[set[bytes], bytes, bytes]:
    """All four addresses of an entry, its protocol and its original destination port."""
    found: set[bytes] = set()
    for side in (_ORIGINAL, _REPLY):
        found |= set(attributes(attributes(parts.get(side, b"")).get(1, b"")).values())
    flow = attributes(attributes(parts.get(_ORIGINAL, b"")).get(2, b""))
    return found, flow.get(1, b""), flow.get(3, b"")
