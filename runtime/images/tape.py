"""A layer's tar stream, kept as what its files do not say: headers and padding, with places for the contents.

``push`` and ``save`` must give out exactly the bytes that a layer is named after (its diff id), and ``image verify``
hashes them. Keeping the archive beside its files would take the disk twice. Format: docs/formats/image-store.md.
"""

from __future__ import annotations

import os
import struct
import zlib

from runtime.errors import RuntimeFault
from runtime.images.replaced import Places, Replaced
from runtime.tree import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

NAME = "tar.tape"
_MAGIC = b"pycompose-tape-1\n"
_NOTED = b"pycompose-tape-2\n"  # the same, and some contents were replaced: see replaced.py
_RAW, _FILE = b"R", b"F"
_FLUSH = 1 << 16
_PIECE = 1 << 18
_MAX_RECORD = 64 << 20


class Tape:
    """Writes a tape while a stream is unpacked. Raw bytes come in any pieces; contents follow :meth:`file`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = open(path, "wb", buffering=0)
        self._file.write(_MAGIC)
        self._pack: Any = _compressor()
        self._records = bytearray()  # not yet compressed
        self._raw: list[bytes] = []
        self._raw_size = 0
        self._at = b""
        self._offset = self._length = 0
        self._contents = 0
        self._replaced = Replaced(os.path.dirname(path))

    def raw(self, data: bytes) -> None:
        if self._length:
            self._end_content()
        self._raw.append(data)
        self._raw_size += len(data)
        if self._raw_size >= _FLUSH:
            self._end_raw()

    def file(self, at: tuple[bytes, ...]) -> None:
        """The content that follows is that of the file at this place."""
        if self._length:
            self._end_content()
        self._at = b"/".join(at)

    def content(self, offset: int, length: int) -> None:
        if self._raw:
            self._end_raw()
        if self._length and offset == self._offset + self._length:
            self._length += length
            return
        if self._length:
            self._end_content()
        self._offset, self._length = offset, length

    def replace(self, fd: int, at: tuple[bytes, ...]) -> None:
        """What lies at this place, in the directory ``fd``, gives way to a later entry: take it out of the layer."""
        if self._length:
            self._end_content()
        self._replaced.take(fd, at, self._contents)

    def _end_raw(self) -> None:
        data = b"".join(self._raw)
        self._write(_RAW + struct.pack(">I", len(data)) + data)
        self._raw.clear()
        self._raw_size = 0

    def _end_content(self) -> None:
        self._write(_FILE + struct.pack(">HQQ", len(self._at), self._offset, self._length) + self._at)
        self._length = 0
        self._contents += 1

    def _write(self, data: bytes) -> None:
        self._records += data
        if len(self._records) >= _FLUSH:
            write_all(self._file.fileno(), self._pack.compress(self._records))
            self._records.clear()

    def close(self) -> None:
        """Finish the file; there is none when more was replaced than can be noted."""
        if self._length:
            self._end_content()
        if self._raw:
            self._end_raw()
        write_all(self._file.fileno(), self._pack.compress(self._records) + self._pack.flush())
        if self._replaced.count:
            os.pwrite(self._file.fileno(), _NOTED, 0)
        self._file.close()
        self._replaced.close(drop=self._replaced.full)
        if self._replaced.full:
            os.unlink(self._path)


def _compressor() -> Any:
    try:
        from isal import isal_zlib  # type: ignore[import-not-found,import-untyped,unused-ignore]

        return isal_zlib.compressobj(1)
    except ImportError:
        return zlib.compressobj(1)


def length(place: str) -> int:
    """How many bytes :func:`play` gives, without reading any file's content."""
    records, total = _Records(f"{place}/{NAME}"), 0
    try:
        while kind := records.take(1):
            if kind == _RAW:
                (size,) = struct.unpack(">I", records.exactly(4))
                records.exactly(size)
                total += size
            else:
                name, _offset, size = struct.unpack(">HQQ", records.exactly(18))
                records.exactly(name)
                total += size
    finally:
        records.close()
    return int(total)


def play(place: str) -> Iterator[bytes]:
    """The stream again, from the directory of a layer (``diff/``, the tape, and what was replaced).

    Raises RuntimeFault when the layer has no tape, or when it or a file is damaged.
    """
    records = _Records(f"{place}/{NAME}")
    try:
        places = Places(place, records.noted)
        while kind := records.take(1):
            if kind == _RAW:
                (length,) = struct.unpack(">I", records.exactly(4))
                yield records.exactly(length)
            elif kind == _FILE:
                size, offset, length = struct.unpack(">HQQ", records.exactly(18))
                yield from _content(places.next(records.exactly(size)), offset, length)
            else:
                raise RuntimeFault(f"cannot read {place}/{NAME}: it is damaged")
    finally:
        records.close()


def _content(path: bytes, offset: int, length: int) -> Iterator[bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        while length:
            data = os.pread(fd, min(_PIECE, length), offset)
            if not data:
                raise RuntimeFault(f"cannot read {os.fsdecode(path)}: it is shorter than it was")
            yield data
            offset += len(data)
            length -= len(data)
    finally:
        os.close(fd)


class _Records:
    """Exact reads from the compressed file."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._file = open(path, "rb", buffering=0)
        except FileNotFoundError:
            hint = "pull or load the image again"
            raise RuntimeFault(f"cannot make layer {path.split('/')[-2][:12]} an archive again", hint) from None
        self._unpack = zlib.decompressobj()
        self._buffer = bytearray()
        magic = self._file.read(len(_MAGIC))
        self.noted = magic == _NOTED
        if magic not in (_MAGIC, _NOTED):
            raise self._damaged()

    def take(self, size: int) -> bytes:
        """``size`` bytes; fewer at the end."""
        while len(self._buffer) < size and (data := self._file.read(_PIECE)):
            try:
                self._buffer += self._unpack.decompress(data)
            except zlib.error:
                raise self._damaged() from None
        out = bytes(self._buffer[:size])
        del self._buffer[:size]
        return out

    def exactly(self, size: int) -> bytes:
        if size > _MAX_RECORD:
            raise self._damaged()
        data = self.take(size)
        if len(data) != size:
            raise self._damaged()
        return data

    def _damaged(self) -> RuntimeFault:
        return RuntimeFault(f"cannot read {self._path}: it is damaged", "remove the image, and pull or load it again")

    def close(self) -> None:
        self._file.close()
