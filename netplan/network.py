"""Create and remove networks: a subnet, a bridge, firewall chains.

The row in the store comes first and names everything (index, group, subnet); then the kernel is made to agree with it,
whatever of it is there already. So a process killed anywhere leaves a row that the next create completes or the next
remove clears. Across stores (other run directories) the subnet is claimed in the kernel: an unreachable route in
a table that no rule consults, removed with the network and gone at reboot.
"""

from __future__ import annotations

import errno
import os
import threading
import time

from netplan import host, parents, subnets
from netplan.errors import AddressInUse, KernelRefused, NetworkFault, NetworkInUse, NetworkNotFound
from netplan.family import V4, V6
from netplan.firewall import flows, foreign
from netplan.firewall import nft as firewall
from netplan.netlink import link as rtnl
from netplan.record import replace
from netplan.rows import OPTION, NetworkRow
from netplan.store import instance_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from netplan.family import Family, Prefix
    from netplan.netlink.link import Link
    from netplan.spec import Network, NetworkSpec
    from netplan.store import Store

_NAME = "com.docker.network.bridge.name"
_MTU = "com.docker.network.driver.mtu"
_ATTEMPTS = 5
_PARENTED = ("macvlan", "ipvlan")
_MODES = ("nat", "nat-unprotected", "routed", "isolated")
_LINK_LOCAL = (0xFE80 << 112 | 1, 64)  # fe80::1/64, the bridge's in every network


def create_network(store: Store, spec: NetworkSpec) -> Network:
    """Make the network, or complete what there is of it. By name: an existing network keeps its settings.

    Raises NetworkFault (bad subnet, option or driver), AddressInUse, PoolExhausted, KernelRefused.
    """
    if store.fresh:
        sweep(store)
        store.fresh = False
    avoided: list[Prefix] = []
    while True:
        row = store.network(spec.name)
        known = row is not None
        if row is None and spec.driver not in _PARENTED:
            firewall.require(store)
        row = ensure(store, row or _reserve(store, spec, avoided))
        if known or subnets.explicit(spec) or not subnets.overlapped(store, row):
            return row.public()
        avoided += [row.range.subnet] if row.range else []  # somebody else took it between our look and our bridge
        _teardown(store, [row])


def get_network(store: Store, name: str) -> Network:
    """Raises NetworkNotFound."""
    return find(store, name).public()


def find(store: Store, name: str) -> NetworkRow:
    """The network's row. Raises NetworkNotFound."""
    row = store.network(name)
    if row is None:
        raise NetworkNotFound(f"cannot find network {name}", "create it, or remove 'external' from it")
    return row


def list_networks(store: Store, project: str = "") -> list[Network]:
    """All networks, or those of a project, by name."""
    return [row.public() for row in store.networks(project)]


def remove_network(store: Store, name: str, force: bool = False) -> None:
    """Remove the network; one that is not there is removed. Raises NetworkInUse, unless ``force``."""
    row = store.network(name)
    if row is None:
        return
    users = [endpoint.names[0] for endpoint in store.endpoints(network=name)]
    if users and not force:
        raise NetworkInUse(f"cannot remove network {name}: it is used by {', '.join(users)}", "stop these containers")
    _teardown(store, [row])


def remove_all(store: Store, networks: list[str]) -> None:
    """Remove networks with all their endpoints: every link of a project in one grace period."""
    rows = [row for row in (store.network(name) for name in networks) if row is not None]
    if rows:
        _teardown(store, rows)


def sweep(store: Store) -> None:
    """Delete what is marked as this instance's in the kernel and is in no row: an earlier store was lost."""
    host.sweep_links(store)
    foreign.sweep(store)
    owner = instance_number(store.instance)
    for family in (V4, V6):
        for route in rtnl.routes(store.route, subnets.CLAIMS, family):
            if route.owner == owner:
                with store:  # not one that is just being made: claims and rows are one transaction
                    known = {area.subnet for row in store.networks() for kind, area in row.areas if kind is family}
                    if (route.first, route.length) not in known:
                        store.route.attempt(rtnl.release(route.first, route.length, subnets.CLAIMS, family))
    with store:
        if not store.networks():
            firewall.remove_networks(store, [])


def repair(store: Store, project: str = "") -> None:
    """Make the kernel agree with the store again for the networks of a project, or all: what another firewall's
    restart or a stray ``ip link del`` has taken is put back. About 0.3 ms per network if nothing is missing."""
    for row in store.networks(project):
        ensure(store, row)


def ensure(store: Store, row: NetworkRow) -> NetworkRow:
    """Make the kernel agree with the row; returns it with the index it has now."""
    if not row.bridged:
        parents.ensure_parent(store, row)
        return row
    row = _ensure_bridge(store, row)
    firewall.ensure_network(store, row)
    for family, _area in row.areas:
        if not row.internal:
            host.enable_forwarding(family)
    foreign.allow(store, row)
    return row


