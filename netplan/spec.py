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

    ``options``: Docker's bridge driver options (``com.docker.network.bridge.name`` ...). No ``subnets``: one /16 (or
    /20) of the pools, in Docker's order.
    """

    name: str
    project: str = ""
    driver: str = "bridge"
    internal: bool = False
    subnets: tuple[SubnetSpec, ...] = ()
    enable_ipv6: bool = False
    options: Mapping[str, str] = EMPTY
    labels: Mapping[str, str] = EMPTY


@record
class Network:
    """A network that exists. ``group`` is the kernel's interface group of all its links, unique on the machine."""

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
    ``default_route``: this endpoint carries the container's default route.
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


@record
class Endpoint:
    """An endpoint in force, as kept in the store."""

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
