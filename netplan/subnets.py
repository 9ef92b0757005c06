"""Subnets for a network: asked for or from the pools, and claimed in the kernel.

Inside one store the transaction keeps subnets apart. Across stores (other run directories) the claim does: an
unreachable route, made exclusively, in table CLAIMS, which no rule consults. It is removed with the network and gone at
reboot; one of our own without a row is what a killed process left, and is taken over.

macvlan and ipvlan live in a network that exists: a subnet that they are given overlaps others on purpose, and is
neither compared with the host's routes nor claimed.
"""

from __future__ import annotations

import errno
import os

from netplan import host, ipam
from netplan.errors import AddressInUse, KernelRefused, NetworkFault
from netplan.family import V4, V6, family_of
from netplan.netlink import link as rtnl
from netplan.store import instance_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netplan.family import Family, Prefix
    from netplan.ipam import Range
    from netplan.netlink.link import Link
    from netplan.rows import NetworkRow
    from netplan.spec import NetworkSpec, SubnetSpec
    from netplan.store import Store

CLAIMS = 0x70796370
_HEX = frozenset("0123456789abcdef")


def enabled(spec: NetworkSpec, family: Family) -> bool:
    """Whether the network has the family: as its option of that name says, else its own attribute."""
    option = spec.options.get(f"com.docker.network.enable_{family.key}")
    if option is not None:
        return option.lower() in ("true", "1")
    return spec.enable_ipv4 if family is V4 else spec.enable_ipv6


def explicit(spec: NetworkSpec, family: Family = V4) -> SubnetSpec | None:
    """The subnet of the family that is asked for, or None. Raises NetworkFault for a second one."""
    found = [row for row in spec.subnets if row.subnet and family_of(row.subnet) is family]
    if len(found) > 1:
        raise NetworkFault(
            f"cannot create network {spec.name}: {found[1].subnet} is its second {family.name} subnet",
            f"a {spec.driver} network has one; make another network for it",
        )
    return found[0] if found else None


def plan_ranges(store: Store, spec: NetworkSpec, avoided: list[Prefix]) -> tuple[Range | None, Range | None]:
    """The network's addresses of both families, claimed. In a transaction."""
    found: list[Range | None] = []
    others = store.networks()
    for family in (V4, V6):
        if not enabled(spec, family):
            found.append(None)
            continue
        wanted = explicit(spec, family)
        subnet = claim(store, spec, wanted, others, avoided, family)
        found.append(ipam.plan_range(spec.name, subnet, wanted or _partial(spec, family), family))
    return found[0], found[1]


def _partial(spec: NetworkSpec, family: Family) -> SubnetSpec | None:
    """What is said of a family without a subnet of it: only IPv4 may do so."""
    return next((row for row in spec.subnets if not row.subnet), None) if family is V4 else None


def claim(
    store: Store,
    spec: NetworkSpec,
    wanted: SubnetSpec | None,
    others: Sequence[NetworkRow],
    avoided: list[Prefix],
    family: Family = V4,
) -> Prefix:
    """The subnet, claimed. In a transaction."""
    for subnet in _candidates(store, spec, wanted, others, avoided, family):
        if wanted and not _bridged(spec):
            return subnet
        message = rtnl.claim(*subnet, CLAIMS, instance_number(store.instance), family)
        errors = store.route.attempt(message)
        if not errors or (errors[0][0] == errno.EEXIST and _claimed_by_us(store, subnet, family)):
            return subnet
        if errors[0][0] != errno.EEXIST:
            shown = family.render_prefix(subnet)
            raise KernelRefused(f"cannot claim {shown}: {errors[0][1] or os.strerror(errors[0][0])}", errors[0][0])
        if wanted:
            raise AddressInUse(
                f"cannot create network {spec.name}: subnet {wanted.subnet} is claimed by another pycompose"
            )
    raise ipam.exhausted(spec.name, _holders(store, others, family))


def release(store: Store, network: NetworkRow) -> None:
    """Give the network's claims back."""
    for family, area in network.areas:
        store.route.attempt(rtnl.release(*area.subnet, CLAIMS, family))


def _bridged(spec: NetworkSpec) -> bool:
    return spec.driver in ("", "bridge", "default")


def _claimed_by_us(store: Store, subnet: Prefix, family: Family) -> bool:
    """A claim of ours without a row (which the caller has ruled out) is what a killed process left: take it over."""
    owner = instance_number(store.instance)
    return any(
        (route.first, route.length) == subnet and route.owner == owner
        for route in rtnl.routes(store.route, CLAIMS, family)
    )


def _taken(others: Sequence[NetworkRow], family: Family) -> list[tuple[NetworkRow, Prefix]]:
    return [(other, area.subnet) for other in others for kind, area in other.areas if kind is family]


def _candidates(
    store: Store,
    spec: NetworkSpec,
    wanted: SubnetSpec | None,
    others: Sequence[NetworkRow],
    avoided: list[Prefix],
    family: Family,
) -> Iterator[Prefix]:
    if wanted is None:
        taken = [subnet for _other, subnet in _taken(others, family)] + host.reserved(store.route, family)
        if family is V4:
            yield from ipam.select_subnets(taken + avoided)
        else:
            yield from ipam.select_subnets6(host.machine_checksum(), taken)
        return
    subnet = family.parse_prefix(wanted.subnet)
    for other, theirs in _taken(others, family):
        if family.overlap(subnet, theirs):
            raise AddressInUse(
                f"cannot create network {spec.name}: subnet {wanted.subnet} overlaps"
                f" {family.render_prefix(theirs)} of network {other.name}",
                "choose another subnet, or remove that network",
            )
    if _bridged(spec):
        _check_routes(store, spec, wanted.subnet, subnet, family)
    yield subnet


def _check_routes(store: Store, spec: NetworkSpec, text: str, subnet: Prefix, family: Family) -> None:
    for route in host.on_link(store.route, family):
        if family.overlap(subnet, (route.first, route.length)):
            link = rtnl.link_of(store.route, route.index)
            raise AddressInUse(
                f"cannot create network {spec.name}: subnet {text} overlaps"
                f" {family.render_prefix((route.first, route.length))} on {_described(link)}",
                "choose another subnet",
            )


def _described(link: Link | None) -> str:
    """A link's name, and whose it looks like."""
    if link is None:
        return "another link"
    name = link.name
    if name == "docker0" or (name.startswith("br-") and _HEX.issuperset(name[3:]) and not link.alias):
        return f"{name}, a network of Docker"
    return name


def _holders(store: Store, others: Sequence[NetworkRow], family: Family) -> list[str]:
    names = {link.index: link.name for link in rtnl.links(store.route)}
    ours = _taken(others, family)
    found = [f"{other.name} {family.render_prefix(subnet)}" for other, subnet in ours]
    prefixes = {subnet for _other, subnet in ours}
    for route in host.on_link(store.route, family):
        if (route.first, route.length) not in prefixes:
            shown = family.render_prefix((route.first, route.length))
            found.append(f"{names.get(route.index, 'a link')} {shown}")
    return found


def overlapped(store: Store, row: NetworkRow) -> bool:
    """Another link has a route into the subnet: somebody who neither reads our store nor our claims was as fast."""
    return row.range is not None and any(
        route.index != row.link and V4.overlap(row.range.subnet, (route.first, route.length))
        for route in host.on_link(store.route)
    )
