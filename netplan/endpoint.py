"""Attach a container's network namespace to a network, and detach it.

Order of an attach: the row (lease, names, host ports, all bound), the pair of links, the inside, the translation of the
ports, ``ready``. Every step finds out what is done already, so the next attach or detach after a kill -9 converges.
"""

from __future__ import annotations

import errno
import os

from netplan import host, interior, ipam, network, parents, publish
from netplan import plain_json as json
from netplan.errors import AddressInUse, KernelRefused, NetworkFault
from netplan.family import V4, V6
from netplan.firewall import flows, rules
from netplan.firewall import nft as firewall
from netplan.netlink import link as rtnl
from netplan.netlink.socket import ROUTE, Netlink, refusal
from netplan.netns import inside
from netplan.record import replace
from netplan.rows import EndpointRow, link_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from netplan.family import Family
    from netplan.netlink.link import Link
    from netplan.netlink.message import Message
    from netplan.rows import NetworkRow
    from netplan.spec import Endpoint, EndpointSpec
    from netplan.store import Store

_ATTEMPTS = 5
_BRIDGE_FULL = 54  # EXFULL: a bridge has 1023 ports at most


def attach(store: Store, spec: EndpointSpec, netns_fd: int) -> tuple[Endpoint, tuple[int, ...]]:
    """Put the container on the network. Attaching what is attached gives the same endpoint.

    Returns the endpoint and sockets that reserve its host ports: the caller keeps them open (in a process that lives
    as long as the container) until it detaches. Raises NetworkNotFound, PortInUse, AddressInUse, PoolExhausted,
    NetworkFault, KernelRefused; on a first attach everything is given back then.
    """
    on = network.find(store, spec.network)
    row, fds, known = _lease(store, on, spec)
    try:
        if known:
            row, wired = _inspect(store, on, row, netns_fd)
        else:
            wired = False
        if not wired:
            row = _add_links(store, on, row, netns_fd)
        nsid = interior.set_up(store, on, row, spec, netns_fd)
        firewall.ensure_network(store, on)
        firewall.publish(store, row)
        flows.forget_ports(store, row.ports)
        _finish(store, spec, nsid)
    except BaseException:
        for fd in fds:
            os.close(fd)
        if not known:
            detach(store, spec.container, spec.network)
        raise
    return row.public(on), tuple(fds)


def detach(store: Store, container: str, network: str = "", *, dying: bool = False) -> None:
    """Give back lease, names, ports and links of the container, on one network or on all. Idempotent.

    Links go with their namespace; they are deleted here only if that is still alive. ``dying``: nobody uses it any
    more, so it need not be asked for, which takes 15 ms while closed sockets hold it for a last grace period.
    """
    rows = store.endpoints(container, network)
    if not rows:
        return
    firewall.withdraw(store, rows)
    flows.forget(store, rows)
    if not dying:
        _delete_links(store, rows)
    with store:
        for row in rows:
            store.drop_endpoint(row)


def endpoints(store: Store, container: str = "", network: str = "") -> list[Endpoint]:
    """Endpoints in force, of a container, of a network, of both, or all."""
    networks = {row.name: row for row in store.networks()}
    return [row.public(networks[row.network]) for row in store.endpoints(container, network) if row.network in networks]


def remove_all(store: Store, networks: list[str]) -> None:
    """Remove networks with all their endpoints: a project's teardown, in one grace period of the kernel."""
    network.remove_all(store, networks)


def sweep(store: Store, alive: Callable[[str], bool]) -> None:
    """Detach every container that ``alive`` denies, and delete links marked as ours that no network has."""
    for container in sorted({row.container for row in store.endpoints()}):
        if not alive(container):
            detach(store, container)
    network.sweep(store)


def wanted_text(spec: EndpointSpec) -> str:
    """What of a spec makes another endpoint when it changes; names and ports may change in place (netplan/live.py)."""
    own = [spec.interface, spec.ipv4_address, spec.mac_address, spec.default_route, spec.ipv6_address]
    return json.dumps([*own, spec.default_route6, spec.link_local, dict(spec.options)])


