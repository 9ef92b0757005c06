"""Compressed streams by their magic bytes: gzip, bzip2, xz, zstd or none, in bounded pieces."""

from __future__ import annotations

import sys

from runtime.errors import BadArchive, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol

    class Readable(Protocol):
        def read(self, size: int, /) -> bytes: ...

    class Decompressor(Protocol):
        @property
        def eof(self) -> bool: ...
        @property
        def unused_data(self) -> bytes: ...
        @property
        def needs_input(self) -> bool: ...
        def decompress(self, data: bytes, max_length: int) -> bytes: ...


PIECE = 1 << 20  # bytes per read and per decompressed piece; smaller ones cost more in handing over than caches give
_GENEROUS = 4 << 30  # a stream may always grow to this many bytes ...
_MAX_RATIO = 200  # ... and beyond it to this multiple of what was read
_ZSTD = b"\x28\xb5\x2f\xfd"


def chunks_of(file: Readable) -> Iterator[bytes]:
    """The file's bytes in pieces."""
    while data := file.read(PIECE):
        yield data


def decompress(chunks: Iterable[bytes], floor: int = _GENEROUS) -> Iterator[bytes]:
    """The stream's content, whatever its compression.

    Raises BadArchive on malformed data and on a bomb: more than ``floor`` bytes and 200 times the input.
    """
    iterator = iter(chunks)
    head = b""
    while len(head) < 6 and (more := next(iterator, b"")):
        head += more
    whole = _chain(head, iterator)
    if head.startswith(_ZSTD):
        return _zstd_stream(whole, floor)
    for magic, start in _FORMATS:
        if head.startswith(magic):
            return _inflate(whole, start, floor)
    return whole


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


class _Meter:
    """Counts what goes in and what comes out; refuses bombs."""

    def __init__(self, floor: int) -> None:
        self._floor = floor
        self._in = self._out = 0

    def read(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._in += len(chunk)
            yield chunk

    def made(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._out += len(chunk)
            if self._out > max(self._floor, _MAX_RATIO * self._in):
                message = f"cannot unpack archive: it grows to more than {_MAX_RATIO} times its size"
                raise BadArchive(message, "is it a bomb?")
            yield chunk


def _inflate(chunks: Iterator[bytes], start: Callable[[], Decompressor], floor: int) -> Iterator[bytes]:
    meter = _Meter(floor)
    return meter.made(_members(meter.read(chunks), start))


def _members(chunks: Iterator[bytes], start: Callable[[], Decompressor]) -> Iterator[bytes]:
    """Decompress one or more concatenated members."""
    unit = start()
    for chunk in chunks:
        data = chunk
        while data or not (unit.eof or unit.needs_input):
            if unit.eof:
                if not data.strip(b"\0"):  # padding after the last member
                    break
                unit = start()
            out, data = _step(unit, data), b""
            if out:
                yield out
            if unit.eof:
                data = unit.unused_data
    if not unit.eof:
        raise BadArchive("cannot unpack archive: its compressed data ends in the middle")


_ERRORS = (
    ("zlib", "error"),
    ("isal.igzip_lib", "error"),
    ("lzma", "LZMAError"),
    ("compression.zstd", "ZstdError"),
    ("backports.zstd", "ZstdError"),
)


def _damage() -> tuple[type[Exception], ...]:
    """What the decoders that are loaded raise on damaged data; a Python may have been built without some."""
    modules = [(sys.modules.get(module), name) for module, name in _ERRORS]
    return (OSError, ValueError, EOFError, *(getattr(module, name) for module, name in modules if module))


def _step(unit: Decompressor, data: bytes) -> bytes:
    try:
        return unit.decompress(data, PIECE)
    except _damage() as error:
        raise BadArchive(f"cannot unpack archive: its compressed data is damaged ({error})") from error


def _gzip() -> Decompressor:
    """isal's decoder, three times as fast as zlib's, where it is installed."""
    try:
        from isal import igzip_lib  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return _Gzip()
    unit: Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return unit


class _Gzip:
    """zlib's gzip decoder with the interface of bz2's, lzma's and isal's."""

    def __init__(self) -> None:
        import zlib

        self._unit: Any = zlib.decompressobj(31)
        self._full = False

    @property
    def eof(self) -> bool:
        return bool(self._unit.eof)

    @property
    def needs_input(self) -> bool:
        """False while zlib may hold output back: its last piece was a full one."""
        return not self._unit.unconsumed_tail and not self._full

    @property
    def unused_data(self) -> bytes:
        return bytes(self._unit.unused_data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = bytes(self._unit.decompress(self._unit.unconsumed_tail + data, max_length))
        self._full = len(out) == max_length
        return out


def _bzip2() -> Decompressor:
    try:
        import bz2
    except ImportError:
        raise _missing("bzip2") from None
    return bz2.BZ2Decompressor()


def _missing(name: str) -> Unsupported:
    hint = f"use a Python built with {name}, or recompress the archive with gzip"
    return Unsupported(
        f"cannot unpack archive: it is compressed with {name}, which this Python was built without", hint
    )


def _xz() -> Decompressor:
    try:
        import lzma
    except ImportError:
        raise _missing("xz") from None
    return lzma.LZMADecompressor(memlimit=512 << 20)


_FORMATS: tuple[tuple[bytes, Callable[[], Decompressor]], ...] = (
    (b"\x1f\x8b", _gzip),
    (b"BZh", _bzip2),
    (b"\xfd7zXZ\0", _xz),
)


def _zstd_stream(chunks: Iterator[bytes], floor: int) -> Iterator[bytes]:
    module = zstd_module()
    if module is not None:
        return _inflate(chunks, module.ZstdDecompressor, floor)
    from runtime.images.zstd_pipe import find_zstd, pipe_zstd

    program = find_zstd()
    if program is None:
        raise Unsupported(
            "cannot unpack archive: it is compressed with zstd, which Python has only from 3.14 on",
            "install the zstd program or the package backports.zstd, or recompress with gzip",
        )
    meter = _Meter(floor)
    return meter.made(pipe_zstd(program, meter.read(chunks)))


def zstd_module() -> Any:
    """The module of the standard library or its backport, or None."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # Python 3.14
    except ImportError:
        try:
            from backports import zstd  # type: ignore[import-not-found,import-untyped,no-redef,unused-ignore]
        except ImportError:
            return None
    return zstd
