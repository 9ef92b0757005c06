"""Copying files between directory descriptors: content, owner, mode, times, attributes, hard links.

No symlink is followed and no path is resolved: a name that changes under the copy is an error or the new file, never a
file elsewhere. Used for the first filling of volumes, for ``cp`` and for hard links across layers.
"""

from __future__ import annotations

import errno
import os
import stat

from runtime.errors import RuntimeFault
from runtime.tree import kind_of, write_all

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = _READ | os.O_DIRECTORY
_PIECE = 1 << 20
MAX_DEPTH = 200  # two descriptors and three frames of Python's stack per level
_SKIPPED = ("trusted.overlay.", "user.overlay.", "security.selinux", "security.ima", "security.evm")


class Copier:
    """Copies trees; a context manager that keeps the hard links among all that it copies.

    ``owner``: the (uid, gid) of everything made, or None for the source's. ``merge``: existing directories are
    entered and existing files replaced. ``devices``: device nodes are copied too, else left out. ``privileges``: set-id
    bits and file capabilities are copied too.
    """

    def __init__(
        self,
        owner: tuple[int, int] | None = None,
        merge: bool = False,
        devices: bool = True,
        privileges: bool = True,
    ) -> None:
        self._owner = owner
        self._merge = merge
        self._devices = devices
        self._privileges = privileges
        self._depth = 0
        self._links: dict[tuple[int, int], tuple[int, bytes]] = {}

    def __enter__(self) -> Copier:
        return self

    def __exit__(self, *_details: object) -> None:
        for fd, _name in self._links.values():
            os.close(fd)
        self._links.clear()

    def copy(self, source: int, name: bytes, target: int, new_name: bytes) -> None:
        """Copy ``name`` in directory ``source`` to ``new_name`` in ``target``. Raises OSError, RuntimeFault."""
        info = os.stat(name, dir_fd=source, follow_symlinks=False)
        kind = stat.S_IFMT(info.st_mode)
        if kind == stat.S_IFDIR:
            self._directory(source, name, target, new_name)
            return
        if kind == stat.S_IFSOCK or (kind in (stat.S_IFCHR, stat.S_IFBLK) and not self._devices):
            return
        self.make_room(target, new_name)
        if info.st_nlink > 1 and self._link(info, target, new_name):
            return
        if kind == stat.S_IFREG:
            self._file(source, name, target, new_name)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=source), new_name, dir_fd=target)
            self._finish_node(info, target, new_name)
        else:
            os.mknod(new_name, info.st_mode & ~0o7000, info.st_rdev, dir_fd=target)
            self._finish_node(info, target, new_name)
        if info.st_nlink > 1 and len(self._links) < 256:
            self._links[info.st_dev, info.st_ino] = (os.dup(target), new_name)

    def _link(self, info: os.stat_result, target: int, new_name: bytes) -> bool:
        known = self._links.get((info.st_dev, info.st_ino))
        if known is None:
            return False
        os.link(known[1], new_name, src_dir_fd=known[0], dst_dir_fd=target, follow_symlinks=False)
        return True

    def make_room(self, target: int, name: bytes) -> None:
        """An existing file is replaced, not written into: another name of it stays as it is."""
        if not self._merge:
            return
        try:
            info = os.stat(name, dir_fd=target, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(info.st_mode):
            raise RuntimeFault(f"cannot overwrite directory {os.fsdecode(name)!r} with a file")
        os.unlink(name, dir_fd=target)

    def _directory(self, source: int, name: bytes, target: int, new_name: bytes) -> None:
        if self._depth >= MAX_DEPTH:
            raise RuntimeFault(f"cannot copy directories that are nested more than {MAX_DEPTH} deep")
        inner = os.open(name, _DIRECTORY, dir_fd=source)
        self._depth += 1
        try:
            made = self._enter(target, new_name)
            try:
                self.copy_children(inner, made)
                self.attributes(inner, made)
            finally:
                os.close(made)
        finally:
            self._depth -= 1
            os.close(inner)

    def _enter(self, target: int, name: bytes) -> int:
        try:
            os.mkdir(name, 0o700, dir_fd=target)
        except FileExistsError:
            info = os.stat(name, dir_fd=target, follow_symlinks=False)
            if not self._merge or not stat.S_ISDIR(info.st_mode):
                word = kind_of(info.st_mode)
                raise RuntimeFault(f"cannot overwrite {word} {os.fsdecode(name)!r} with a directory") from None
        return os.open(name, _DIRECTORY, dir_fd=target)

    def copy_children(self, source: int, target: int) -> None:
        """Copy what is in a directory, not the directory itself."""
        with os.scandir(source) as entries:
            names = sorted(os.fsencode(entry.name) for entry in entries)
        for name in names:
            self.copy(source, name, target, name)

    def _file(self, source: int, name: bytes, target: int, new_name: bytes) -> None:
        reader = os.open(name, _READ, dir_fd=source)
        try:
            info = os.fstat(reader)
            if not stat.S_ISREG(info.st_mode):
                raise RuntimeFault(f"cannot copy {os.fsdecode(name)!r}: it changed while it was copied")
            writer = os.open(new_name, _WRITE, 0o600, dir_fd=target)
            try:
                copy_content(reader, writer, info.st_size)
                self.attributes(reader, writer)
            finally:
                os.close(writer)
        finally:
            os.close(reader)

    def attributes(self, source: int, target: int) -> None:
        """Owner, mode, extended attributes and times, in the order in which none undoes another."""
        info = os.fstat(source)
        os.fchown(target, *(self._owner or (info.st_uid, info.st_gid)))
        os.fchmod(target, stat.S_IMODE(info.st_mode) & (0o7777 if self._privileges else 0o1777))
        for name in os.listxattr(source):
            if not name.startswith(_SKIPPED) and (self._privileges or not name.startswith("security.")):
                _copy_xattr(source, target, name)
        os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))

    def _finish_node(self, info: os.stat_result, target: int, name: bytes) -> None:
        uid, gid = self._owner or (info.st_uid, info.st_gid)
        os.chown(name, uid, gid, dir_fd=target, follow_symlinks=False)
        if not stat.S_ISLNK(info.st_mode):
            node = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target)
            try:
                if os.fstat(node).st_mode & 0o170000 == stat.S_IFMT(info.st_mode):
                    os.chmod(f"/proc/self/fd/{node}", stat.S_IMODE(info.st_mode))
            finally:
                os.close(node)
        os.utime(name, ns=(info.st_atime_ns, info.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def copy_content(reader: int, writer: int, size: int) -> None:
    """The bytes of a regular file: inside the kernel where it can, holes kept."""
    offset = 0
    while offset < size:
        try:
            start = os.lseek(reader, offset, os.SEEK_DATA)
            end = min(os.lseek(reader, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                break
            start, end = offset, size
        _copy_range(reader, writer, start, end)
        offset = max(end, offset + 1)
    os.ftruncate(writer, size)


def _copy_range(reader: int, writer: int, start: int, end: int) -> None:
    os.lseek(writer, start, os.SEEK_SET)
    while start < end:
        try:
            done = os.copy_file_range(reader, writer, end - start, start)
        except OSError:
            os.lseek(reader, start, os.SEEK_SET)
            piece = os.read(reader, min(_PIECE, end - start))
            write_all(writer, piece)
            done = len(piece)
        if not done:
            break  # it shrank under the copy
        start += done


def _copy_xattr(source: int, target: int, name: str) -> None:
    try:
        os.setxattr(target, name, os.getxattr(source, name))
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.ENODATA, errno.EINVAL):
            raise
