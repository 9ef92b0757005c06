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

from netplan import host, ipam, subnets
from netplan.errors import AddressInUse, KernelRefused, NetworkFault, NetworkInUse, NetworkNotFound
from netplan.firewall import foreign, rules
from netplan.firewall import nft as firewall
from netplan.netlink import conntrack, nft
from netplan.netlink import link as rtnl
from netplan.record import replace
from netplan.rows import NetworkRow
from netplan.store import instance_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from netplan.ipv4 import Prefix
    from netplan.netlink.link import Link
    from netplan.spec import Network, NetworkSpec
    from netplan.store import Store

_NAME = "com.docker.network.bridge.name"
_MTU = "com.docker.network.driver.mtu"
_ATTEMPTS = 5


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
        row = ensure(store, row or _reserve(store, spec, avoided))
        if known or subnets.explicit(spec) or not subnets.overlapped(store, row):
            return row.public()
        avoided.append(row.range.subnet)  # somebody else took it between our look and our bridge
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
    known = {row.range.subnet for row in store.networks()}
    owner = instance_number(store.instance)
    for route in rtnl.routes(store.route, subnets.CLAIMS):
        if route.owner == owner and (route.first, route.length) not in known:
            with store:  # not one that is just being made: claims and rows are one transaction
                if all(row.range.subnet != (route.first, route.length) for row in store.networks()):
                    store.route.attempt(rtnl.release(route.first, route.length, subnets.CLAIMS))
    if not known:
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
    row = _ensure_bridge(store, row)
    firewall.ensure_network(store, row)
    if not row.internal:
        host.enable_forwarding()
    foreign.allow(store, row.bridge)
    return row


def _reserve(store: Store, spec: NetworkSpec, avoided: list[Prefix]) -> NetworkRow:
    """Choose subnet, index and names, claim the subnet in the kernel, write the row: one transaction."""
    _check(spec)
    with store:
        if existing := store.network(spec.name):
            return existing
        wanted = subnets.explicit(spec)
        others = store.networks()
        subnet = subnets.claim(store, spec, wanted, others, avoided)
        partial = next((entry for entry in spec.subnets if not entry.subnet), None)
        area = ipam.plan_range(spec.name, subnet, wanted or partial)
        ident = os.urandom(32).hex()
        link = store.next_link()
        bridge = spec.options.get(_NAME) or f"br-{ident[:12]}"
        _check_bridge_name(store, spec, bridge, others)
        row = NetworkRow(
            *(spec.name, ident, spec.project, "bridge", bridge, link, link, area, spec.internal, _mtu(spec)),
            *(spec.options, spec.labels, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())),
        )
        store.add_network(row)
        return row


def _check(spec: NetworkSpec) -> None:
    if spec.driver not in ("", "bridge", "default"):
        raise NetworkFault(f"cannot create network {spec.name}: unknown driver {spec.driver}", "use driver: bridge")
    mode = spec.options.get("com.docker.network.bridge.gateway_mode_ipv4", "nat")
    if mode != "nat":
        raise NetworkFault(f"cannot create network {spec.name}: gateway mode {mode} is not supported", "use nat")
    _mtu(spec)


def _mtu(spec: NetworkSpec) -> int:
    value = spec.options.get(_MTU, "0")
    if not value.isdigit() or not (value == "0" or 68 <= int(value) <= 65535):
        raise NetworkFault(f"cannot create network {spec.name}: mtu {value!r} is not a number from 68 to 65535")
    return int(value)


def _check_bridge_name(store: Store, spec: NetworkSpec, bridge: str, others: Sequence[NetworkRow]) -> None:
    if not 0 < len(bridge.encode()) < 16 or "/" in bridge or any(char.isspace() for char in bridge):
        raise NetworkFault(f"cannot create network {spec.name}: {bridge!r} is not a bridge name (15 bytes at most)")
    for other in others:
        if other.bridge == bridge:
            raise AddressInUse(f"cannot create network {spec.name}: bridge {bridge} is that of network {other.name}")
    if bridge == spec.options.get(_NAME):
        link = rtnl.link_of(store.route, name=bridge)
        if link is not None and not link.alias.startswith(f"{store.instance}:"):
            raise AddressInUse(f"cannot create network {spec.name}: a link {bridge} exists and is not ours")


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
    if row.options.get(f"{rules.OPTION}inhibit_ipv4", "false").lower() != "true":
        todo.append(rtnl.add_address(row.link, row.range.gateway, row.range.subnet[1]))
    alias = rtnl.set_alias(row.link, host.bridge_alias(store.instance, row))  # last: it says that all is done
    store.route.run(f"set up bridge {row.bridge}", *todo, alias)


def _resolve_clash(store: Store, row: NetworkRow) -> NetworkRow:
    """Something has our bridge's name or index: ours from a lost store (deleted), a stranger's name (an error), or a
    stranger's index (the row gets another)."""
    link = rtnl.link_of(store.route, name=row.bridge)
    if link is not None and not host.is_bridge(link, row):
        if not link.alias.startswith(f"{store.instance}:"):
            raise AddressInUse(f"cannot create network {row.name}: a link {row.bridge} exists and is not ours")
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
        foreign.forget(store, row.bridge)
    udp = [port.host_port for endpoint in endpoints for port in endpoint.ports if port.protocol == "udp"]
    # Both wait in the kernel, one for a walk over all connections, the other for grace periods: they do so together.
    addresses = [endpoint.address for endpoint in endpoints]
    forgetting = threading.Thread(target=conntrack.forget, args=(store.filter, addresses, udp))
    forgetting.start()
    try:
        _delete_links(store, rows)
    finally:
        forgetting.join()
    with store:
        left = [row for row in rows if nft.has_chain(store.filter, nft.INET4, store.instance, f"nat-{row.bridge}")]
        if left:  # another process built the table again from rows that were still there
            firewall.remove_networks(store, left)
        late = [endpoint for row in rows for endpoint in store.endpoints(network=row.name)]
        firewall.withdraw(store, [endpoint for endpoint in late if endpoint not in endpoints])
        for row in rows:
            store.route.attempt(rtnl.release(*row.range.subnet, subnets.CLAIMS))
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
