"""Tar streams: entries in, entries out. Names are bytes, every length is bounded, nothing touches the disk.

Reads ustar, GNU (long names, base-256 numbers, sparse) and PAX (also sparse 0.1 and 1.0). The standard ``tarfile`` is
not used: it is several times slower and its extraction filters have been bypassed again and again.
"""

from __future__ import annotations

from runtime.errors import BadArchive
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, Protocol

    class Hash(Protocol):
        def update(self, data: Any, /) -> None: ...
        def hexdigest(self) -> str: ...


BLOCK = 512
FILE, HARDLINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_BODILESS = (HARDLINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO)
_IGNORED = b"VNg"  # volume label, old GNU long names table, PAX global header
_MAX_META = 1 << 20  # one PAX header or long name, bytes
_MAX_NAME, _MAX_COMPONENT, _MAX_DEPTH, _MAX_ENTRIES = 4096, 255, 256, 1_000_000
_MAX_XATTRS = 64 << 10  # bytes of one inode's extended attributes
_MAX_ID = (1 << 32) - 2
_MAX_SECONDS = (1 << 34) - 1  # what ext4 holds


@record
class Entry:
    """One member. ``size`` is that of the file made; ``sparse`` lists its (offset, length) runs of data, or is None."""

    name: bytes
    type: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: Mapping[str, bytes] | None = None
    sparse: tuple[tuple[int, int], ...] | None = None