def _reserve(store: Store, spec: NetworkSpec, avoided: list[Prefix]) -> NetworkRow:
    """Choose subnet, index and names, claim the subnet in the kernel, write the row: one transaction."""
    _check(spec)
    with store:
        if existing := store.network(spec.name):
            return existing
        ident = os.urandom(32).hex()
        link = store.next_link()
        driver = spec.driver if spec.driver in _PARENTED else "bridge"
        if driver == "bridge":
            bridge = spec.options.get(_NAME) or f"br-{ident[:12]}"
            _check_bridge_name(store, spec, bridge, store.networks())
        else:
            bridge = parents.parent_name(spec, ident)
        area, area6 = subnets.plan_ranges(store, spec, avoided)
        internal = spec.internal or (driver != "bridge" and not spec.options.get("parent"))
        row = NetworkRow(
            *(spec.name, ident, spec.project, driver, bridge, link, link, area, internal, _mtu(spec)),
            *(spec.options, spec.labels, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), area6),
        )
        store.add_network(row)
        return row


def _check(spec: NetworkSpec) -> None:
    if spec.driver in _PARENTED:
        parents.check(spec)
    elif spec.driver not in ("", "bridge", "default"):
        raise NetworkFault(
            f"cannot create network {spec.name}: there is no driver {spec.driver}", "use bridge, macvlan or ipvlan"
        )
    for family in (V4, V6):
        _check_mode(spec, family.key)
    if not any(subnets.enabled(spec, family) for family in (V4, V6)):
        raise NetworkFault(
            f"cannot create network {spec.name}: neither IPv4 nor IPv6 is enabled",
            hint="leave enable_ipv4 or enable_ipv6 on",
        )
    if subnets.enabled(spec, V6) and not host.has_ipv6():
        raise NetworkFault(
            f"cannot create network {spec.name}: this kernel has no IPv6",
            "remove enable_ipv6, or start the kernel without ipv6.disable=1",
        )
    _mtu(spec)


def _check_mode(spec: NetworkSpec, family: str) -> None:
    mode = spec.options.get(f"{OPTION}gateway_mode_{family}", "nat")
    if mode not in _MODES:
        raise NetworkFault(
            f"cannot create network {spec.name}: gateway mode {mode} is unknown", f"use one of {', '.join(_MODES)}"
        )
    if mode == "isolated" and not spec.internal:
        raise NetworkFault(
            f"cannot create network {spec.name}: gateway mode isolated is for internal networks", "add internal: true"
        )


def _mtu(spec: NetworkSpec) -> int:
    value = spec.options.get(_MTU, "0")
    if not value.isdigit() or not (value == "0" or 68 <= int(value) <= 65535):
        raise NetworkFault(
            f"cannot create network {spec.name}: mtu {value!r} is not a number from 68 to 65535",
            hint="write such a number, in quotes",
        )
    return int(value)


def _check_bridge_name(store: Store, spec: NetworkSpec, bridge: str, others: Sequence[NetworkRow]) -> None:
    if not 0 < len(bridge.encode()) < 16 or "/" in bridge or any(char.isspace() for char in bridge):
        raise NetworkFault(
            f"cannot create network {spec.name}: {bridge!r} is not a bridge name (15 bytes at most)",
            hint="use letters, digits, dots, dashes and underscores",
        )
    for other in others:
        if other.bridge == bridge:
            raise AddressInUse(
                f"cannot create network {spec.name}: bridge {bridge} is that of network {other.name}",
                hint="choose another name for the bridge, or leave the option out",
            )
    if bridge == spec.options.get(_NAME):
        link = rtnl.link_of(store.route, name=bridge)
        if link is not None and not link.alias.startswith(f"{store.instance}:"):
            raise AddressInUse(
                f"cannot create network {spec.name}: a link {bridge} exists and is not ours",
                hint="choose another name for the bridge, or remove the link",
            )


def _ensure_bridge(store: Store, row: NetworkRow) -> NetworkRow:
    for _ in range(_ATTEMPTS):
        link = rtnl.link_of(store.route, row.link)
        if link is not None and host.is_bridge(link, row):
            if link.alias != host.bridge_alias(store.instance, row) or not link.flags & rtnl.UP:
                _configure_bridge(store, row)
            return row
        mac = b"\x02\x42" + os.urandom(4)
        errors = store.route.attempt(rtnl.create_bridge(row.link, row.bridge, mac, row.mtu, row.group))
        if not errors:
            _configure_bridge(store, row)
            _readopt(store, row)
            return row
        if errors[0][0] != errno.EEXIST:
            raise KernelRefused(
                f"cannot create bridge {row.bridge}: {errors[0][1] or os.strerror(errors[0][0])}", errors[0][0]
            )
        row = _resolve_clash(store, row)
    raise NetworkFault(f"cannot create bridge {row.bridge}: its name or index is always taken")


