"""Rows of the store as values, and as callers see them. Pure. Addresses are numbers (netplan/ipv4.py)."""

from __future__ import annotations

import json

from netplan.ipam import Range, render_mac
from netplan.ipv4 import render_address, render_prefix
from netplan.record import record
from netplan.spec import Endpoint, Network, PublishedPort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

NETWORK_COLUMNS = (
    "name, id, project, driver, bridge, link, grp, first, length, gateway, pool_first, pool_length, reserved,"
    " default_gateway, internal, mtu, options, labels, created_at"
)
ENDPOINT_COLUMNS = "container, network, interface, link, address, mac, names, links, default_route, wanted, ready, nsid"


@record
class NetworkRow:
    """A network as stored: addresses are numbers, ``link`` is the bridge's interface index."""

    name: str
    id: str
    project: str
    driver: str
    bridge: str
    link: int
    group: int
    range: Range
    internal: bool
    mtu: int
    options: Mapping[str, str]
    labels: Mapping[str, str]
    created_at: str

    def public(self) -> Network:
        """What callers of netplan see."""
        return Network(
            self.id,
            self.name,
            self.project,
            self.driver,
            self.bridge,
            self.group,
            render_prefix(self.range.subnet),
            render_address(self.range.gateway),
            self.internal,
            self.mtu,
            self.options,
            self.labels,
            self.created_at,
        )


@record
class EndpointRow:
    """An endpoint as stored. ``wanted``: what was asked for, as text; ``ready``: attach has finished, names answer;
    ``nsid``: the kernel's number of the container's namespace in ours, -1 while not known."""

    container: str
    network: str
    interface: str
    link: int
    address: int
    mac: bytes
    names: tuple[str, ...]
    links: Mapping[str, str]
    default_route: bool
    wanted: str
    ready: bool
    nsid: int = -1
    ports: tuple[PublishedPort, ...] = ()

    def public(self, network: NetworkRow) -> Endpoint:
        """What callers of netplan see."""
        return Endpoint(
            self.network,
            self.container,
            self.interface,
            link_name(self.link),
            render_address(self.address),
            network.range.subnet[1],
            render_address(network.range.default_gateway) if self.default_route and not network.internal else "",
            render_mac(self.mac),
            self.names,
            self.links,
            self.ports,
        )


def link_name(index: int) -> str:
    """The host's end of a container's pair, from its interface index."""
    return f"veth{index:07x}"


def read_network(row: tuple[Any, ...]) -> NetworkRow:
    """A network from the columns NETWORK_COLUMNS."""
    name, ident, project, driver, bridge, link, group, first, length, gateway, pool, pool_length, reserved = row[:13]
    default, internal, mtu, options, labels, created_at = row[13:]
    area = Range((first, length), gateway, (pool, pool_length), tuple(json.loads(reserved)), default)
    return NetworkRow(
        *(name, ident, project, driver, bridge, link, group, area, bool(internal), mtu),
        *(json.loads(options), json.loads(labels), created_at),
    )


def read_endpoint(row: tuple[Any, ...], ports: tuple[PublishedPort, ...]) -> EndpointRow:
    """An endpoint from the columns ENDPOINT_COLUMNS."""
    container, network, interface, link, address, mac, names, links, default_route, wanted, ready, nsid = row
    return EndpointRow(
        *(container, network, interface, link, address, mac, tuple(json.loads(names)), json.loads(links)),
        *(bool(default_route), wanted, bool(ready), nsid, ports),
    )