class Source:
    """Exact reads over chunks of any size; every byte is counted and, with ``digest``, hashed."""

    def __init__(self, chunks: Iterable[bytes], digest: Hash | None = None) -> None:
        self._chunks = iter(chunks)
        self._digest = digest
        self._buffer = memoryview(b"")
        self.count = 0

    def _fill(self) -> bool:
        for chunk in self._chunks:
            if chunk:
                if self._digest is not None:
                    self._digest.update(chunk)
                self._buffer = memoryview(chunk)
                return True
        return False

    def piece(self, most: int) -> memoryview:
        """Between 1 and ``most`` bytes; empty only at the end."""
        if not self._buffer and not self._fill():
            return self._buffer
        out, self._buffer = self._buffer[:most], self._buffer[most:]
        self.count += len(out)
        return out

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes, or none at all at the end. Raises BadArchive when it ends in between."""
        first = self.piece(size)
        if len(first) == size or not first:
            return bytes(first)
        parts, left = [first], size - len(first)
        while left:
            part = self.piece(left)
            if not part:
                raise _truncated()
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        while size:
            part = self.piece(size)
            if not part:
                raise _truncated()
            size -= len(part)

    def drain(self) -> None:
        """Read what follows the end of the archive: it is part of the digest."""
        while self.piece(1 << 20):
            pass


class TarReader:
    """Iterates over the entries; :meth:`data` gives the current one's content."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._left = self._padding = 0
        self._runs: tuple[tuple[int, int], ...] | None = None
        self.entries = 0

    def __iter__(self) -> Iterator[Entry]:
        pax: dict[str, bytes] = {}
        while True:
            self._finish_entry()
            header = self.source.take(BLOCK)
            if not header or not header.strip(b"\0"):
                self.source.drain()
                return
            self._count()
            _check_sum(header)
            kind = header[156:157]
            if kind in (b"L", b"K"):
                pax["path" if kind == b"L" else "linkpath"] = self._meta(header).partition(b"\0")[0]
            elif kind == b"x":
                pax.update(_parse_pax(self._meta(header)))
            elif kind in _IGNORED:
                self._body(_number(header[124:136]))
            else:
                yield self._entry(header, kind, pax)
                pax = {}

    def data(self) -> Iterator[tuple[int, memoryview]]:
        """The current entry's content as (offset in the file, bytes)."""
        for offset, length in self._runs or ((0, self._left),):
            while length:
                part = self.source.piece(min(length, self._left))
                if not part:
                    raise _truncated()
                self._left -= len(part)
                length -= len(part)
                yield offset, part
                offset += len(part)

    def _count(self) -> None:
        self.entries += 1
        if self.entries > _MAX_ENTRIES:
            raise BadArchive(f"cannot unpack archive: it has more than {_MAX_ENTRIES} entries")

    def _body(self, size: int) -> None:
        self._left, self._padding = size, -size % BLOCK

    def _finish_entry(self) -> None:
        self.source.skip(self._left + self._padding)
        self._left = self._padding = 0
        self._runs = None

    def _meta(self, header: bytes) -> bytes:
        size = _number(header[124:136])
        if not 0 <= size <= _MAX_META:
            raise BadArchive(f"cannot unpack archive: a header of {size} bytes is over the limit of {_MAX_META}")
        data = self.source.take(size) if size else b""
        if len(data) != size:
            raise _truncated()
        self.source.skip(-size % BLOCK)
        return data

    def _entry(self, header: bytes, kind: bytes, pax: dict[str, bytes]) -> Entry:
        name = pax.get("path") or _plain_name(header)
        size = _pax_number(pax, "size", header[124:136])
        if kind in (b"\0", b"7", FILE):
            kind = DIRECTORY if name.endswith(b"/") and kind == b"\0" else FILE
        self._body(0 if kind in _BODILESS else size)
        if kind == b"S":
            kind, size = FILE, self._old_gnu_sparse(header)
        elif kind not in _BODILESS and kind != FILE:
            raise BadArchive(f"cannot unpack {_show(name)}: unknown entry type {kind!r}")
        elif kind == FILE and any(key.startswith("GNU.sparse.") for key in pax):
            name, size = self._pax_sparse(pax, name)
        _check_name(name)
        return Entry(
            name=name,
            type=kind,
            mode=_number(header[100:108]) & 0o7777,
            uid=_ident(_pax_number(pax, "uid", header[108:116]), name),
            gid=_ident(_pax_number(pax, "gid", header[116:124]), name),
            size=size if kind == FILE else 0,
            mtime_ns=_time(pax.get("mtime"), header[136:148]),
            link=_check_link(name, pax.get("linkpath") or header[157:257].partition(b"\0")[0], kind),
            major=_number(header[329:337]) if kind in (CHAR, BLOCKDEV) else 0,
            minor=_number(header[337:345]) if kind in (CHAR, BLOCKDEV) else 0,
            xattrs=_xattrs(pax),
            sparse=self._runs,
        )

    def _old_gnu_sparse(self, header: bytes) -> int:
        """GNU type S: four (offset, length) pairs in the header, 21 more in each block that follows."""
        pairs, more, at = _pairs(header[386:482], 4), header[482] != 0, len(header)
        real = _number(header[483:495])
        while more:
            self._count()
            block = self.source.take(BLOCK)
            if len(block) != at:
                raise _truncated()
            pairs += _pairs(block[:504], 21)
            more = block[504] != 0
        self._set_runs(pairs, real)
        return real

    def _pax_sparse(self, pax: dict[str, bytes], name: bytes) -> tuple[bytes, int]:
        """PAX sparse: 1.0 has its map in front of the data, 0.1 in one record; 0.0 repeats keys and is refused."""
        name = pax.get("GNU.sparse.name", name)
        real = _decimal(pax.get("GNU.sparse.realsize", pax.get("GNU.sparse.size", b"")))
        if pax.get("GNU.sparse.major") == b"1" and pax.get("GNU.sparse.minor") == b"0":
            numbers = self._read_map()
        elif "GNU.sparse.map" in pax:
            numbers = [_decimal(number) for number in pax["GNU.sparse.map"].split(b",")]
        else:
            raise BadArchive(f"cannot unpack {_show(name)}: this form of sparse file is not supported")
        if len(numbers) % 2:
            raise BadArchive(f"cannot unpack {_show(name)}: its sparse map is malformed")
        self._set_runs(list(zip(numbers[::2], numbers[1::2])), real)
        return name, real

    def _read_map(self) -> list[int]:
        text, wanted = b"", -1
        while wanted < 0 or text.count(b"\n") < wanted:
            if self._left < BLOCK or len(text) > _MAX_META:
                raise BadArchive("cannot unpack archive: a sparse map is malformed")
            text += self.source.take(BLOCK)
            self._left -= BLOCK
            if wanted < 0 and b"\n" in text:
                wanted = 1 + 2 * _decimal(text.partition(b"\n")[0])
        return [_decimal(number) for number in text.split(b"\n")[1:wanted]]

    def _set_runs(self, pairs: list[tuple[int, int]], real: int) -> None:
        end = total = 0
        for offset, length in pairs:
            if offset < end or length < 0:
                raise BadArchive("cannot unpack archive: a sparse map is out of order")
            end, total = offset + length, total + length
        if end > real or total != self._left:
            raise BadArchive("cannot unpack archive: a sparse map does not fit its file")
        self._runs = tuple(pairs)


