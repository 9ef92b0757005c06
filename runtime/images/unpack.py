"""A layer's tar stream as a directory that overlayfs can stack, written so that no name leads out of it.

Every step is one component relative to a directory descriptor, never a path that the kernel resolves; symlinks among
an entry's parents are followed here, inside the root. A layer is unpacked alone: whiteouts become 0:0 devices and
opaque marks, and only where a layer takes something from those below (the attributes of an implied directory, a
symlink in the way, the target of a hard link, the need of a whiteout) is the merged view asked, and that is noted.
"""

from __future__ import annotations

import errno
import os
import stat

from runtime.errors import BadArchive
from runtime.images.directories import Directories, keeps, show_path
from runtime.images.merged import Merged, split
from runtime.images.tar import BLOCKDEV, CHAR, DIRECTORY, FIFO, FILE, HARDLINK, SYMLINK, Entry, TarReader
from runtime.record import record
from runtime.tree import is_whiteout, kind_of, remove_tree, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.images.tape import Tape

    At = tuple[bytes, ...]

_NOT_NAMES = (b"", b".", b"..")  # how a path may end
_OPAQUE = b".wh..wh..opq"
_RESERVE = 20  # one part in twenty of the disk stays free
_BAD_ENTRY = (  # what the kernel says to an entry that makes no sense
    *(errno.EEXIST, errno.EISDIR, errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY),
    *(errno.EFBIG, errno.EINVAL, errno.ELOOP, errno.EMLINK, errno.ENAMETOOLONG),
)
_CHECK_EVERY = 64 << 20  # bytes between two looks at the free space
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@record
class Unpacked:
    """``size``: bytes of file content. ``used_lower``: the result depends on the layers below."""

    size: int
    entries: int
    used_lower: bool
    warnings: tuple[str, ...]


