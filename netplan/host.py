"""What the host already has: on-link routes, nameservers, sysctls, our links."""

from __future__ import annotations

import os

from netplan.ipv4 import is_address, parse_address
from netplan.netlink import link as rtnl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.ipv4 import Prefix
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


def on_link(socket: Netlink) -> list[Route]:
    """Routes to directly attached networks. Others (a VPN's halves of everything) do not reserve addresses, as in
    Docker since 23: they would exhaust the pools."""
    found = rtnl.routes(socket, rtnl.MAIN_TABLE)
    return [route for route in found if route.scope == rtnl.SCOPE_LINK and route.length]


def reserved(socket: Netlink) -> list[Prefix]:
    """What a subnet of the pools must not overlap."""
    found = [(route.first, route.length) for route in on_link(socket)]
    found += [(parse_address(server), 32) for server in read_nameservers() if is_address(server)]
    return found


def enable_forwarding() -> None:
    """net.ipv4.ip_forward=1, only if it is off. The forward policy is not ours to set."""
    path = "/proc/sys/net/ipv4/ip_forward"
    with open(path) as file:
        if file.read(1) == "1":
            return
    with open(path, "w") as file:
        file.write("1")


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