def _pairs(block: bytes, count: int) -> list[tuple[int, int]]:
    fields = [(block[at : at + 12], block[at + 12 : at + 24]) for at in range(0, count * 24, 24)]
    return [(_number(offset), _number(length)) for offset, length in fields if offset.strip(b"\0")]


def _truncated() -> BadArchive:
    return BadArchive("cannot unpack archive: it ends in the middle", "the file may have been cut off; copy it again")


def _show(name: bytes) -> str:
    return repr(name[:200].decode("utf-8", "backslashreplace"))


def _check_sum(header: bytes) -> None:
    stored = _number(header[148:156])
    rest = header[:148] + b"        " + header[156:]
    if sum(rest) != stored and sum(byte - 256 if byte > 127 else byte for byte in rest) != stored:
        raise BadArchive("cannot unpack archive: a header's checksum is wrong", "is this a tar archive?")


def _number(field: bytes) -> int:
    """A numeric field: octal digits, or base-256 when its first bit is set. Negative numbers are refused."""
    if field[0] & 0x80:
        if field[0] & 0x40:
            raise BadArchive("cannot unpack archive: a header holds a negative number")
        return int.from_bytes(bytes((field[0] & 0x3F,)) + field[1:], "big")
    text = field.strip(b" \0")
    if not text:
        return 0
    if text.strip(b"01234567"):
        raise BadArchive(f"cannot unpack archive: {text!r} is not an octal number")
    return int(text, 8)


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise BadArchive(f"cannot unpack archive: {text[:32]!r} is not a number")
    return int(text)


def _pax_number(pax: dict[str, bytes], key: str, field: bytes) -> int:
    return _decimal(pax[key]) if key in pax else _number(field)


def _ident(value: int, name: bytes) -> int:
    if value > _MAX_ID:
        raise BadArchive(f"cannot unpack {_show(name)}: {value} is not a user or group id")
    return value


def _time(pax: bytes | None, field: bytes) -> int:
    """Modification time in nanoseconds, clamped to what file systems hold."""
    if pax is None:
        # a base-256 time may be negative: before 1970 becomes 1970
        return 0 if field[0] & 0xC0 == 0xC0 else min(_number(field), _MAX_SECONDS) * 1_000_000_000
    whole, _, fraction = pax.partition(b".")
    if whole.startswith(b"-"):
        return 0
    return min(_decimal(whole), _MAX_SECONDS) * 1_000_000_000 + _decimal(fraction[:9].ljust(9, b"0"))


def _plain_name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].partition(b"\0")[0]
        if prefix:
            return prefix + b"/" + name
    return name


def _check_name(name: bytes) -> None:
    if not name or b"\0" in name:
        raise BadArchive(f"cannot unpack {_show(name)}: not a file name")
    parts = name.split(b"/")
    if len(name) > _MAX_NAME or len(parts) > _MAX_DEPTH or any(len(part) > _MAX_COMPONENT for part in parts):
        raise BadArchive(f"cannot unpack {_show(name)}: the name is too long")


