"""The fields of tar headers: numbers, times, names, PAX records; all lengths and values bounded."""

from __future__ import annotations

import functools
from zlib import adler32

from runtime.errors import BadArchive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_NAME, _MAX_COMPONENT, _MAX_DEPTH = 4096, 255, 256
_MAX_XATTRS = 64 << 10  # bytes of one inode's extended attributes
_MAX_ID = (1 << 32) - 2
_MAX_NUMBER = (1 << 63) - 1  # what the kernel takes as a size
_BLANK = 8 * ord(" ")  # the sum of the checksum's field, which counts as blanks
_MAX_SECONDS = (1 << 34) - 1  # what ext4 holds


def sparse_pairs(block: bytes, count: int) -> list[tuple[int, int]]:
    fields = [(block[at : at + 12], block[at + 12 : at + 24]) for at in range(0, count * 24, 24)]
    return [(number(offset), number(length)) for offset, length in fields if offset.strip(b"\0")]


def truncated() -> BadArchive:
    return BadArchive("cannot unpack archive: it ends in the middle", "the file may have been cut off; copy it again")


def show(name: bytes) -> str:
    return repr(name[:200].decode("utf-8", "backslashreplace"))


def has_checksum(header: bytes) -> bool:
    """Whether a header's checksum is right, over unsigned bytes or, as some old programs wrote it, signed ones."""
    field = header[148:156]
    text = field.strip(b" \0")
    if not text or text.strip(b"01234567"):
        return False
    stored = int(text, 8)
    total = adler32(header) & 0xFFFF  # 1 and the sum of the bytes, modulo 65521, and it is quick
    if (total - 1 - sum(field) + _BLANK - stored) % 65521 == 0:
        return True
    rest = header[:148] + b"        " + header[156:]
    return stored == sum(rest) or stored == sum(byte - 256 if byte > 127 else byte for byte in rest)


def number(field: bytes) -> int:
    """A numeric field: octal digits, or base-256 when its first bit is set. Negative numbers are refused."""
    if field[0] & 0x80:
        if field[0] & 0x40:
            raise BadArchive("cannot unpack archive: a header holds a negative number")
        return _bounded(int.from_bytes(bytes((field[0] & 0x3F,)) + field[1:], "big"))
    text = field.strip(b" \0")
    if text.isdigit():  # int() itself takes more: signs, blanks, underscores
        try:
            return int(text, 8)
        except ValueError:
            pass
    if text:
        raise BadArchive(f"cannot unpack archive: {show(text)} is not an octal number")
    return 0


small_number = functools.lru_cache(1024)(number)  # modes and owners, which come again and again


def decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise BadArchive(f"cannot unpack archive: {show(text[:32])} is not a number")
    return _bounded(int(text))


def _bounded(value: int) -> int:
    if value > _MAX_NUMBER:
        raise BadArchive(f"cannot unpack archive: {value} is more than any file system holds")
    return value


def device(major: int, minor: int, name: bytes) -> tuple[int, int]:
    """The numbers of a device node. Raises BadArchive when Linux has no such device (12 and 20 bits)."""
    if major > 0xFFF or minor > 0xFFFFF:
        raise BadArchive(f"cannot unpack {show(name)}: {major}:{minor} is not a device")
    return major, minor


def pax_number(pax: dict[str, bytes], key: str, field: bytes, read: Callable[[bytes], int] = number) -> int:
    return decimal(pax[key]) if key in pax else read(field)


def ident(value: int, name: bytes) -> int:
    if value > _MAX_ID:
        raise BadArchive(f"cannot unpack {show(name)}: {value} is not a user or group id")
    return value


def mtime_ns(pax: bytes | None, field: bytes) -> int:
    """Modification time in nanoseconds, clamped to what file systems hold."""
    if pax is None:
        # a base-256 time may be negative: before 1970 becomes 1970
        return 0 if field[0] & 0xC0 == 0xC0 else min(number(field), _MAX_SECONDS) * 1_000_000_000
    whole, _, fraction = pax.partition(b".")
    if whole.startswith(b"-"):
        return 0
    return min(decimal(whole), _MAX_SECONDS) * 1_000_000_000 + decimal(fraction[:9].ljust(9, b"0"))


def plain_name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].partition(b"\0")[0]
        if prefix:
            return prefix + b"/" + name
    return name


def check_name(name: bytes) -> None:
    if not name or b"\0" in name:
        raise BadArchive(f"cannot unpack {show(name)}: not a file name")
    if len(name) <= _MAX_COMPONENT:  # nearly all: nothing in it can be too long or too deep
        return
    parts = name.split(b"/")
    if len(name) > _MAX_NAME or len(parts) > _MAX_DEPTH or any(len(part) > _MAX_COMPONENT for part in parts):
        raise BadArchive(f"cannot unpack {show(name)}: the name is too long")


def check_link(name: bytes, link: bytes, kind: bytes) -> bytes:
    if kind not in (b"1", b"2"):
        return b""
    if not link or b"\0" in link or len(link) > _MAX_NAME:
        raise BadArchive(f"cannot unpack {show(name)}: its link has no usable target")
    return link


def parse_pax(data: bytes) -> dict[str, bytes]:
    """Records ``LENGTH KEY=VALUE\\n``; the length counts itself."""
    records: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        blank = data.find(b" ", at, at + 12)
        length = decimal(data[at:blank]) if blank > 0 else 0
        body = data[blank + 1 : at + length]
        key, equals, value = body[:-1].partition(b"=")
        if length < 5 or at + length > len(data) or body[-1:] != b"\n" or not equals:
            raise BadArchive("cannot unpack archive: a PAX header is malformed")
        records[key.decode("utf-8", "surrogateescape")] = value
        at += length
    return records if all(records.values()) else {key: value for key, value in records.items() if value}


def xattrs_of(pax: dict[str, bytes]) -> dict[str, bytes] | None:
    found: dict[str, bytes] = {}
    for key, value in pax.items():
        if key.startswith("SCHILY.xattr."):
            found[key[13:]] = value
        elif key.startswith("LIBARCHIVE.xattr."):
            from base64 import b64decode
            from urllib.parse import unquote

            try:
                found[unquote(key[17:])] = b64decode(value + b"=" * (-len(value) % 4))
            except ValueError:
                raise BadArchive(f"cannot unpack archive: extended attribute {key[17:]!r} is not base64") from None
    if sum(len(key) + len(value) for key, value in found.items()) > _MAX_XATTRS:
        raise BadArchive(f"cannot unpack archive: extended attributes of more than {_MAX_XATTRS} bytes")
    return found or None
