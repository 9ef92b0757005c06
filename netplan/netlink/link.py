"""rtnetlink: links, addresses, routes (rtnetlink(7), linux/if_link.h). Builders of messages, readers of answers."""

from __future__ import annotations

import errno
from struct import pack, unpack_from

from netplan.family import V4
from netplan.netlink.message import (
    CREATE,
    EXCL,
    REPLACE,
    attr,
    attributes,
    message,
    nest,
    number,
    string,
    text,
    u8,
    u32,
)
from netplan.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.family import Family
    from netplan.netlink.message import Message
    from netplan.netlink.socket import Netlink

NEWLINK, DELLINK, GETLINK, SETLINK = 16, 17, 18, 19
NEWADDR, NEWROUTE, DELROUTE, GETROUTE, NEWNEIGH, NEWNSID, GETNSID = 20, 24, 25, 26, 28, 88, 90
_NODAD = 0x02
UP = 1
_INET, _INET6, _BRIDGE = 2, 10, 7
_REACHABLE, _STALE, _TO_MASTER = 0x02, 0x04, 0x04
UNICAST, UNREACHABLE = 1, 7
SCOPE_UNIVERSE, SCOPE_LINK = 0, 253
MAIN_TABLE = 254
_SKIP_STATISTICS = u32(29, 8)  # IFLA_EXT_MASK: a dump without counters is half as long


@record
class Link:
    """A network device as the kernel shows it. ``peer_ns``: id of the peer's namespace, or -1."""

    index: int
    name: str
    alias: str
    group: int
    master: int
    flags: int
    mtu: int
    peer_ns: int


@record
class Route:
    """A route: prefix as number and length; ``direct``: to a network that is attached, without a gateway; ``owner`` is
    what :func:`claim` wrote."""

    first: int
    length: int
    table: int
    scope: int
    kind: int
    index: int
    owner: int
    direct: bool


