"""Tar streams, read entry by entry. Names are bytes, every length is bounded, nothing touches the disk.

Reads ustar, GNU (long names, base-256 numbers, sparse) and PAX (also sparse 0.1 and 1.0). The standard ``tarfile`` is
not used: it is several times slower and its extraction filters have been bypassed again and again.
"""

from __future__ import annotations

from runtime.errors import BadArchive
from runtime.images.tar_fields import (
    check_link,
    check_name,
    decimal,
    device,
    has_checksum,
    ident,
    mtime_ns,
    number,
    parse_pax,
    pax_number,
    plain_name,
    show,
    small_number,
    sparse_pairs,
    truncated,
    xattrs_of,
)
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, Protocol

    from runtime.images.tape import Tape

    class Hash(Protocol):
        def update(self, data: Any, /) -> None: ...
        def hexdigest(self) -> str: ...


BLOCK = 512
FILE, HARDLINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_BODILESS = (HARDLINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO)
_IGNORED = b"VNg"  # volume label, old GNU long names table, PAX global header
_END = bytes(BLOCK)
_PLAIN_KEYS = frozenset(("path", "linkpath", "size", "uid", "gid", "uname", "gname", "mtime", "atime", "ctime"))
_MAX_META = 1 << 20  # one PAX header or long name, bytes
_MAX_ENTRIES = 1_000_000


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
    """Exact reads over chunks of any size; every byte is counted and, with ``digest``, hashed.

    ``tape`` keeps all that is not content of files, so that the stream can be made again (tape.py). It gets what lies
    between two contents in one piece: three headers and the padding of a small file cost more apart than together.
    """

    def __init__(self, chunks: Iterable[bytes], digest: Hash | None = None, tape: Tape | None = None) -> None:
        self._chunks = iter(chunks)
        self._digest = digest
        self.tape = tape
        self._chunk = b""
        self._view = memoryview(b"")
        self._at = self._end = 0  # what has been read of the chunk, and its length
        self._kept = 0  # up to where the tape has it
        self._before = 0  # bytes of the chunks before

    @property
    def count(self) -> int:
        """How many bytes have been read."""
        return self._before + self._at

    def _fill(self) -> bool:
        """The next chunk, when this one has been read to its end."""
        self._keep()
        for chunk in self._chunks:
            if chunk:
                if self._digest is not None:
                    self._digest.update(chunk)
                self._before += self._end
                self._chunk, self._view = chunk, memoryview(chunk)
                self._at, self._end, self._kept = 0, len(chunk), 0
                return True
        return False

    def _keep(self) -> None:
        """Let the tape have what was read since the last content."""
        if self.tape is not None and self._kept < self._at:
            self.tape.raw(self._chunk[self._kept : self._at])
        self._kept = self._at

    def content(self, most: int, offset: int) -> memoryview:
        """Between 1 and ``most`` bytes of a file, from ``offset`` in it. Raises BadArchive at the end."""
        if self._at == self._end and not self._fill():
            raise truncated()
        self._keep()
        out = self._view[self._at : self._at + most]
        self._at = self._kept = self._at + len(out)
        if self.tape is not None:
            self.tape.content(offset, len(out))
        return out

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes, or none at all at the end. Raises BadArchive when it ends in between."""
        at, end = self._at, self._at + size
        if end <= self._end:
            self._at = end
            return self._chunk[at:end]
        parts: list[bytes] = []
        while size:
            if self._at == self._end and not self._fill():
                if parts:
                    raise truncated()
                return b""
            part = self._chunk[self._at : self._at + size]
            parts.append(part)
            self._at += len(part)
            size -= len(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Raises BadArchive when it ends before."""
        while size > self._end - self._at:
            size -= self._end - self._at
            self._at = self._end
            if not self._fill():
                raise truncated()
        self._at += size

    def drain(self) -> None:
        """Read what follows the end of the archive: it is part of the digest."""
        self._at = self._end
        while self._fill():
            self._at = self._end


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
            if not header or header == _END:
                self.source.drain()
                return
            self._count()
            if not has_checksum(header):
                raise BadArchive(
                    "cannot unpack archive: it is no tar archive"
                    if self.entries == 1
                    else "cannot unpack archive: a header's checksum is wrong"
                )
            kind = header[156:157]
            if kind in (b"L", b"K"):
                pax["path" if kind == b"L" else "linkpath"] = self._meta(header).partition(b"\0")[0]
            elif kind == b"x":
                pax = {key: value for key, value in pax.items() if key in ("path", "linkpath")}
                pax.update(parse_pax(self._meta(header)))
            elif kind in _IGNORED:
                self._body(number(header[124:136]))
            else:
                yield self._entry(header, kind, pax)
                pax = {}

    def data(self) -> Iterator[tuple[int, memoryview]]:
        """The current entry's content as (offset in the file, bytes)."""
        for offset, length in self._runs or ((0, self._left),):
            while length:
                part = self.source.content(min(length, self._left), offset)
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
        size = number(header[124:136])
        if not 0 <= size <= _MAX_META:
            raise BadArchive(f"cannot unpack archive: a header of {size} bytes is over the limit of {_MAX_META}")
        data = self.source.take(size) if size else b""
        if len(data) != size:
            raise truncated()
        self.source.skip(-size % BLOCK)
        return data

    def _entry(self, header: bytes, kind: bytes, pax: dict[str, bytes]) -> Entry:
        name = pax.get("path") or plain_name(header)
        size = pax_number(pax, "size", header[124:136])
        special = pax and not pax.keys() <= _PLAIN_KEYS  # of a sparse file, or with extended attributes
        if kind in (b"\0", b"7", FILE):
            kind = DIRECTORY if name.endswith(b"/") and kind == b"\0" else FILE
        self._body(0 if kind in _BODILESS else size)
        if kind == b"S":
            kind, size = FILE, self._old_gnu_sparse(header)
        elif kind not in _BODILESS and kind != FILE:
            raise BadArchive(f"cannot unpack {show(name)}: unknown entry type {kind!r}")
        elif kind == FILE and special and any(key.startswith("GNU.sparse.") for key in pax):
            name, size = self._pax_sparse(pax, name)
        check_name(name)
        major = minor = 0
        if kind in (CHAR, BLOCKDEV):
            major, minor = device(number(header[329:337]), number(header[337:345]), name)
        return Entry(
            name,
            kind,
            small_number(header[100:108]) & 0o7777,
            ident(pax_number(pax, "uid", header[108:116], small_number), name),
            ident(pax_number(pax, "gid", header[116:124], small_number), name),
            size if kind == FILE else 0,
            mtime_ns(pax.get("mtime"), header[136:148]),
            check_link(name, pax.get("linkpath") or header[157:257].partition(b"\0")[0], kind),
            major,
            minor,
            xattrs_of(pax) if special else None,
            self._runs,
        )

    def _old_gnu_sparse(self, header: bytes) -> int:
        """GNU type S: four (offset, length) pairs in the header, 21 more in each block that follows."""
        pairs, more, at = sparse_pairs(header[386:482], 4), header[482] != 0, len(header)
        real = number(header[483:495])
        while more:
            self._count()
            block = self.source.take(BLOCK)
            if len(block) != at:
                raise truncated()
            pairs += sparse_pairs(block[:504], 21)
            more = block[504] != 0
        self._set_runs(pairs, real)
        return real

    def _pax_sparse(self, pax: dict[str, bytes], name: bytes) -> tuple[bytes, int]:
        """PAX sparse: 1.0 has its map in front of the data, 0.1 in one record; 0.0 repeats keys and is refused."""
        name = pax.get("GNU.sparse.name", name)
        real = decimal(pax.get("GNU.sparse.realsize", pax.get("GNU.sparse.size", b"")))
        if pax.get("GNU.sparse.major") == b"1" and pax.get("GNU.sparse.minor") == b"0":
            numbers = self._read_map()
        elif "GNU.sparse.map" in pax:
            numbers = [decimal(text) for text in pax["GNU.sparse.map"].split(b",")]
        else:
            raise BadArchive(f"cannot unpack {show(name)}: this form of sparse file is not supported")
        if len(numbers) % 2:
            raise BadArchive(f"cannot unpack {show(name)}: its sparse map is malformed")
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
                wanted = 1 + 2 * decimal(text.partition(b"\n")[0])
        return [decimal(text) for text in text.split(b"\n")[1:wanted]]

    def _set_runs(self, pairs: list[tuple[int, int]], real: int) -> None:
        end = total = 0
        for offset, length in pairs:
            if offset < end or length < 0:
                raise BadArchive("cannot unpack archive: a sparse map is out of order")
            end, total = offset + length, total + length
        if end > real or total != self._left:
            raise BadArchive("cannot unpack archive: a sparse map does not fit its file")
        self._runs = tuple(pairs)
