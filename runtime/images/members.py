"""The members of an image archive by name: of a tar file, or of a directory with the same files."""

from __future__ import annotations

import os
import stat

from runtime.errors import BadArchive
from runtime.images.compression import PIECE, chunks_of, decompress
from runtime.images.tar import FILE, HARDLINK, SYMLINK, Source, TarReader
from runtime.tree import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, open_directory, openat2, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from runtime.images.compression import Readable

_MAX_LINKS = 8


class Blob:
    """A run of bytes of an open file; with a digest, checked by reading it to its end."""

    def __init__(self, fd: int, offset: int, size: int, digest: str = "") -> None:
        self._fd = fd
        self._offset = offset
        self.size = size
        self._digest = digest

    def expecting(self, digest: str, size: int) -> Blob:
        """The same bytes, to be checked. Raises BadArchive at once on another size."""
        if size != self.size:
            raise BadArchive(f"cannot load archive: blob {digest} has {self.size} bytes, not {size}")
        return Blob(self._fd, self._offset, self.size, digest)

    def chunks(self) -> Iterator[bytes]:
        """The bytes in pieces. Raises BadArchive after the last one when they do not have the digest."""
        digest: Any = None
        if self._digest:
            import hashlib

            digest = hashlib.new(self._digest.partition(":")[0])
        at, end = self._offset, self._offset + self.size
        while at < end:
            data = os.pread(self._fd, min(PIECE, end - at), at)
            if not data:
                raise BadArchive("cannot load archive: it ends in the middle")
            if digest is not None:
                digest.update(data)
            at += len(data)
            yield data
        if digest is not None and digest.hexdigest() != self._digest.partition(":")[2]:
            raise BadArchive(f"cannot load archive: blob {self._digest} is damaged", "copy the archive again")

    def read(self, limit: int) -> bytes:
        """All bytes, checked. Raises BadArchive when there are more than ``limit``."""
        if self.size > limit:
            raise BadArchive(f"cannot load archive: a description of {self.size} bytes is over the limit of {limit}")
        return b"".join(self.chunks())


class Members:
    """Members by name; a context manager."""

    def get(self, name: str) -> Blob | None:
        """The content of a regular member, through links inside the archive; None if there is none."""
        raise KeyError(name)

    def close(self) -> None:
        """Close what was opened."""

    def __enter__(self) -> Members:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()


class TarMembers(Members):
    """A table of an uncompressed tar file: name to place, or to the target of a link."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._table: dict[str, tuple[int, int] | str] = {}
        source = Source(_pieces(fd))
        for entry in TarReader(source):
            name = _clean(os.fsdecode(entry.name))
            if entry.type == FILE and entry.sparse is None:
                self._table[name] = (source.count, entry.size)
            elif entry.type in (SYMLINK, HARDLINK):
                link = os.fsdecode(entry.link)
                self._table[name] = _clean(link if entry.type == HARDLINK else f"{name}/../{link}")

    def get(self, name: str) -> Blob | None:
        found: tuple[int, int] | str | None = _clean(name)
        for _hop in range(_MAX_LINKS):
            if not isinstance(found, str):
                break
            found = self._table.get(found)
        return Blob(self._fd, *found) if isinstance(found, tuple) else None

    def close(self) -> None:
        os.close(self._fd)


class DirectoryMembers(Members):
    """A directory with the same files; symlinks may lead anywhere inside it and nowhere else."""

    def __init__(self, path: str) -> None:
        self._root = open_directory(path)
        self._fds: list[int] = []

    def get(self, name: str) -> Blob | None:
        flags = os.O_RDONLY | os.O_NONBLOCK
        try:
            fd = openat2(self._root, _clean(name), flags, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
        except (FileNotFoundError, NotADirectoryError):
            return None
        self._fds.append(fd)
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise BadArchive(f"cannot load archive: {name!r} is not a file")
        return Blob(fd, 0, info.st_size)

    def close(self) -> None:
        for fd in (self._root, *self._fds):
            os.close(fd)


def open_members(source: Readable | str, scratch: str) -> Members:
    """The members of a directory (a path) or of an open tar file; a pipe or compressed file is written out first."""
    if isinstance(source, str):
        return DirectoryMembers(source)
    fd = _plain_file(source)
    return TarMembers(_spool(source, scratch) if fd is None else fd)


def _plain_file(source: Readable) -> int | None:
    """A descriptor of an uncompressed regular file, or None."""
    try:
        fd: int = source.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode) or os.lseek(fd, 0, os.SEEK_CUR) != 0:
        return None
    return os.dup(fd) if os.pread(fd, 6, 257).startswith(b"ustar") else None


def _spool(source: Readable, scratch: str) -> int:
    path = f"{scratch}/archive.tar"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    try:
        for data in decompress(chunks_of(source)):
            write_all(fd, data)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _pieces(fd: int) -> Iterator[bytes]:
    at = 0
    while data := os.pread(fd, PIECE, at):
        at += len(data)
        yield data


def _clean(name: str) -> str:
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
