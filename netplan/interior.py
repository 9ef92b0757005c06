"""An endpoint's side in the container's namespace: sysctls, addresses, routes; and how its neighbours learn of it."""

from __future__ import annotations

from struct import pack

from netplan import host, ipam, parents
from netplan.errors import NetworkFault
from netplan.family import V4, V6, family_of
from netplan.netlink import link as rtnl
from netplan.netlink.settle import Settling
from netplan.netlink.socket import ROUTE, Netlink
from netplan.netns import inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.family import Family
    from netplan.netlink.message import Message
    from netplan.rows import EndpointRow, NetworkRow
    from netplan.spec import EndpointSpec
    from netplan.store import Store

_LOOPBACK = 1
_ARP, _IPV6, _ICMPV6 = 0x0806, 0x86DD, 58
_ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_SYSCTLS = "com.docker.network.endpoint.sysctls"
_LINK_LOCAL = {V4: (0xA9FE0000, 16), V6: (0xFE80 << 112, 10)}  # 169.254.0.0/16, fe80::/10


def set_up(store: Store, on: NetworkRow, row: EndpointRow, spec: EndpointSpec, netns_fd: int) -> int:
    """The namespace's side: sysctls, lo, the interface, its addresses and routes; then make it known. Returns the
    kernel's number of the namespace.

    Between up and the announcement the host's end and then the bridge are asked for once each: that completes their
    pending carrier events. Without the first the port may not forward yet; without the second a bridge whose last
    container had left still drops what the host sends. Either loses the first packet and costs the client a second.
    """
    local = _link_local(spec)
    with inside(netns_fd):
        _write_sysctls(row.interface, ipv6=bool(row.address6) or any(family is V6 for family, _ in local))
        _write_own_sysctls(spec)
        there = Netlink(ROUTE)
        settling = Settling() if row.address6 else None
    try:
        todo = [rtnl.set_up(_LOOPBACK), rtnl.set_up(row.link), *_addresses(on, row)]
        todo += [rtnl.add_address(row.link, address, _LINK_LOCAL[family][1], family) for family, address in local]
        there.run(f"configure {row.interface} of {row.names[0]}", *todo)
        if settling is not None:
            settling.wait(there, V6.pack(row.address6))
    finally:
        there.close()
        if settling is not None:
            settling.close()
    if not on.bridged:
        return rtnl.namespace_number(store.route, netns_fd)
    outer = rtnl.link_of(store.route, row.link)
    rtnl.link_of(store.route, on.link)
    _settle_gateway(store, on)
    _announce(store, on, row)
    return outer.peer_ns if outer else -1


def _settle_gateway(store: Store, on: NetworkRow) -> None:
    """The bridge's own IPv6 address: it only comes into use with the first port."""
    if on.range6 is None or on.mode(V6) == "isolated":
        return
    settling = Settling()
    try:
        settling.wait(store.route, V6.pack(on.range6.gateway))
    finally:
        settling.close()


def _addresses(on: NetworkRow, row: EndpointRow) -> list[Message]:
    todo = []
    for family, area in on.areas:
        address = row.address_of(family)
        todo.append(rtnl.add_address(row.link, address, area.subnet[1], family))
        if row.routes(on, family):
            gateway = parents.gateway_of(on, area.default_gateway)
            todo.append(rtnl.add_default_route(row.link, gateway, family))
    return todo


def _link_local(spec: EndpointSpec) -> list[tuple[Family, int]]:
    """The additional link-local addresses. Raises NetworkFault for what is none, as Docker does."""
    found = []
    for text in spec.link_local:
        family = family_of(text)
        address = family.parse_address(text)
        if not family.holds(_LINK_LOCAL[family], address):
            raise NetworkFault(
                f"cannot use {text} in link_local_ips: it is not a link-local address",
                "write one of 169.254.0.0/16 or fe80::/10",
            )
        found.append((family, address))
    return found


def _write_sysctls(interface: str, ipv6: bool) -> None:
    """Docker's defaults of a private namespace, where nobody has set others; IPv6 is off on an IPv4 network. Where it
    is on, the interface's own link-local address need not wait for a second to see that nobody has it."""
    host.write_sysctl("ipv4/ip_unprivileged_port_start", "0", instead_of="1024")
    host.write_sysctl("ipv4/ping_group_range", "0 2147483647", instead_of="1 0")
    if ipv6:
        host.write_sysctl(f"ipv6/conf/{interface}/accept_dad", "0")
    host.write_sysctl(f"ipv6/conf/{interface}/disable_ipv6", "0" if ipv6 else "1")