def _info(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return pack("=BBHiII", 0, 0, 0, index, flags, change)


def _common(name: str, mac: bytes, mtu: int) -> bytes:
    return text(3, name) + attr(1, mac) + (u32(4, mtu) if mtu else b"")


def create_bridge(index: int, name: str, mac: bytes, mtu: int, group: int) -> Message:
    """A bridge that is up. The address is given, or the bridge would take its lowest port's and change with it."""
    kind = nest(18, text(1, "bridge"))
    return message(NEWLINK, CREATE | EXCL, _info(index, UP, UP), _common(name, mac, mtu), u32(27, group), kind)


def set_alias(index: int, alias: str) -> Message:
    """Not possible in the creating message: the kernel ignores it there."""
    return message(SETLINK, 0, _info(index), attr(20, alias.encode()))


def set_localnet(index: int) -> Message:
    """route_localnet=1 and no IPv6 link-local address, without a write to /proc."""
    inet = nest(_INET, nest(1, u32(26, 1)))
    inet6 = nest(_INET6, u8(8, 1))
    return message(SETLINK, 0, _info(index), nest(26, inet, inet6), tolerate=(errno.EAFNOSUPPORT,))


def set_no_link_local(index: int) -> Message:
    """No IPv6 link-local address: a bridge port needs none, and its multicast reports would only cost."""
    inet6 = nest(_INET6, u8(8, 1))
    return message(SETLINK, 0, _info(index), nest(26, inet6), tolerate=(errno.EAFNOSUPPORT, errno.EOPNOTSUPP))


def create_veth(
    index: int, name: str, master: int, group: int, mtu: int, netns_fd: int, peer_name: str, peer_mac: bytes
) -> Message:
    """A pair: the host's end up and in its bridge, the peer born in its namespace under its final name and index."""
    peer = attr(1 | 0x8000, _info(index) + _common(peer_name, peer_mac, mtu) + u32(28, netns_fd))
    kind = nest(18, text(1, "veth"), nest(2, peer))
    own = text(3, name) + (u32(4, mtu) if mtu else b"") + u32(10, master) + u32(27, group)
    return message(NEWLINK, CREATE | EXCL, _info(index, UP, UP), own, kind)


def create_macvlan(index: int, parent: int, mode: int, mtu: int, netns_fd: int, name: str, mac: bytes) -> Message:
    """A link that shares its parent's wire under a MAC of its own, born in the container's namespace."""
    kind = nest(18, text(1, "macvlan"), nest(2, u32(1, mode)))
    return message(
        NEWLINK, CREATE | EXCL, _info(index), _common(name, mac, mtu), u32(5, parent), u32(28, netns_fd), kind
    )


def create_ipvlan(index: int, parent: int, mode: int, flags: int, mtu: int, netns_fd: int, name: str) -> Message:
    """A link that shares its parent's wire and MAC, born in the container's namespace."""
    kind = nest(18, text(1, "ipvlan"), nest(2, attr(1, pack("=H", mode)), attr(2, pack("=H", flags))))
    own = text(3, name) + (u32(4, mtu) if mtu else b"")
    return message(NEWLINK, CREATE | EXCL, _info(index), own, u32(5, parent), u32(28, netns_fd), kind)


def create_dummy(index: int, name: str, group: int) -> Message:
    """A link that leads nowhere: the parent of a network that has none."""
    return message(
        NEWLINK, CREATE | EXCL, _info(index, UP, UP), text(3, name), u32(27, group), nest(18, text(1, "dummy"))
    )


def create_vlan(index: int, name: str, parent: int, number_: int, group: int) -> Message:
    """An 802.1Q link: ``eth0.30``."""
    kind = nest(18, text(1, "vlan"), nest(2, attr(1, pack("=H", number_))))
    return message(NEWLINK, CREATE | EXCL, _info(index, UP, UP), text(3, name), u32(5, parent), u32(27, group), kind)


def delete_in_namespace(index: int, nsid: int) -> Message:
    """Delete a link of another namespace, by its number in ours."""
    return message(DELLINK, 0, _info(index), attr(46, pack("=i", nsid)), tolerate=(errno.ENODEV, errno.EINVAL))


def namespace_number(socket: Netlink, netns_fd: int) -> int:
    """The kernel's number of a namespace in the socket's; given now if it has none."""
    socket.attempt(
        message(NEWNSID, 0, b"\0\0\0\0", u32(3, netns_fd), attr(1, pack("=i", -1)), tolerate=(errno.EEXIST,))
    )
    _kind, body = socket.ask(message(GETNSID, 0, b"\0\0\0\0", u32(3, netns_fd)))
    found = number(attributes(body, 4).get(1), 0xFFFFFFFF)
    return -1 if found == 0xFFFFFFFF else found


def set_port(index: int, isolated: bool) -> Message:
    """Hairpin on (a container reaches its own published port), isolation as asked (containers cannot reach others)."""
    data = nest(5, u8(4, 1), u8(33, 1) if isolated else b"")
    return message(NEWLINK, 0, _info(index), nest(18, text(4, "bridge"), data))


def set_up(index: int) -> Message:
    return message(NEWLINK, 0, _info(index, UP, UP))


def set_master(index: int, master: int) -> Message:
    return message(NEWLINK, 0, _info(index), u32(10, master), tolerate=(errno.ENODEV,))


def set_group(index: int, group: int) -> Message:
    return message(SETLINK, 0, _info(index), u32(27, group), tolerate=(errno.ENODEV,))


def delete_link(index: int) -> Message:
    return message(DELLINK, 0, _info(index), tolerate=(errno.ENODEV,))


def delete_group(group: int) -> Message:
    """All links of the group in one grace period; one by one takes 20 to 35 ms each."""
    return message(DELLINK, 0, _info(), u32(27, group), tolerate=(errno.ENODEV,))


def add_address(index: int, address: int, length: int, family: Family = V4) -> Message:
    """An address, of IPv4 with its broadcast address; there already is success. IPv6 does not look for duplicates
    (IFA_F_NODAD): the address could not be used for a second, and nobody else has it."""
    own = family.pack(address)
    host = (1 << (32 - length)) - 1 if family is V4 else 0
    parts = attr(1, own) + (attr(2, own) if family is V4 else u32(8, _NODAD))
    parts += attr(4, pack(">I", address | host)) if host > 1 else b""
    return message(NEWADDR, CREATE | REPLACE, pack("=BBBBI", family.inet, length, 0, 0, index), parts)


def add_default_route(index: int, gateway: int, family: Family = V4) -> Message:
    """The default route through a gateway, or with 0 straight through the link."""
    scope = SCOPE_UNIVERSE if gateway else SCOPE_LINK
    body = pack("=BBBBBBBBI", family.inet, 0, 0, 0, MAIN_TABLE, 3, scope, UNICAST, 0)
    via = attr(5, family.pack(gateway)) if gateway else b""
    return message(NEWROUTE, CREATE | REPLACE, body, via, u32(4, index))


def add_forwarding(index: int, mac: bytes) -> Message:
    """Tell the bridge behind which port a MAC is, as if a frame had come from there."""
    body = pack("=BBHiHBB", _BRIDGE, 0, 0, index, _REACHABLE, _TO_MASTER, 0)
    return message(NEWNEIGH, CREATE | REPLACE, body, attr(2, mac))


def replace_neighbour(index: int, address: int, mac: bytes, family: Family = V4) -> Message:
    """The host's own neighbour entry, to be confirmed at its next use."""
    body = pack("=BBHiHBB", family.inet, 0, 0, index, _STALE, 0, 0)
    return message(NEWNEIGH, CREATE | REPLACE, body, attr(1, family.pack(address)), attr(2, mac))


def claim(first: int, length: int, table: int, owner: int, family: Family = V4) -> Message:
    """Claim a prefix for the whole kernel: an unreachable route in a table that no rule consults.

    The second claimant gets EEXIST. ``owner`` rides in a metric (reordering) that means nothing there, so that a
    claim left by a killed process can be told from somebody else's.
    """
    return message(NEWROUTE, CREATE | EXCL, _claim_body(first, length, table, family), nest(8, u32(9, owner)))


def release(first: int, length: int, table: int, family: Family = V4) -> Message:
    return message(DELROUTE, 0, _claim_body(first, length, table, family), tolerate=(errno.ESRCH,))


def _claim_body(first: int, length: int, table: int, family: Family) -> bytes:
    body = pack("=BBBBBBBBI", family.inet, length, 0, 0, 0, 4, SCOPE_UNIVERSE, UNREACHABLE, 0)
    return body + attr(1, family.pack(first)) + u32(15, table)


def link_of(socket: Netlink, index: int = 0, name: str = "") -> Link | None:
    """The link by index or name, or None. Asking also completes its pending carrier event (needed by attach)."""
    question = message(GETLINK, 0, _info(index), text(3, name) if name else b"", _SKIP_STATISTICS)
    try:
        return _link(socket.ask(question)[1])
    except OSError as problem:
        if problem.errno == errno.ENODEV:
            return None
        raise


def links(socket: Netlink) -> list[Link]:
    """All links of the socket's namespace."""
    return [_link(body) for _kind, body in socket.dump(message(GETLINK, 0, _info(), _SKIP_STATISTICS))]


def _link(body: bytes) -> Link:
    _family, _type, index, flags, _change = unpack_from("=BxHiII", body)
    found = attributes(body, 16)
    peer = number(found.get(37), 0xFFFFFFFF)
    peer = -1 if peer == 0xFFFFFFFF else peer
    group, master = number(found.get(27)), number(found.get(10))
    return Link(index, string(found.get(3)), string(found.get(20)), group, master, flags, number(found.get(4)), peer)


def namespace_alive(socket: Netlink, nsid: int) -> bool:
    """Whether the namespace with this id still has users; one that is being torn down is not found any more."""
    try:
        kind, body = socket.ask(message(GETNSID, 0, b"\0\0\0\0", attr(1, pack("=i", nsid))))
    except OSError:
        return False
    return number(attributes(body, 4).get(1), 0xFFFFFFFF) == nsid and bool(kind)


def routes(socket: Netlink, table: int = 0, family: Family = V4) -> list[Route]:
    """The routes of a family, of every table or of one."""
    found = []
    for _kind, body in socket.dump(message(GETROUTE, 0, pack("=BBBBBBBBI", family.inet, 0, 0, 0, 0, 0, 0, 0, 0))):
        inet, length, _src, _tos, small, _protocol, scope, kind, flags = unpack_from("=BBBBBBBBI", body)
        if flags & 0x200:  # RTM_F_CLONED: a cached route, not one of the table
            continue
        if inet != family.inet:  # a kernel without IPv6 answers with all that it has
            continue
        parts = attributes(body, 12)
        number_ = number(parts.get(15), small)
        if table and number_ != table:
            continue
        owner = number(attributes(parts.get(8, b"")).get(9))
        first = int.from_bytes(parts.get(1, b"\0"), "big")
        direct = kind == UNICAST and 5 not in parts and (scope == SCOPE_LINK or family is not V4)
        found.append(Route(first, length, number_, scope, kind, number(parts.get(4)), owner, direct))
    return found
