"""What netplan is asked for and what it answers: plain frozen values. Addresses are strings in canonical form."""

from __future__ import annotations

from netplan.record import EMPTY, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


@record
class SubnetSpec:
    """One ``ipam.config`` entry. Empty strings: chosen by netplan."""

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: Mapping[str, str] = EMPTY


@record
class NetworkSpec:
    """A network to create. ``name`` is unique on the machine (``shop_default``); labels are opaque.

    ``driver``: bridge, macvlan or ipvlan. ``options``: Docker's driver options (``com.docker.network.bridge.name`` ...,
    ``parent``). ``subnets``: one of IPv4 and one of IPv6 at most; what is missing of a family that is on comes from the
    pools, in Docker's order.
    """

    name: str
    project: str = ""
    driver: str = "bridge"
    internal: bool = False
    subnets: tuple[SubnetSpec, ...] = ()
    enable_ipv6: bool = False
    enable_ipv4: bool = True
    options: Mapping[str, str] = EMPTY
    labels: Mapping[str, str] = EMPTY


@record
class Network:
    """A network that exists. ``group`` is the kernel's interface group of all its links, unique on the machine.

    ``bridge``: the link that it hangs on, of macvlan and ipvlan their parent. Of a family that is off, ``subnet`` and
    ``gateway`` (``subnet6``, ``gateway6``) are empty.
    """

    id: str
    name: str
    project: str
    driver: str
    bridge: str
    group: int
    subnet: str
    gateway: str
    internal: bool
    mtu: int
    options: Mapping[str, str]
    labels: Mapping[str, str]
    created_at: str
    subnet6: str = ""
    gateway6: str = ""


@record
class PortMapping:
    """One published port. ``host_port`` 0: ephemeral. ``host_port_end``: last port of a "any of these" range, or 0."""

    container_port: int
    host_port: int = 0
    protocol: str = "tcp"
    host_ip: str = ""
    host_port_end: int = 0


@record
class PublishedPort:
    """A port mapping in force: the host address and port that answer."""

    host_ip: str
    host_port: int
    container_port: int
    protocol: str


@record
class EndpointSpec:
    """One container on one network.

    ``names``: DNS names on this network, first the container's name (it is the PTR answer), then aliases, short id and
    hostname. ``links``: private aliases (alias -> name) visible only to this container. ``interface``: ``eth0`` ...
    ``default_route`` and ``default_route6``: this endpoint carries the container's default route of that family.
    ``link_local``: more addresses, 169.254.0.0/16 or fe80::/10. ``options``: Docker's endpoint options
    (``com.docker.network.endpoint.sysctls``).
    """

    network: str
    container: str
    interface: str
    names: tuple[str, ...]
    ipv4_address: str = ""
    mac_address: str = ""
    default_route: bool = True
    ports: tuple[PortMapping, ...] = ()
    links: Mapping[str, str] = EMPTY
    ipv6_address: str = ""
    default_route6: bool = True
    link_local: tuple[str, ...] = ()
    options: Mapping[str, str] = EMPTY


@record
class Endpoint:
    """An endpoint in force, as kept in the store. Of a family that the network does not have, all is empty or 0."""

    network: str
    container: str
    interface: str
    host_link: str
    address: str
    prefix: int
    gateway: str
    mac_address: str
    names: tuple[str, ...]
    links: Mapping[str, str]
    ports: tuple[PublishedPort, ...] = ()
    address6: str = ""
    prefix6: int = 0
    gateway6: str = ""
