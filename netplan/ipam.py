"""Which subnet a network gets and which address an endpoint. Pure, on numbers (netplan/family.py).

The pools and their order are Docker's: 172.17.0.0/16 to 172.31.0.0/16 as /16, then 192.168.0.0/16 as /20; the lowest
free chunk wins. 172.17.0.0/16 usually is docker0's and then excluded like any on-link route. The pool of IPv6 is a /48
of the machine's own (RFC 4193, derived from its id and so always the same), in /64s.
"""

from __future__ import annotations

from netplan.errors import AddressInUse, NetworkFault, PoolExhausted
from netplan.family import V4, V6
from netplan.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from netplan.family import Family, Prefix
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
        if not any(V4.overlap(chunk, other) for other in taken):
            yield chunk


def select_subnets6(machine: bytes, taken: Collection[Prefix]) -> Iterator[Prefix]:
    """The free /64s of the machine's pool, lowest first. ``machine``: a checksum of its id, of which Docker's rule
    takes the low 40 of the first 64 bits as the global id."""
    base = 0xFD << 120 | (int.from_bytes(machine[:8], "big") & (1 << 40) - 1) << 80
    for number in range(1 << 16):
        chunk = (base + (number << 64), 64)
        if not any(V6.overlap(chunk, other) for other in taken):
            yield chunk


def exhausted(name: str, holders: Iterable[str]) -> PoolExhausted:
    """The error when no chunk is left; ``holders``: who has which subnet."""
    listed = ", ".join(holders)
    return PoolExhausted(
        f"cannot create network {name}: all address pools are used ({listed})",
        "remove unused networks, or give the network a subnet under ipam.config",
    )


def plan_range(name: str, subnet: Prefix, spec: SubnetSpec | None, family: Family = V4) -> Range:
    """Gateway, lease pool and reservations of a network. Raises NetworkFault for what lies outside the subnet."""
    pool = family.parse_prefix(spec.ip_range) if spec and spec.ip_range else subnet
    if not (family.holds(subnet, pool[0]) and family.holds(subnet, family.last(pool))):
        shown = family.render_prefix(pool)
        raise NetworkFault(
            f"cannot create network {name}: ip_range {shown} is outside its subnet",
            hint="ip_range is a part of the subnet",
        )
    auxiliary = dict(spec.aux_addresses) if spec else {}
    key = f"DefaultGateway{family.name}"
    inner = auxiliary.pop(key, "")
    reserved = tuple(_inside(name, subnet, text, what, family) for what, text in auxiliary.items())
    if spec and spec.gateway:
        gateway = _inside(name, subnet, spec.gateway, "gateway", family)
    else:
        gateway = pool[0] if subnet[1] >= family.bits - 1 or pool[0] != subnet[0] else pool[0] + 1
    default = _inside(name, subnet, inner, key, family) if inner else gateway
    return Range(subnet, gateway, pool, reserved + ((default,) if inner else ()), default)


def _inside(name: str, subnet: Prefix, text: str, what: str, family: Family) -> int:
    address = family.parse_address(text)
    if not family.holds(subnet, address):
        shown = family.render_prefix(subnet)
        raise NetworkFault(
            f"cannot create network {name}: {what} {text} is outside subnet {shown}", hint="choose an address within it"
        )
    return address


def select_address(name: str, area: Range, leased: Collection[int], wanted: str = "", family: Family = V4) -> int:
    """The wanted address if it is free, else the lowest free one. Raises AddressInUse, PoolExhausted, NetworkFault."""
    taken = {*leased, area.gateway, *area.reserved}
    if area.subnet[1] < family.bits - 1:
        taken.add(area.subnet[0])  # of IPv6 it is the anycast address of the subnet's routers
        if family is V4:
            taken.add(family.last(area.subnet))
    if wanted:
        return _wanted(name, area, taken, wanted, family)
    address, end = area.pool[0], family.last(area.pool)
    while address <= end:
        if address not in taken:
            return address
        address += 1
    raise PoolExhausted(
        f"cannot lease an address of network {name}: all of {family.render_prefix(area.pool)} is in use",
        "give the network a larger subnet, or remove containers",
    )


def _wanted(name: str, area: Range, taken: Collection[int], wanted: str, family: Family) -> int:
    address = family.parse_address(wanted)
    if not family.holds(area.subnet, address):
        raise NetworkFault(
            f"cannot lease {wanted} on network {name}: it is outside subnet {family.render_prefix(area.subnet)}",
            hint="choose an address within it",
        )
    if address == area.gateway:
        raise AddressInUse(f"cannot lease {wanted} on network {name}: it is the gateway", hint="choose another address")
    if address in taken:
        raise AddressInUse(
            f"cannot lease {family.render_address(address)} on network {name}: it is in use",
            hint="choose another address, or none",
        )
    return address


def derived_mac(address: int) -> bytes:
    """02:42 and the address (of IPv6 its last 32 bits): who gets an address again also has its MAC, so no neighbour
    keeps a stale one."""
    return b"\x02\x42" + (address & 0xFFFFFFFF).to_bytes(4, "big")


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
