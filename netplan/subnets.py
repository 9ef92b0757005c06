"""A subnet for a network: asked for or from the pools, and claimed in the kernel.

Inside one store the transaction keeps subnets apart. Across stores (other run directories) the claim does: an
unreachable route, made exclusively, in table CLAIMS, which no rule consults. It is removed with the network and gone at
reboot; one of our own without a row is what a killed process left, and is taken over.
"""

from __future__ import annotations

import errno
import os

from netplan import host, ipam
from netplan.errors import AddressInUse, KernelRefused
from netplan.ipv4 import overlap, parse_prefix, render_prefix
from netplan.netlink import link as rtnl
from netplan.store import instance_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netplan.ipv4 import Prefix
    from netplan.rows import NetworkRow
    from netplan.spec import NetworkSpec, SubnetSpec
    from netplan.store import Store

CLAIMS = 0x70796370


def explicit(spec: NetworkSpec) -> SubnetSpec | None:
    """The first IPv4 subnet asked for, or None. IPv6 subnets are not used."""
    for subnet in spec.subnets:
        if subnet.subnet and ":" not in subnet.subnet:
            return subnet
    return None


def claim(
    store: Store, spec: NetworkSpec, wanted: SubnetSpec | None, others: Sequence[NetworkRow], avoided: list[Prefix]
) -> Prefix:
    """The subnet, claimed. In a transaction."""
    for subnet in _candidates(store, spec, wanted, others, avoided):
        message = rtnl.claim(*subnet, CLAIMS, instance_number(store.instance))
        errors = store.route.attempt(message)
        if not errors or (errors[0][0] == errno.EEXIST and _claimed_by_us(store, subnet)):
            return subnet
        if errors[0][0] != errno.EEXIST:
            raise KernelRefused(
                f"cannot claim {render_prefix(subnet)}: {errors[0][1] or os.strerror(errors[0][0])}", errors[0][0]
            )
        if wanted:
            raise AddressInUse(
                f"cannot create network {spec.name}: subnet {wanted.subnet} is claimed by another pycompose"
            )
    raise ipam.exhausted(spec.name, _holders(store, others))


def _claimed_by_us(store: Store, subnet: Prefix) -> bool:
    """A claim of ours without a row (which the caller has ruled out) is what a killed process left: take it over."""
    owner = instance_number(store.instance)
    return any(
        (route.first, route.length) == subnet and route.owner == owner for route in rtnl.routes(store.route, CLAIMS)
    )


def _candidates(
    store: Store, spec: NetworkSpec, wanted: SubnetSpec | None, others: Sequence[NetworkRow], avoided: list[Prefix]
) -> Iterator[Prefix]:
    if wanted is None:
        taken = [other.range.subnet for other in others] + host.reserved(store.route) + avoided
        yield from ipam.select_subnets(taken)
        return
    subnet = parse_prefix(wanted.subnet)
    for other in others:
        if overlap(subnet, other.range.subnet):
            raise AddressInUse(
                f"cannot create network {spec.name}: subnet {wanted.subnet} overlaps"
                f" {render_prefix(other.range.subnet)} of network {other.name}",
                "choose another subnet, or remove that network",
            )
    for route in host.on_link(store.route):
        if overlap(subnet, (route.first, route.length)):
            link = rtnl.link_of(store.route, route.index)
            raise AddressInUse(
                f"cannot create network {spec.name}: subnet {wanted.subnet} overlaps"
                f" {render_prefix((route.first, route.length))} on {link.name if link else 'another link'}",
                "choose another subnet",
            )
    yield subnet


def _holders(store: Store, others: Sequence[NetworkRow]) -> list[str]:
    names = {link.index: link.name for link in rtnl.links(store.route)}
    ours = {other.range.subnet for other in others}
    found = [f"{other.name} {render_prefix(other.range.subnet)}" for other in others]
    for route in host.on_link(store.route):
        if (route.first, route.length) not in ours:
            found.append(f"{names.get(route.index, 'a link')} {render_prefix((route.first, route.length))}")
    return found


def overlapped(store: Store, row: NetworkRow) -> bool:
    """Another link has a route into the subnet: somebody who neither reads our store nor our claims was as fast."""
    return any(
        route.index != row.link and overlap(row.range.subnet, (route.first, route.length))
        for route in host.on_link(store.route)
    )