def _check_link(name: bytes, link: bytes, kind: bytes) -> bytes:
    if kind not in (HARDLINK, SYMLINK):
        return b""
    if not link or b"\0" in link or len(link) > _MAX_NAME:
        raise BadArchive(f"cannot unpack {_show(name)}: its link has no usable target")
    return link


def _parse_pax(data: bytes) -> dict[str, bytes]:
    """Records ``LENGTH KEY=VALUE\\n``; the length counts itself."""
    records: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        blank = data.find(b" ", at, at + 12)
        length = _decimal(data[at:blank]) if blank > 0 else 0
        body = data[blank + 1 : at + length]
        key, equals, value = body[:-1].partition(b"=")
        if length < 5 or at + length > len(data) or body[-1:] != b"\n" or not equals:
            raise BadArchive("cannot unpack archive: a PAX header is malformed")
        records[key.decode("utf-8", "surrogateescape")] = value
        at += length
    return {key: value for key, value in records.items() if value}


def _xattrs(pax: dict[str, bytes]) -> dict[str, bytes] | None:
    found: dict[str, bytes] = {}
    for key, value in pax.items():
        if key.startswith("SCHILY.xattr."):
            found[key[13:]] = value
        elif key.startswith("LIBARCHIVE.xattr."):
            from base64 import b64decode
            from urllib.parse import unquote

            found[unquote(key[17:])] = b64decode(value + b"=" * (-len(value) % 4))
    if sum(len(key) + len(value) for key, value in found.items()) > _MAX_XATTRS:
        raise BadArchive(f"cannot unpack archive: extended attributes of more than {_MAX_XATTRS} bytes")
    return found or None


def encode_entry(entry: Entry) -> bytes:
    """The header blocks of an entry: ustar, with a PAX header before it where ustar has no room."""
    pax: dict[str, bytes] = {}
    name = _fit(pax, "path", entry.name, 100)
    link = _fit(pax, "linkpath", entry.link, 100)
    size, uid, gid = (
        _fit_number(pax, key, value, digits)
        for key, value, digits in (("size", entry.size, 11), ("uid", entry.uid, 7), ("gid", entry.gid, 7))
    )
    seconds, fraction = divmod(max(entry.mtime_ns, 0), 1_000_000_000)
    if fraction:
        pax["mtime"] = b"%d.%09d" % (seconds, fraction)
    for key, value in (entry.xattrs or {}).items():
        pax[f"SCHILY.xattr.{key}"] = value
    seconds = min(seconds, 8**11 - 1)
    device = (entry.major & 0o7777777, entry.minor & 0o7777777)
    header = _header(name, entry.type, (entry.mode, uid, gid, size, seconds), link, device)
    if not pax:
        return header
    body = b"".join(_pax_record(key, value) for key, value in sorted(pax.items()))
    extra = _header(b"././@PaxHeader", b"x", (0o644, 0, 0, len(body), 0), b"", (0, 0))
    return extra + body + bytes(-len(body) % BLOCK) + header


def _fit(pax: dict[str, bytes], key: str, value: bytes, room: int) -> bytes:
    if len(value) > room or not value.isascii():
        pax[key] = value
    return value[:room]


def _fit_number(pax: dict[str, bytes], key: str, value: int, digits: int) -> int:
    if value < 8**digits:
        return value
    pax[key] = b"%d" % value
    return 0


def _header(
    name: bytes, kind: bytes, numbers: tuple[int, int, int, int, int], link: bytes, device: tuple[int, int]
) -> bytes:
    """One block; ``numbers``: mode, uid, gid, size, mtime."""
    fields = name.ljust(100, b"\0") + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % numbers
    tail = kind + link.ljust(100, b"\0") + b"ustar\00000" + bytes(64) + b"%07o\0%07o\0" % device
    block = (fields + b"        " + tail).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _pax_record(key: str, value: bytes) -> bytes:
    body = b" " + key.encode("utf-8", "surrogateescape") + b"=" + value + b"\n"
    length = len(body) + 1
    while len(b"%d" % length) + len(body) != length:
        length = len(b"%d" % length) + len(body)
    return b"%d" % length + body


END = bytes(2 * BLOCK)
