"""IPv4 and IPv6 as two values of one class: addresses and prefixes are numbers, whose text and bytes a family knows.

Pure; ``ipaddress`` would cost an import and microseconds per object.
"""

from __future__ import annotations

import _socket

from netplan.errors import NetworkFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    Prefix = tuple[int, int]  # first address, length


class Family:
    """A family of addresses. ``inet``: its number for sockets, rtnetlink and nf_tables; ``kind``: the type of its
    addresses in nf_tables; ``source`` and ``destination``: their offsets in the packet's header."""

    def __init__(self, name: str, inet: int, bits: int, kind: int, source: int, destination: int) -> None:
        self.name = name
        self.inet = inet
        self.bits = bits
        self.size = bits // 8
        self.kind = kind
        self.source = source
        self.destination = destination
        self.all = (1 << bits) - 1
        self.any = "0.0.0.0" if bits == 32 else "::"
        self.key = name.lower()  # as in Docker's options: gateway_mode_ipv4

    def __repr__(self) -> str:
        return self.name

    def parse_address(self, text: str) -> int:
        """``172.18.0.2`` as a number. Raises NetworkFault."""
        try:
            return int.from_bytes(_socket.inet_pton(self.inet, text), "big")
        except (OSError, ValueError):
            raise NetworkFault(f"cannot read {text!r} as an {self.name} address") from None

    def is_address(self, text: str) -> bool:
        try:
            _socket.inet_pton(self.inet, text)
        except (OSError, ValueError):
            return False
        return True

    def render_address(self, value: int) -> str:
        return _socket.inet_ntop(self.inet, value.to_bytes(self.size, "big"))

    def pack(self, value: int) -> bytes:
        return value.to_bytes(self.size, "big")

    def parse_prefix(self, text: str) -> Prefix:
        """``172.18.0.0/16`` as numbers. Raises NetworkFault, also if bits are set after the prefix."""
        head, slash, tail = text.partition("/")
        if not slash or not tail.isdigit() or int(tail) > self.bits:
            example = "172.28.0.0/16" if self.bits == 32 else "fd12:3456::/64"
            raise NetworkFault(f"cannot read {text!r} as a subnet", f"write it as {example}")
        first, length = self.parse_address(head), int(tail)
        rounded = first & self.mask(length)
        if rounded != first:
            raise NetworkFault(f"cannot use subnet {text}: it should be {self.render_address(rounded)}/{length}")
        return first, length

    def render_prefix(self, prefix: Prefix) -> str:
        return f"{self.render_address(prefix[0])}/{prefix[1]}"

    def mask(self, length: int) -> int:
        return self.all << (self.bits - length) & self.all

    def last(self, prefix: Prefix) -> int:
        return prefix[0] | self.all >> prefix[1]

    def overlap(self, one: Prefix, other: Prefix) -> bool:
        return one[0] <= self.last(other) and other[0] <= self.last(one)

    def holds(self, prefix: Prefix, address: int) -> bool:
        return prefix[0] <= address <= self.last(prefix)


V4 = Family("IPv4", 2, 32, 7, 12, 16)
V6 = Family("IPv6", 10, 128, 8, 8, 24)


def family_of(text: str) -> Family:
    """The family of an address or prefix as it is written."""
    return V6 if ":" in text else V4
