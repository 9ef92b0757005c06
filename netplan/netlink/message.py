"""Netlink messages as bytes, and back (netlink(7)). Pure: nothing here talks to the kernel.

A message is ``(type, flags, body, tolerated)``: ``tolerated`` are error numbers that count as success, because the
message asks for a state that may hold already. The socket adds length, sequence number and port.
"""

from __future__ import annotations

import sys
from struct import Struct, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    Message = tuple[int, int, bytes, tuple[int, ...]]

REQUEST, MULTI, ACK, ECHO = 0x1, 0x2, 0x4, 0x8
DUMP, DUMP_INTR = 0x300, 0x10
REPLACE, EXCL, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800
ERROR, DONE = 2, 3
NESTED = 0x8000
TYPE_MASK = 0x3FFF

HEADER = Struct("=IHHII")  # length, type, flags, sequence, port
_ATTR = Struct("=HH")


def attr(kind: int, data: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    size = len(data) + 4
    return _ATTR.pack(size, kind) + data + b"\0" * (-size & 3)


def nest(kind: int, *parts: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attr(kind | NESTED, b"".join(parts))


def text(kind: int, value: str) -> bytes:
    """A NUL-terminated string attribute."""
    return attr(kind, value.encode() + b"\0")


def u8(kind: int, value: int) -> bytes:
    return attr(kind, pack("=B", value))


def u32(kind: int, value: int) -> bytes:
    """A number in host order, as rtnetlink has them."""
    return attr(kind, pack("=I", value))


def be32(kind: int, value: int) -> bytes:
    """A number in network order, as nf_tables has them."""
    return attr(kind, pack(">I", value & 0xFFFFFFFF))


def message(kind: int, flags: int, *parts: bytes, tolerate: tuple[int, ...] = ()) -> Message:
    return kind, flags | REQUEST, b"".join(parts), tolerate


def frame(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """The message as it is sent. Bodies are multiples of four bytes already."""
    return HEADER.pack(16 + len(body), kind, flags, sequence, 0) + body


def messages(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Take a datagram apart: ``(type, flags, sequence, body)`` of each message in it."""
    found, at = [], 0
    while at + 16 <= len(data):
        size, kind, flags, sequence, _port = HEADER.unpack_from(data, at)
        if size < 16:
            break
        found.append((kind, flags, sequence, data[at + 16 : at + size]))
        at += (size + 3) & ~3
    return found


def attributes(data: bytes, at: int = 0) -> dict[int, bytes]:
    """The attributes from offset ``at`` on, by type without the flag bits. The last of equals wins."""
    found: dict[int, bytes] = {}
    while at + 4 <= len(data):
        size, kind = _ATTR.unpack_from(data, at)
        if size < 4:
            break
        found[kind & TYPE_MASK] = data[at + 4 : at + size]
        at += (size + 3) & ~3
    return found


def string(data: bytes | None) -> str:
    """A string attribute without its NUL; empty if the attribute is missing."""
    return data.rstrip(b"\0").decode(errors="replace") if data else ""


def number(data: bytes | None, default: int = 0) -> int:
    """A host-order number attribute of any width."""
    return int.from_bytes(data, sys.byteorder) if data else default