def _lease(store: Store, on: NetworkRow, spec: EndpointSpec) -> tuple[EndpointRow, list[int], bool]:
    """The endpoint's row, with its ports bound: a new one, or the one there is (then the last value is true)."""
    known = store.endpoint(spec.container, spec.network)
    ports = spec.ports if on.bridged else ()  # elsewhere the container's own ports are on the wire
    if known and not (known.wanted == wanted_text(spec) and publish.agree(on, known.ports, ports)):
        detach(store, spec.container, spec.network)
        known = None
    if known:
        return known, publish.reserve_again(known.ports), True
    with store:
        known = store.endpoint(spec.container, spec.network)
        if known:
            return known, publish.reserve_again(known.ports), True
        address = _address(store, on, spec.ipv4_address, V4)
        address6 = _address(store, on, spec.ipv6_address, V6)
        mac = _mac(store, spec, address or address6)
        if mac != ipam.derived_mac(address):
            store.note_own_macs(on.id)
        link = store.next_link()
        own = {V4: address, V6: address6}
        bound, fds = publish.reserve(store, on, ports, own)
        row = EndpointRow(
            *(spec.container, spec.network, spec.interface, link, address, mac, spec.names, spec.links),
            *(spec.default_route, wanted_text(spec), False, -1, bound, address6, spec.default_route6),
        )
        try:
            store.add_endpoint(row)
            store.publish(row)
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
    return row, fds, False


def _address(store: Store, on: NetworkRow, wanted: str, family: Family) -> int:
    """A free address of the family, or 0 if the network does not have it. Raises NetworkFault if one was asked for."""
    area = dict(on.families)[family]
    if area is not None:
        return ipam.select_address(on.name, area, store.leased(on.name, family), wanted, family)
    if wanted:
        raise NetworkFault(
            f"cannot lease {wanted} on network {on.name}: it has no {family.name}",
            f"add enable_{family.key}: true to the network",
        )
    return 0


def _mac(store: Store, spec: EndpointSpec, address: int) -> bytes:
    """The MAC asked for, else one derived from the address; if that is taken (by IPv6 addresses that end alike),
    any."""
    mac = ipam.parse_mac(spec.mac_address) if spec.mac_address else ipam.derived_mac(address)
    if not spec.mac_address and address >> 32:
        while store.execute("SELECT 1 FROM endpoint WHERE network = ? AND mac = ?", (spec.network, mac)):
            mac = b"\x02\x42" + os.urandom(4)
    _check_mac(store, spec, mac)
    return mac


def _check_mac(store: Store, spec: EndpointSpec, mac: bytes) -> None:
    found = store.execute("SELECT names FROM endpoint WHERE network = ? AND mac = ?", (spec.network, mac))
    if found:
        other = json.loads(found[0][0])[0]
        raise AddressInUse(f"cannot use {ipam.render_mac(mac)} on network {spec.network}: container {other} has it")


def _inspect(store: Store, on: NetworkRow, row: EndpointRow, netns_fd: int) -> tuple[EndpointRow, bool]:
    """What an earlier attach left: the row as it is and whether its links are there, both ends.

    A host's end without its peer in this namespace belongs to the container's last life: the row gets a new link.
    """
    network.ensure(store, on)
    if not on.bridged:
        return row, _has_inner(row, netns_fd)
    outer = rtnl.link_of(store.route, row.link)
    if outer is None:
        return row, False
    if _is_ours(store, outer, row, on):
        if _has_inner(row, netns_fd):
            store.route.run(f"attach {outer.name}", *_back(on, row), *_outer(store, on, row))
            return row, True
        store.route.run(f"delete link {outer.name}", rtnl.delete_link(row.link))
    return _renumber(store, row), False


def _has_inner(row: EndpointRow, netns_fd: int) -> bool:
    with inside(netns_fd):
        there = Netlink(ROUTE)
    try:
        inner = rtnl.link_of(there, row.link)
    finally:
        there.close()
    return inner is not None and inner.name == row.interface


