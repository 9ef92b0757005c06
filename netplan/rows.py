"""Rows of the store as values, and as callers see them. Pure. Addresses are numbers (netplan/family.py)."""

from __future__ import annotations

from netplan import plain_json as json
from netplan.family import V4, V6
from netplan.ipam import Range, render_mac
from netplan.record import record
from netplan.spec import Endpoint, Network, PublishedPort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from netplan.family import Family

OPTION = "com.docker.network.bridge."
NETWORK_COLUMNS = (
    "name, id, project, driver, bridge, link, grp, subnet, subnet6, range, range6, internal, mtu, options, labels,"
    " created_at"
)
ENDPOINT_COLUMNS = (
    "container, network, interface, link, address, mac, names, links, default_route, wanted, ready, nsid, address6,"
    " default_route6"
)


@record
class NetworkRow:
    """A network as stored: addresses are numbers, ``link`` is the bridge's interface index. ``range`` and ``range6``
    are None where the family is off."""

    name: str
    id: str
    project: str
    driver: str
    bridge: str
    link: int
    group: int
    range: Range | None
    internal: bool
    mtu: int
    options: Mapping[str, str]
    labels: Mapping[str, str]
    created_at: str
    range6: Range | None = None

    @property
    def families(self) -> tuple[tuple[Family, Range | None], ...]:
        """Both families, each with its addresses, or None where it is off."""
        return (V4, self.range), (V6, self.range6)

    @property
    def areas(self) -> list[tuple[Family, Range]]:
        """The families that are on."""
        return [(family, area) for family, area in self.families if area is not None]

    @property
    def bridged(self) -> bool:
        """It has a bridge and a firewall; macvlan and ipvlan hang on a link of the host."""
        return self.driver == "bridge"

    def mode(self, family: Family) -> str:
        """``nat``, ``nat-unprotected``, ``routed`` or ``isolated``: how the network meets the world."""
        return self.options.get(f"{OPTION}gateway_mode_{family.key}", "nat")

    def public(self) -> Network:
        """What callers of netplan see."""
        subnet, gateway = _shown(V4, self.range)
        subnet6, gateway6 = _shown(V6, self.range6)
        return Network(
            self.id,
            self.name,
            self.project,
            self.driver,
            self.bridge,
            self.group,
            subnet,
            gateway,
            self.internal,
            self.mtu,
            self.options,
            self.labels,
            self.created_at,
            subnet6,
            gateway6,
        )


def _shown(family: Family, area: Range | None) -> tuple[str, str]:
    if area is None:
        return "", ""
    return family.render_prefix(area.subnet), family.render_address(area.gateway)


@record
class EndpointRow:
    """An endpoint as stored; an address of 0 is none. ``wanted``: what was asked for, as text; ``ready``: attach has
    finished, names answer; ``nsid``: the kernel's number of the container's namespace in ours, -1 while not known."""

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
    address6: int = 0
    default_route6: bool = False

    def address_of(self, family: Family) -> int:
        """Its address in a family, or 0."""
        return self.address if family is V4 else self.address6

    @property
    def addresses(self) -> dict[Family, int]:
        """Its address in each family."""
        return {V4: self.address, V6: self.address6}

    def routes(self, on: NetworkRow, family: Family) -> bool:
        """Whether it carries the container's default route of the family."""
        wanted = self.default_route if family is V4 else self.default_route6
        return wanted and not on.internal and bool(self.address_of(family))

    def public(self, network: NetworkRow) -> Endpoint:
        """What callers of netplan see."""
        return Endpoint(
            self.network,
            self.container,
            self.interface,
            link_name(self.link),
            V4.render_address(self.address) if self.address else "",
            network.range.subnet[1] if network.range and self.address else 0,
            self._gateway(network, V4, network.range),
            render_mac(self.mac),
            self.names,
            self.links,
            self.ports,
            V6.render_address(self.address6) if self.address6 else "",
            network.range6.subnet[1] if network.range6 and self.address6 else 0,
            self._gateway(network, V6, network.range6),
        )

    def _gateway(self, network: NetworkRow, family: Family, area: Range | None) -> str:
        return family.render_address(area.default_gateway) if area and self.routes(network, family) else ""


def link_name(index: int) -> str:
    """The host's end of a container's pair, from its interface index."""
    return f"veth{index:07x}"


def read_network(row: tuple[Any, ...]) -> NetworkRow:
    """A network from the columns NETWORK_COLUMNS."""
    name, ident, project, driver, bridge, link, group, _subnet, _subnet6, area, area6 = row[:11]
    internal, mtu, options, labels, created_at = row[11:]
    return NetworkRow(
        *(name, ident, project, driver, bridge, link, group, _read_range(area), bool(internal), mtu),
        *(json.loads(options), json.loads(labels), created_at, _read_range(area6)),
    )


def write_range(area: Range | None) -> str | None:
    """A range as the store keeps it: JSON, for its numbers may have 128 bits."""
    if area is None:
        return None
    return json.dumps([area.subnet, area.gateway, area.pool, area.reserved, area.default_gateway])


def _read_range(text: str | None) -> Range | None:
    if text is None:
        return None
    subnet, gateway, pool, reserved, default = json.loads(text)
    return Range(tuple(subnet), gateway, tuple(pool), tuple(reserved), default)


def read_endpoint(row: tuple[Any, ...], ports: tuple[PublishedPort, ...]) -> EndpointRow:
    """An endpoint from the columns ENDPOINT_COLUMNS."""
    container, network, interface, link, address, mac, names, links = row[:8]
    default_route, wanted, ready, nsid, address6, default_route6 = row[8:]
    return EndpointRow(
        *(container, network, interface, link, address or 0, mac, tuple(json.loads(names)), json.loads(links)),
        *(bool(default_route), wanted, bool(ready), nsid, ports),
        *(int(address6, 16) if address6 else 0, bool(default_route6)),
    )