def _configure_bridge(store: Store, row: NetworkRow) -> None:
    todo = [rtnl.set_localnet(row.link), rtnl.set_up(row.link)]
    if row.range6:
        for name, value in (("disable_ipv6", "0"), ("accept_ra", "0")):
            host.write_sysctl(f"ipv6/conf/{row.bridge}/{name}", value)
        todo.append(rtnl.add_address(row.link, *_LINK_LOCAL, V6))
    for family, area in row.areas:
        if _has_address(row, family):
            todo.append(rtnl.add_address(row.link, area.gateway, area.subnet[1], family))
    alias = rtnl.set_alias(row.link, host.bridge_alias(store.instance, row))  # last: it says that all is done
    store.route.run(f"set up bridge {row.bridge}", *todo, alias)


def _has_address(row: NetworkRow, family: Family) -> bool:
    """Whether the bridge itself is on the network."""
    inhibited = row.options.get(f"{OPTION}inhibit_ipv4", "false").lower() == "true"
    return row.mode(family) != "isolated" and not (family is V4 and inhibited)


def _resolve_clash(store: Store, row: NetworkRow) -> NetworkRow:
    """Something has our bridge's name or index: ours from a lost store (deleted), a stranger's name (an error), or a
    stranger's index (the row gets another)."""
    link = rtnl.link_of(store.route, name=row.bridge)
    if link is not None and not host.is_bridge(link, row):
        if not link.alias.startswith(f"{store.instance}:"):
            raise AddressInUse(
                f"cannot create network {row.name}: a link {row.bridge} exists and is not ours",
                hint="choose another name for the bridge, or remove the link",
            )
        store.route.run(f"delete link {link.name}", rtnl.delete_link(link.index))
        return row
    with store:
        current = store.network(row.name)
        if current is None or current.link != row.link or host.is_bridge(rtnl.link_of(store.route, row.link), row):
            return current or row
        store.skip_links()
        fresh = store.next_link()
        store.execute("UPDATE network SET link = ?, grp = ? WHERE name = ?", (fresh, fresh, row.name))
        return replace(row, link=fresh, group=fresh)


def _readopt(store: Store, row: NetworkRow) -> None:
    """The bridge is new: containers that were on the old one have links without a master."""
    members = [endpoint.link for endpoint in store.endpoints(network=row.name) if endpoint.ready]
    if members:
        store.route.run("put links back", *(rtnl.set_master(link, row.link) for link in members))


def _teardown(store: Store, rows: list[NetworkRow]) -> None:
    """Rules, then links, then rows. Rules first: the kernel frees them while it waits for the links, and a socket
    closed before that waits 14 ms."""
    endpoints = [endpoint for row in rows for endpoint in store.endpoints(network=row.name)]
    with store:
        firewall.withdraw(store, endpoints)
        firewall.remove_networks(store, rows)
    for row in rows:
        if row.bridged:
            foreign.forget(store, row)
    # Both wait in the kernel, one for a walk over all connections, the other for grace periods: they do so together.
    forgetting = threading.Thread(target=flows.forget, args=(store, endpoints))
    forgetting.start()
    try:
        _delete_links(store, rows)
    finally:
        forgetting.join()
    with store:
        left = [row for row in rows if row.bridged and firewall.has_network(store, row)]
        if left:  # another process built the table again from rows that were still there
            firewall.remove_networks(store, left)
        late = [endpoint for row in rows for endpoint in store.endpoints(network=row.name)]
        firewall.withdraw(store, [endpoint for endpoint in late if endpoint not in endpoints])
        for row in rows:
            subnets.release(store, row)
            store.drop_network(row.name)
        if not store.networks():  # two removals, each of which saw the other's row, have left the table
            firewall.remove_networks(store, [])


def _delete_links(store: Store, rows: list[NetworkRow]) -> None:
    """All links of the networks, wherever a killed removal may have collected them."""
    groups = {row.group for row in rows}
    found, strangers = [], False
    for link in rtnl.links(store.route):
        if any(_belongs(store, link, row) for row in rows):
            found.append(link)
        elif link.group in groups:
            strangers = True
    host.delete_together(store.route, found, rows[0].group, strangers)


def _belongs(store: Store, link: Link, row: NetworkRow) -> bool:
    """The link is really the network's: its bridge, a port of it, or marked."""
    mark = host.bridge_alias(store.instance, row)
    return host.is_bridge(link, row) or link.master == row.link or link.alias.startswith(mark)
