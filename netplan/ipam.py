"""Which subnet a network gets and which address an endpoint. Pure, on numbers (netplan/ipv4.py).

The pools and their order are Docker's: 172.17.0.0/16 to 172.31.0.0/16 as /16, then 192.168.0.0/16 as /20; the lowest
free chunk wins. 172.17.0.0/16 usually is docker0's and then excluded like any on-link route.
"""

from __future__ import annotations

from netplan.errors import AddressInUse, NetworkFault, PoolExhausted
from netplan.ipv4 import holds, last, overlap, parse_address, parse_prefix, render_address, render_prefix
from netplan.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from netplan.ipv4 import Prefix
    from netplan.spec import SubnetSpec

_POOLS = (  # base, length of the base, length of each network
    ((172 << 24) + (17 << 16), 16, 16),
    ((172 << 24) + (18 << 16), 16, 16),
    ((172 << 24) + (19 << 16), 16, 16),
    ((172 << 24) + (20 << 16), 14, 16),
    ((172 << 24) + (24 << 16), 14, 16),
    ((172 << 24) + (28 << 16), 14, 16),
    ((192 << 24) + (168 << 16), 16, 20),
)


@record
class Range:
    """A network's addresses: the subnet, its gateway, what leases come from, and what they must avoid."""

    subnet: tuple[int, int]
    gateway: int
    pool: tuple[int, int]
    reserved: tuple[int, ...]
    default_gateway: int


def chunks() -> Iterator[Prefix]:
    """Every subnet of the pools, in order."""
    for base, length, size in _POOLS:
        for number in range(1 << (size - length)):
            yield base + (number << (32 - size)), size


def select_subnets(taken: Collection[Prefix]) -> Iterator[Prefix]:
    """The free chunks, lowest first. ``taken``: our networks, on-link routes, nameservers."""
    for chunk in chunks():
        if not any(overlap(chunk, other) for other in taken):
            yield chunk


def exhausted(name: str, holders: Iterable[str]) -> PoolExhausted:
    """The error when no chunk is left; ``holders``: who has which subnet."""
    listed = ", ".join(holders)
    return PoolExhausted(
        f"cannot create network {name}: all address pools are used ({listed})",
        "remove unused networks, or give the network a subnet under ipam.config",
    )


def plan_range(name: str, subnet: Prefix, spec: SubnetSpec | None) -> Range:
    """Gateway, lease pool and reservations of a network. Raises NetworkFault for what lies outside the subnet."""
    pool = parse_prefix(spec.ip_range) if spec and spec.ip_range else subnet
    if not (holds(subnet, pool[0]) and holds(subnet, last(pool))):
        raise NetworkFault(f"cannot create network {name}: ip_range {render_prefix(pool)} is outside its subnet")
    auxiliary = dict(spec.aux_addresses) if spec else {}
    inner = auxiliary.pop("DefaultGatewayIPv4", "")
    reserved = tuple(_inside(name, subnet, text, key) for key, text in auxiliary.items())
    if spec and spec.gateway:
        gateway = _inside(name, subnet, spec.gateway, "gateway")
    else:
        gateway = pool[0] if subnet[1] >= 31 or pool[0] != subnet[0] else pool[0] + 1
    default = _inside(name, subnet, inner, "DefaultGatewayIPv4") if inner else gateway
    return Range(subnet, gateway, pool, reserved + ((default,) if inner else ()), default)


def _inside(name: str, subnet: Prefix, text: str, what: str) -> int:
    address = parse_address(text)
    if not holds(subnet, address):
        raise NetworkFault(f"cannot create network {name}: {what} {text} is outside subnet {render_prefix(subnet)}")
    return address


def select_address(name: str, area: Range, leased: Collection[int], wanted: str = "") -> int:
    """The wanted address if it is free, else the lowest free one. Raises AddressInUse, PoolExhausted, NetworkFault."""
    taken = {*leased, area.gateway, *area.reserved}
    if area.subnet[1] < 31:
        taken |= {area.subnet[0], last(area.subnet)}
    if wanted:
        return _wanted(name, area, taken, wanted)
    for address in range(area.pool[0], last(area.pool) + 1):
        if address not in taken:
            return address
    raise PoolExhausted(
        f"cannot lease an address of network {name}: all of {render_prefix(area.pool)} is in use",
        "give the network a larger subnet, or remove containers",
    )


def _wanted(name: str, area: Range, taken: Collection[int], wanted: str) -> int:
    address = parse_address(wanted)
    if not holds(area.subnet, address):
        raise NetworkFault(
            f"cannot lease {wanted} on network {name}: it is outside subnet {render_prefix(area.subnet)}"
        )
    if address == area.gateway:
        raise AddressInUse(f"cannot lease {wanted} on network {name}: it is the gateway")
    if address in taken:
        raise AddressInUse(f"cannot lease {render_address(address)} on network {name}: it is in use")
    return address


def derived_mac(address: int) -> bytes:
    """02:42 and the address: who gets an address again also has its MAC, so no neighbour keeps a stale one."""
    return b"\x02\x42" + address.to_bytes(4, "big")


def parse_mac(text: str) -> bytes:
    """``02:42:ac:12:00:02`` as bytes. Raises NetworkFault for what is no unicast MAC address."""
    try:
        value = bytes.fromhex(text.replace("-", ":").replace(":", ""))
    except ValueError:
        value = b""
    if len(value) != 6 or value[0] & 1:
        raise NetworkFault(f"cannot use {text!r} as a MAC address", "write six hex bytes, the first one even")
    return value


def render_mac(value: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in value)
