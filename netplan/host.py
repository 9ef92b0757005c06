"""What the host already has: on-link routes, nameservers, sysctls, our links."""

from __future__ import annotations

import os

from netplan.family import V4
from netplan.netlink import link as rtnl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.family import Family, Prefix
    from netplan.netlink.link import Link, Route
    from netplan.netlink.socket import Netlink
    from netplan.rows import NetworkRow
    from netplan.store import Store

RESOLV_CONF = "/etc/resolv.conf"


def read_nameservers(path: str = "") -> list[str]:
    """The ``nameserver`` addresses of a resolv.conf(5); none if it cannot be read."""
    try:
        with open(path or RESOLV_CONF, errors="replace") as file:
            lines = file.read().split("\n")
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [parts[1] for parts in words if len(parts) > 1 and parts[0] == "nameserver"]


def on_link(socket: Netlink, family: Family = V4) -> list[Route]:
    """Routes to directly attached networks. Others (a VPN's halves of everything) do not reserve addresses, as in
    Docker since 23: they would exhaust the pools."""
    return [route for route in rtnl.routes(socket, rtnl.MAIN_TABLE, family) if route.direct and route.length]


def reserved(socket: Netlink, family: Family = V4) -> list[Prefix]:
    """What a subnet of the pools must not overlap."""
    found = [(route.first, route.length) for route in on_link(socket, family)]
    servers = [server for server in read_nameservers() if family.is_address(server)]
    return found + [(family.parse_address(server), family.bits) for server in servers]


def machine_checksum() -> bytes:
    """SHA-256 of the machine's id: the same at every boot, and another one on every machine."""
    from hashlib import sha256

    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/random/boot_id"):
        try:
            with open(path, "rb") as file:
                if ident := file.read().strip():
                    return sha256(b"pycompose " + ident).digest()
        except OSError:
            continue
    return sha256(os.uname().nodename.encode()).digest()


def enable_forwarding(family: Family = V4) -> None:
    """Let the host forward packets of the family, only if it does not yet. The forward policy is not ours to set."""
    path = "/proc/sys/net/ipv4/ip_forward" if family is V4 else "/proc/sys/net/ipv6/conf/all/forwarding"
    with open(path) as file:
        if file.read(1) == "1":
            return
    if family is not V4:
        _keep_router_advertisements()
    with open(path, "w") as file:
        file.write("1")


def _keep_router_advertisements() -> None:
    """A host that forwards IPv6 ignores router advertisements (accept_ra=1) and would lose its address and its default
    route when they expire. 2 means the same as 1 did before."""
    try:
        names = os.listdir("/proc/sys/net/ipv6/conf")
    except OSError:
        return
    for name in names:
        if name not in ("all", "default", "lo"):
            write_sysctl(f"ipv6/conf/{name}/accept_ra", "2", instead_of="1")


def set_sysctl(path: str, value: str) -> None:
    """Write /proc/sys/net/``path`` of the calling thread's namespace. Raises OSError."""
    fd = os.open(f"/proc/sys/net/{path}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def has_ipv6() -> bool:
    """Whether the kernel has IPv6 (``ipv6.disable=1`` takes it away)."""
    return os.path.isdir("/proc/sys/net/ipv6/conf")


def write_sysctl(path: str, value: str, instead_of: str = "") -> None:
    """Write /proc/sys/net/``path`` of the calling thread's namespace, if it is there and has the kernel's default."""
    try:
        fd = os.open(f"/proc/sys/net/{path}", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not instead_of or b" ".join(os.read(fd, 64).split()) == instead_of.encode():
            os.pwrite(fd, value.encode(), 0)
    except OSError:
        pass
    finally:
        os.close(fd)


def bridge_alias(instance: str, network: NetworkRow) -> str:
    """How a link is marked as ours: ``instance:network-id``."""
    return f"{instance}:{network.id[:12]}"


def is_bridge(link: Link | None, network: NetworkRow) -> bool:
    """The link is the network's bridge. Index, name and group come from the store; the alias may not be written yet."""
    if link is None:
        return False
    return (link.index, link.name, link.group) == (network.link, network.bridge, network.group)


def delete_together(socket: Netlink, links: list[Link], group: int, strangers: bool = False) -> None:
    """Delete links in one grace period: collect them in one group, then delete that.

    ``group`` is the one to use; ``strangers``: others are in it, so that each link has to go alone.
    """
    if strangers:
        for link in links:
            socket.run(f"delete link {link.name}", rtnl.delete_link(link.index))
        return
    moving = [rtnl.set_group(link.index, group) for link in links if link.group != group]
    for at in range(0, len(moving), 100):
        socket.run("collect links", *moving[at : at + 100])
    if links:
        socket.run("delete links", rtnl.delete_group(group))


def sweep_links(store: Store) -> None:
    """Delete links marked as this instance's that belong to no network of the store."""
    known = {network.id[:12] for network in store.networks()}
    mark = f"{store.instance}:"
    found = [link for link in rtnl.links(store.route) if link.alias.startswith(mark)]
    lost = [link for link in found if link.alias[len(mark) :][:12] not in known]
    if lost:
        delete_together(store.route, lost, lost[0].index)  # an index of ours is nobody's group