class Extractor:
    """Unpacks one stream below ``root_fd``.

    ``lower``: the layers below, or None for a plain tree. ``whiteouts``: understand ``.wh.`` names. ``owner``: the
    (uid, gid) of everything, or None for the archive's. ``merge``: the tree has files of its own, to be replaced.
    """

    def __init__(
        self,
        root_fd: int,
        lower: Merged | None = None,
        whiteouts: bool = True,
        owner: tuple[int, int] | None = None,
        merge: bool = False,
    ) -> None:
        self._root = root_fd
        self._tree = Directories(root_fd, lower, owner)
        self._lower = lower
        self._whiteouts = whiteouts
        self._owner = owner
        self._merge = merge
        self._hidden: list[tuple[bytes, bytes]] = []
        self._opaque: list[bytes] = []
        self._size = self._unchecked = 0
        self._warnings: list[str] = []
        self._data: Any = None
        self._tape: Tape | None = None

    def run(self, reader: TarReader) -> Unpacked:
        """Unpack all entries. Raises BadArchive on a malformed or hostile one and OSError from the disk."""
        self._data = reader.data
        self._tape = reader.source.tape
        try:
            for entry in reader:
                self._add(entry)
            self._finish()
        except OSError as error:
            if error.errno in _BAD_ENTRY:
                raise BadArchive(
                    f"cannot unpack archive: {os.strerror(error.errno).lower()}: {error.filename}"
                ) from error
            raise
        finally:
            self._tree.close()
        return Unpacked(self._size, reader.entries, self._tree.used_lower, tuple(self._warnings))

    # -- entries ---------------------------------------------------------------------------------------------------

    def _add(self, entry: Entry) -> None:
        parent, _, name = entry.name.rpartition(b"/")
        if name in _NOT_NAMES:
            parts = split(entry.name)
            if not parts:
                return self._add_root(entry)
            parent, name = b"/".join(parts[:-1]), parts[-1]
        if self._whiteouts and name.startswith(b".wh."):
            return self._add_whiteout(entry, parent, name)
        if entry.type in (CHAR, BLOCKDEV) and entry.type == CHAR and entry.major == entry.minor == 0:
            self._warnings.append(
                f"left out {show_path(split(entry.name))}: a 0:0 device would hide files of other layers"
            )
            return None
        at = (*self._tree.parent(parent), name)
        fd = self._tree.directory(at[:-1])
        try:
            self._make(entry, fd, at)
        except FileExistsError:
            if entry.type == DIRECTORY:
                return self._add_directory_again(entry, fd, at)
            if not (entry.type == HARDLINK and self._is_same_file(entry, at)):
                self._replace(entry, fd, at)
        return None

    def _add_root(self, entry: Entry) -> None:
        if entry.type != DIRECTORY:
            raise BadArchive(f"cannot unpack {show_path((entry.name,))}: the root must be a directory")
        if not self._merge:
            self._set_attributes(self._root, entry, directory=True)
            self._tree.times[()] = entry.mtime_ns

    def _add_whiteout(self, entry: Entry, parent: bytes, name: bytes) -> None:
        if name == _OPAQUE:
            self._opaque.append(parent)
        elif name.startswith(b".wh..wh."):
            self._warnings.append(f"left out {show_path(split(entry.name))}: metadata of another file system")
        elif name in (b".wh.", b".wh..", b".wh..."):
            raise BadArchive(f"cannot unpack {show_path(split(entry.name))}: not a valid whiteout")
        else:
            self._hidden.append((parent, name[4:]))

    def _make(self, entry: Entry, fd: int, at: At) -> None:
        name = at[-1]
        if entry.type == FILE:
            if self._tape is not None:
                self._tape.file(at)
            self._make_file(entry, fd, name)
        elif entry.type == DIRECTORY:
            os.mkdir(name, 0o700, dir_fd=fd)
            self._set_attributes(self._tree.directory(at), entry, directory=True)
            self._tree.times[at] = entry.mtime_ns
        elif entry.type == SYMLINK:
            os.symlink(entry.link, name, dir_fd=fd)
            uid, gid = self._owner or (entry.uid, entry.gid)
            os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)
            os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=fd, follow_symlinks=False)
        elif entry.type == HARDLINK:
            self._make_hardlink(entry, fd, name)
        else:
            self._make_node(entry, fd, name)

    def _make_file(self, entry: Entry, fd: int, name: bytes) -> None:
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=fd)
        try:
            for offset, piece in self._data():
                if entry.sparse is not None:
                    os.lseek(file, offset, os.SEEK_SET)
                write_all(file, piece)
                self._count(file, len(piece))
            if entry.sparse is not None:
                os.ftruncate(file, entry.size)
            self._set_attributes(file, entry)
            os.utime(file, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(file)

    def _count(self, fd: int, size: int) -> None:
        """Count content, and keep a part of the disk free."""
        self._size += size
        self._unchecked += size
        if self._unchecked >= _CHECK_EVERY:
            self._unchecked = 0
            disk = os.fstatvfs(fd)
            if disk.f_bavail < disk.f_blocks // _RESERVE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _set_attributes(self, fd: int, entry: Entry, directory: bool = False) -> None:
        """Owner, then mode (chown clears set-id bits), then extended attributes (chown clears capabilities)."""
        uid, gid = self._owner or (entry.uid, entry.gid)
        if directory or uid or gid or self._merge:
            os.fchown(fd, uid, gid)
        os.fchmod(fd, entry.mode)
        for name, value in (entry.xattrs or {}).items():
            if keeps(name):
                self._set_xattr(fd, name, value)

    def _set_xattr(self, fd: int, name: str, value: bytes) -> None:
        try:
            os.setxattr(fd, name, value)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EINVAL):
                raise
            self._warnings.append(f"left out extended attribute {name}: {os.strerror(error.errno)}")

    def _make_node(self, entry: Entry, fd: int, name: bytes) -> None:
        types = {CHAR: stat.S_IFCHR, BLOCKDEV: stat.S_IFBLK, FIFO: stat.S_IFIFO}
        device = 0 if entry.type == FIFO else os.makedev(entry.major, entry.minor)
        os.mknod(name, types[entry.type] | 0o600, device, dir_fd=fd)
        node = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        try:
            uid, gid = self._owner or (entry.uid, entry.gid)
            os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)
            if stat.S_IFMT(os.fstat(node).st_mode) == types[entry.type]:
                os.chmod(f"/proc/self/fd/{node}", entry.mode)
            os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=fd, follow_symlinks=False)
        finally:
            os.close(node)

    # -- hard links --------------------------------------------------------------------------------------------------

    def _make_hardlink(self, entry: Entry, fd: int, name: bytes) -> None:
        parts = split(entry.link)
        if not parts:
            raise BadArchive(f"cannot unpack {show_path((entry.name,))}: it links to the root")
        where = self._tree.walk(parts[:-1], make=self._lower is not None)
        if where is None:
            raise self._no_target(entry)
        source = self._tree.directory(where)
        if not _exists(parts[-1], source):
            self._copy_up((*where, parts[-1]), entry)
        source = self._tree.directory(where)
        try:
            os.link(parts[-1], name, src_dir_fd=source, dst_dir_fd=fd, follow_symlinks=False)
        except PermissionError as error:
            raise BadArchive(f"cannot unpack {show_path((entry.name,))}: it links to a directory") from error

    def _no_target(self, entry: Entry) -> BadArchive:
        return BadArchive(
            f"cannot unpack {show_path((entry.name,))}: it links to {show_path((entry.link,))}, which is missing"
        )

    def _copy_up(self, at: At, entry: Entry) -> None:
        """The target of a hard link lies in a layer below: bring it into this one."""
        found = self._tree.below(at)
        if found is None or found.dirs:
            raise self._no_target(entry)
        from runtime.copy_tree import Copier

        directory, _, base = found.path.rpartition(b"/")
        source = os.open(directory, _DIRECTORY)
        try:
            with Copier() as copier:
                copier.copy(source, base, self._tree.directory(at[:-1]), at[-1])
        finally:
            os.close(source)

    def _is_same_file(self, entry: Entry, at: At) -> bool:
        parts = split(entry.link)
        where = self._tree.walk(parts[:-1], make=False) if parts else None
        return where is not None and (*where, parts[-1]) == at

    # -- names that come twice -----------------------------------------------------------------------------------------

    def _add_directory_again(self, entry: Entry, fd: int, at: At) -> None:
        """A directory over a directory: the new attributes, the old children."""
        info = os.stat(at[-1], dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISDIR(info.st_mode):
            self._replace(entry, fd, at)
            return
        self._set_attributes(self._tree.directory(at), entry, directory=True)
        self._tree.times[at] = entry.mtime_ns

    def _replace(self, entry: Entry, fd: int, at: At) -> None:
        """The last of two entries with one name wins; a change to or from a symlink is an attack and refused."""
        info = os.stat(at[-1], dir_fd=fd, follow_symlinks=False)
        if self._merge:
            if stat.S_ISDIR(info.st_mode) or entry.type == DIRECTORY:
                word = kind_of(info.st_mode)
                raise BadArchive(f"cannot unpack {show_path(at)}: a {word} of that name is in the way")
        elif stat.S_ISLNK(info.st_mode) != (entry.type == SYMLINK):
            raise BadArchive(f"cannot unpack {show_path(at)}: it comes twice, once as a symbolic link")
        self._tree.forget(at)
        if self._tape is not None:
            self._tape.replace(self._tree.directory(at[:-1]), at)  # the layer's tar has it still
        else:
            remove_tree(at[-1], fd)
        self._make(entry, self._tree.directory(at[:-1]), at)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        opaque = {self._tree.parent(path) for path in self._opaque}
        for at in opaque:
            if self._lower is not None:
                os.setxattr(self._tree.directory(at), "trusted.overlay.opaque", b"y")
        for parent, name in self._hidden:
            self._hide(parent, name, opaque)
        for at, mtime in self._tree.times.items():
            os.utime(self._tree.directory(at), ns=(mtime, mtime))

    def _hide(self, parent: bytes, name: bytes, opaque: set[At]) -> None:
        """A whiteout, unless this layer has the file itself or nothing below would be hidden.

        A 0:0 device that hides nothing would be listed by readdir(3) and then not be there.
        """
        if self._lower is None:
            return
        where = self._walk_hidden(split(parent))
        if where is None or any(where[:depth] in opaque for depth in range(len(where) + 1)):
            return
        if self._tree.below((*where, name)) is None:
            return
        here = self._tree.parent(b"/".join(where))
        fd = self._tree.directory(here)
        if not _exists(name, fd):
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=fd)

    def _walk_hidden(self, parts: At) -> At | None:
        """Where a whiteout's directory is, without making it: in this layer, else in those below."""
        at = self._tree.walk(parts, make=False)
        if at is not None:
            return at
        self._tree.used_lower = True
        found = self._lower.resolve(b"/".join(parts)) if self._lower else None
        return found.at if found is not None and found.dirs else None


def _exists(name: bytes, fd: int) -> bool:
    try:
        return not is_whiteout(os.stat(name, dir_fd=fd, follow_symlinks=False))
    except FileNotFoundError:
        return False
