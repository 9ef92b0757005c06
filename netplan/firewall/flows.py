"""What the kernel remembers of connections, forgotten when an address or a published port changes hands."""

from __future__ import annotations

from netplan.family import V4, V6
from netplan.netlink import conntrack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from netplan.rows import EndpointRow
    from netplan.spec import PublishedPort
    from netplan.store import Store


def forget(store: Store, rows: Iterable[EndpointRow]) -> None:
    """Everything of the endpoints' addresses, and the UDP flows through their ports."""
    rows = list(rows)
    for family in (V4, V6):
        addresses = [address for row in rows if (address := row.address_of(family))]
        udp = [number for row in rows for number in _udp(row.ports, ":" if family is V6 else "")]
        conntrack.forget(store.filter, addresses, udp, family)


def forget_ports(store: Store, ports: Iterable[PublishedPort]) -> None:
    """The UDP flows through published ports. A client that never pauses would keep its old translation for ever."""
    ports = tuple(ports)
    for family in (V4, V6):
        if udp := _udp(ports, ":" if family is V6 else ""):
            conntrack.forget(store.filter, [], udp, family)


def _udp(ports: Iterable[PublishedPort], mark: str) -> list[int]:
    return [port.host_port for port in ports if port.protocol == "udp" and (":" in port.host_ip) == bool(mark)]