def _is_ours(store: Store, link: Link, row: EndpointRow, on: NetworkRow) -> bool:
    """Named as the row says and in the network's group; or marked, if a killed detach has collected it elsewhere."""
    marked = link.alias.startswith(host.bridge_alias(store.instance, on))
    return link.name == link_name(row.link) and (link.group == on.group or marked)


def _renumber(store: Store, row: EndpointRow, skip: bool = False) -> EndpointRow:
    with store:
        if skip:
            store.skip_links()
        link = store.next_link()
        store.execute(
            "UPDATE endpoint SET link = ? WHERE container = ? AND network = ?", (link, row.container, row.network)
        )
    return replace(row, link=link)


def _add_links(store: Store, on: NetworkRow, row: EndpointRow, netns_fd: int) -> EndpointRow:
    """Create the pair: the peer is born in its namespace, the host's end in its bridge. Raises KernelRefused."""
    what = f"attach {row.names[0]} to network {on.name}"
    if not on.bridged:
        if errors := store.route.attempt(parents.link_for(store, on, row, netns_fd)):
            raise parents.refused(on, row, *errors[0])
        return row
    for _ in range(_ATTEMPTS):
        name = link_name(row.link)
        message = rtnl.create_veth(row.link, name, on.link, on.group, on.mtu, netns_fd, row.interface, row.mac)
        errors = store.route.attempt(message)
        if not errors:
            store.route.run(what, *_outer(store, on, row))
            return row
        number, detail = errors[0]
        if number == _BRIDGE_FULL:
            raise NetworkFault(f"cannot {what}: a bridge takes 1023 containers", "use a second network")
        if number != errno.EEXIST:
            if host.is_bridge(rtnl.link_of(store.route, on.link), on):
                raise refusal(what, number, detail)
            on = network.ensure(store, on)
        elif rtnl.link_of(store.route, row.link) or rtnl.link_of(store.route, name=name):
            row = _renumber(store, row, skip=True)
        else:
            raise KernelRefused(f"cannot {what}: the namespace already has a link {row.interface}", number)
    raise refusal(what, number, detail)


def _outer(store: Store, on: NetworkRow, row: EndpointRow) -> list[Message]:
    alias = f"{host.bridge_alias(store.instance, on)}:{row.container[:12]}"
    isolated = not rules.enabled(on, "enable_icc")
    return [rtnl.set_no_link_local(row.link), rtnl.set_port(row.link, isolated), rtnl.set_alias(row.link, alias)]


def _back(on: NetworkRow, row: EndpointRow) -> list[Message]:
    """Into bridge and group, and up, if it is not there."""
    return [rtnl.set_up(row.link), rtnl.set_master(row.link, on.link), rtnl.set_group(row.link, on.group)]


def _finish(store: Store, spec: EndpointSpec, nsid: int) -> None:
    """The names answer from now on."""
    with store:
        store.execute(
            "UPDATE endpoint SET ready = 1, nsid = ?, names = ?, links = ? WHERE container = ? AND network = ?",
            (nsid, json.dumps(spec.names), json.dumps(dict(spec.links)), spec.container, spec.network),
        )
        own = spec.container[:12]
        store.note_names(spec.network, [name for name in spec.names if name != own])


def _delete_links(store: Store, rows: list[EndpointRow]) -> None:
    """Delete the links whose namespace is alive. The namespace is asked for first: while the kernel takes a dead one
    apart, any question about a link waits for that (20 ms)."""
    groups = {entry.name: entry for entry in store.networks()}
    found = []
    for row in rows:
        if row.nsid >= 0 and not rtnl.namespace_alive(store.route, row.nsid):
            continue
        on = groups.get(row.network)
        if on and not on.bridged:
            store.route.attempt(rtnl.delete_in_namespace(row.link, row.nsid))
            continue
        link = rtnl.link_of(store.route, row.link)
        if on and link and _is_ours(store, link, row, on) and rtnl.namespace_alive(store.route, link.peer_ns):
            found.append(link)
    # The row's own number serves as the group: nothing else has it.
    host.delete_together(store.route, found, rows[0].link)
