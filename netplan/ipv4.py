"""IPv4 addresses and prefixes as numbers. Pure; ``ipaddress`` would cost an import and microseconds per object."""

from __future__ import annotations

import _socket

from netplan.errors import NetworkFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    Prefix = tuple[int, int]  # first address, length


def parse_address(text: str) -> int:
    """``172.18.0.2`` as a number. Raises NetworkFault."""
    try:
        return int.from_bytes(_socket.inet_pton(_socket.AF_INET, text), "big")
    except (OSError, ValueError):
        raise NetworkFault(f"cannot read {text!r} as an IPv4 address") from None


def is_address(text: str) -> bool:
    try:
        _socket.inet_pton(_socket.AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def render_address(value: int) -> str:
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def pack_address(value: int) -> bytes:
    return value.to_bytes(4, "big")


def parse_prefix(text: str) -> Prefix:
    """``172.18.0.0/16`` as numbers. Raises NetworkFault, also if bits are set after the prefix."""
    head, slash, tail = text.partition("/")
    if not slash or not tail.isdigit() or int(tail) > 32:
        raise NetworkFault(f"cannot read {text!r} as a subnet", "write it as 172.28.0.0/16")
    first, length = parse_address(head), int(tail)
    rounded = first & mask(length)
    if rounded != first:
        raise NetworkFault(f"cannot use subnet {text}: it should be {render_address(rounded)}/{length}")
    return first, length


def render_prefix(prefix: Prefix) -> str:
    return f"{render_address(prefix[0])}/{prefix[1]}"


def mask(length: int) -> int:
    return 0xFFFFFFFF << (32 - length) & 0xFFFFFFFF


def last(prefix: Prefix) -> int:
    return prefix[0] | 0xFFFFFFFF >> prefix[1]


def overlap(one: Prefix, other: Prefix) -> bool:
    return one[0] <= last(other) and other[0] <= last(one)


def holds(prefix: Prefix, address: int) -> bool:
    return prefix[0] <= address <= last(prefix)