def own_sysctls(spec: EndpointSpec) -> list[tuple[str, str]]:
    """The endpoint's sysctls (``net.ipv4.conf.IFNAME.log_martians=1,...``) as path below /proc/sys/net and value.
    Raises NetworkFault for what is not of an interface."""
    found = []
    for text in filter(None, spec.options.get(_SYSCTLS, "").split(",")):
        name, equals, value = text.strip().partition("=")
        parts = name.split(".")
        if not equals or len(parts) != 5 or parts[0] != "net" or parts[1] not in ("ipv4", "ipv6", "mpls"):
            raise _bad_sysctl(text)
        if parts[3] != "IFNAME" or "/" in name:
            raise _bad_sysctl(text)
        found.append((f"{parts[1]}/{parts[2]}/{spec.interface}/{parts[4]}", value.strip()))
    return found


def _bad_sysctl(text: str) -> NetworkFault:
    return NetworkFault(
        f"cannot set {text!r} on a network interface", "write it as net.ipv4.conf.IFNAME.NAME=VALUE (or ipv6, mpls)"
    )


def _write_own_sysctls(spec: EndpointSpec) -> None:
    for path, value in own_sysctls(spec):
        try:
            host.set_sysctl(path, value)
        except OSError as problem:
            name = path.replace("/", ".")
            raise NetworkFault(f"cannot set net.{name} to {value}: {(problem.strerror or '').lower()}") from None


def _announce(store: Store, on: NetworkRow, row: EndpointRow) -> None:
    """Nobody may keep sending to who had this address or this MAC before.

    The bridge and the host's neighbour table are told by netlink. Containers can hold a stale neighbour only where a
    MAC was not derived from its address: then one gratuitous ARP, or neighbour advertisement, goes to all of them, from
    the host through the bridge. (A packet socket of the container's namespace would do it too, but closing one waits 8
    to 16 ms.)
    """
    todo = [rtnl.add_forwarding(row.link, row.mac)]
    for family, area in on.areas:
        if area.subnet[1] < family.bits:
            todo.append(rtnl.replace_neighbour(on.link, row.address_of(family), row.mac, family))
    store.route.attempt(*todo)
    if row.address and (row.mac != ipam.derived_mac(row.address) or store.has_own_macs(on.id)):
        _send(store, on, _ARP, gratuitous_arp(row.mac, V4.pack(row.address)))
    if row.address6 and row.mac != ipam.derived_mac(row.address6):
        _send(store, on, _IPV6, advertisement(row.mac, V6.pack(row.address6)))


def _send(store: Store, on: NetworkRow, kind: int, frame: bytes) -> None:
    try:
        store.packets.sendto(frame, (on.bridge, kind))
    except OSError:
        pass  # the bridge is down or gone: nobody can have a stale entry through it


def gratuitous_arp(mac: bytes, address: bytes) -> bytes:
    """An Ethernet frame: a broadcast question of the address for itself (RFC 5227)."""
    header = b"\xff" * 6 + mac + _ARP.to_bytes(2, "big")
    return header + b"\0\x01\x08\0\x06\x04\0\x01" + mac + address + b"\xff" * 6 + address


def advertisement(mac: bytes, address: bytes) -> bytes:
    """An Ethernet frame: an unsolicited neighbour advertisement that overrides what others know (RFC 4861, 4.4)."""
    body = pack(">BBHI", 136, 0, 0, 1 << 29) + address + b"\x02\x01" + mac
    pseudo = address + _ALL_NODES + pack(">II", len(body), _ICMPV6)
    body = body[:2] + _checksum(pseudo + body).to_bytes(2, "big") + body[4:]
    header = b"\x33\x33\0\0\0\x01" + mac + _IPV6.to_bytes(2, "big")
    return header + pack(">IHBB", 6 << 28, len(body), _ICMPV6, 255) + address + _ALL_NODES + body


def _checksum(data: bytes) -> int:
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
