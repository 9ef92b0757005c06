"""The link of the host on which macvlan and ipvlan networks hang, and the containers' links on it.

The parent is the user's link and is only used; ``eth0.30`` is made as a VLAN of ``eth0`` if it is not there, and
without a parent a dummy link leads nowhere: both are ours and go with the network, as in Docker.
"""

from __future__ import annotations

import errno
import os

from netplan import host
from netplan.errors import KernelRefused, NetworkFault
from netplan.netlink import link as rtnl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.netlink.message import Message
    from netplan.rows import EndpointRow, NetworkRow
    from netplan.spec import NetworkSpec
    from netplan.store import Store

MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
IPVLAN_FLAGS = {"bridge": 0, "private": 1, "vepa": 2}
_MISSING = (errno.EOPNOTSUPP, errno.ENODEV)


def check(spec: NetworkSpec) -> None:
    """Raises NetworkFault for an option that the driver does not know."""
    options = spec.options
    if spec.driver == "macvlan":
        _one_of(spec, "macvlan_mode", options.get("macvlan_mode", "bridge"), MACVLAN_MODES)
    else:
        _one_of(spec, "ipvlan_mode", options.get("ipvlan_mode", "l2"), IPVLAN_MODES)
        _one_of(spec, "ipvlan_flag", options.get("ipvlan_flag", "bridge"), IPVLAN_FLAGS)
    if options.get("parent") == "lo":
        raise NetworkFault(
            f"cannot create network {spec.name}: lo cannot be the parent of a {spec.driver} network",
            hint="name a link that leads out, as ip link shows them",
        )


def _one_of(spec: NetworkSpec, option: str, value: str, known: dict[str, int]) -> None:
    if value not in known:
        raise NetworkFault(
            f"cannot create network {spec.name}: {option} {value} is unknown", f"use one of {', '.join(known)}"
        )


def parent_name(spec: NetworkSpec, ident: str) -> str:
    """The name of the parent: the one asked for, or ``dm-`` and the network's id."""
    return spec.options.get("parent") or f"dm-{ident[:12]}"


def ensure_parent(store: Store, row: NetworkRow) -> None:
    """Find the parent, or make it. Raises NetworkFault, KernelRefused."""
    link = rtnl.link_of(store.route, name=row.bridge)
    if link is None:
        store_errors = store.route.attempt(_parent(store, row))
        if store_errors and store_errors[0][0] != errno.EEXIST:
            raise _refused(f"create link {row.bridge}", _kind(row), *store_errors[0])
        store.route.attempt(rtnl.set_alias(row.link, host.bridge_alias(store.instance, row)))
    elif not link.flags & rtnl.UP:
        store.route.run(f"bring up {row.bridge}", rtnl.set_up(link.index))


def _kind(row: NetworkRow) -> str:
    return "8021q" if row.options.get("parent") else "dummy"


def _parent(store: Store, row: NetworkRow) -> Message:
    wanted = row.options.get("parent", "")
    if not wanted:
        return rtnl.create_dummy(row.link, row.bridge, row.group)
    base, dot, number = wanted.rpartition(".")
    link = rtnl.link_of(store.route, name=base) if dot and number.isdigit() and int(number) < 4095 else None
    if link is None:
        raise NetworkFault(
            f"cannot create network {row.name}: this machine has no link {wanted}", "see 'ip link' for those it has"
        )
    return rtnl.create_vlan(row.link, wanted, link.index, int(number), row.group)


def link_for(store: Store, on: NetworkRow, row: EndpointRow, netns_fd: int) -> Message:
    """The message that makes the container's link in its namespace. Raises NetworkFault."""
    parent = rtnl.link_of(store.route, name=on.bridge)
    if parent is None:
        raise NetworkFault(f"cannot attach {row.names[0]} to {on.name}: the link {on.bridge} is gone")
    if on.driver == "macvlan":
        mode = MACVLAN_MODES[on.options.get("macvlan_mode", "bridge")]
        return rtnl.create_macvlan(row.link, parent.index, mode, on.mtu, netns_fd, row.interface, row.mac)
    mode = IPVLAN_MODES[on.options.get("ipvlan_mode", "l2")]
    flags = IPVLAN_FLAGS[on.options.get("ipvlan_flag", "bridge")]
    return rtnl.create_ipvlan(row.link, parent.index, mode, flags, on.mtu, netns_fd, row.interface)


def refused(on: NetworkRow, row: EndpointRow, number: int, detail: str) -> KernelRefused:
    """The error for a link that the kernel did not make."""
    return _refused(f"attach {row.names[0]} to network {on.name}", on.driver, number, detail)


def _refused(what: str, module: str, number: int, detail: str) -> KernelRefused:
    if number in _MISSING and not detail.startswith("Failed"):
        return KernelRefused(
            f"cannot {what}: this kernel has no {module}", number, f"load the module: modprobe {module}"
        )
    return KernelRefused(f"cannot {what}: {detail or os.strerror(number).lower()}", number)


def gateway_of(on: NetworkRow, address: int) -> int:
    """The gateway of the default route; 0 in ipvlan's l3 modes, where the host routes everything of the link."""
    return 0 if on.driver == "ipvlan" and on.options.get("ipvlan_mode", "l2") != "l2" else address
