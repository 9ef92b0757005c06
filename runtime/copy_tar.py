"""A tree below a directory descriptor as a tar stream."""

from __future__ import annotations

import os
import stat

from runtime.copy_tree import MAX_DEPTH
from runtime.errors import RuntimeFault
from runtime.images.tar import (
    BLOCKDEV,
    CHAR,
    DIRECTORY,
    FIFO,
    FILE,
    HARDLINK,
    SYMLINK,
    Entry,
)
from runtime.images.tar_write import END, encode_entry
from runtime.tree import open_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_PIECE = 1 << 18
_TYPES = {
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHAR,
    stat.S_IFBLK: BLOCKDEV,
    stat.S_IFIFO: FIFO,
    stat.S_IFREG: FILE,
}


def write_tar(parent: int, name: bytes, as_name: bytes, out: BinaryIO) -> None:
    """Write ``name`` in directory ``parent`` as an archive whose top is ``as_name``. Sockets are left out."""
    _Writer(out).add(parent, name, as_name)
    out.write(END)


def write_root(root: int, out: BinaryIO) -> None:
    """Write everything below a root directory, under names without a leading slash, as ``docker export`` does."""
    writer = _Writer(out)
    fd = open_directory(b".", root)
    try:
        for child in sorted(os.fsencode(found) for found in os.listdir(fd)):
            writer.add(fd, child, child)
    finally:
        os.close(fd)
    out.write(END)


class _Writer:
    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._links: dict[tuple[int, int], bytes] = {}
        self._depth = 0

    def add(self, parent: int, name: bytes, as_name: bytes) -> None:
        info = os.stat(name, dir_fd=parent, follow_symlinks=False)
        kind = _TYPES.get(stat.S_IFMT(info.st_mode))
        if kind is None:
            return
        if kind == DIRECTORY:
            self._add_directory(parent, name, as_name)
            return
        known = self._links.get((info.st_dev, info.st_ino)) if info.st_nlink > 1 else None
        if known is not None:
            self._out.write(encode_entry(_entry(info, as_name, HARDLINK, known)))
            return
        if info.st_nlink > 1:
            self._links[info.st_dev, info.st_ino] = as_name
        if kind == FILE:
            self._add_file(parent, name, as_name)
            return
        link = os.readlink(name, dir_fd=parent) if kind == SYMLINK else b""
        self._out.write(encode_entry(_entry(info, as_name, kind, link)))

    def _add_directory(self, parent: int, name: bytes, as_name: bytes) -> None:
        if self._depth >= MAX_DEPTH:
            raise RuntimeFault(f"cannot copy directories that are nested more than {MAX_DEPTH} deep")
        fd = open_directory(name, parent)
        self._depth += 1
        try:
            self._out.write(encode_entry(_entry(os.fstat(fd), as_name + b"/", DIRECTORY, b"", _xattrs(fd))))
            for child in sorted(os.fsencode(found) for found in os.listdir(fd)):
                self.add(fd, child, as_name + b"/" + child)
        finally:
            self._depth -= 1
            os.close(fd)

    def _add_file(self, parent: int, name: bytes, as_name: bytes) -> None:
        fd = os.open(name, _READ, dir_fd=parent)
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                raise RuntimeFault(f"cannot copy {os.fsdecode(as_name)!r}: it changed while it was copied")
            self._out.write(encode_entry(_entry(info, as_name, FILE, b"", _xattrs(fd))))
            self._write_content(fd, info.st_size)
        finally:
            os.close(fd)

    def _write_content(self, fd: int, size: int) -> None:
        """Exactly ``size`` bytes: the header says so. A file that shrinks is filled with zeros."""
        left = size
        while left:
            data = os.read(fd, min(left, _PIECE)) or bytes(min(left, _PIECE))
            self._out.write(data)
            left -= len(data)
        self._out.write(bytes(-size % 512))


def _entry(
    info: os.stat_result, name: bytes, kind: bytes, link: bytes, xattrs: dict[str, bytes] | None = None
) -> Entry:
    device = info.st_rdev if kind in (CHAR, BLOCKDEV) else 0
    return Entry(
        name=name,
        type=kind,
        mode=stat.S_IMODE(info.st_mode),
        uid=info.st_uid,
        gid=info.st_gid,
        size=info.st_size if kind == FILE else 0,
        mtime_ns=info.st_mtime_ns,
        link=link,
        major=os.major(device),
        minor=os.minor(device),
        xattrs=xattrs,
    )


def _xattrs(fd: int) -> dict[str, bytes] | None:
    names = [name for name in os.listxattr(fd) if name == "security.capability" or name.startswith("user.")]
    return {name: os.getxattr(fd, name) for name in names} or None
