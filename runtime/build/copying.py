"""Writes what COPY and ADD select into a layer of its own, beside the layers below it; nothing is mounted.

Everything is one component relative to a directory descriptor (runtime/images/directories.py); what is below is looked
up in the merged view of the layers. Rules: docs/build.md, "COPY".
"""

from __future__ import annotations

import errno
import os
import stat

from runtime.build.errors import BuildFault
from runtime.build.select import Pick, entries_of
from runtime.images.directories import Directories, show_path
from runtime.images.merged import Found, Merged, split
from runtime.tree import is_whiteout, open_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.build.modes import Chmod

    At = tuple[bytes, ...]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class _Directories(Directories):
    """``made_mode``: of new directories above the destination, -1 for 0755."""

    made_mode = -1

    def _imply(self, fd: int, at: At) -> bytes:
        found = self.below(at)
        if found is not None and not found.dirs and not stat.S_ISLNK(found.info.st_mode):
            raise BuildFault(f"cannot copy below {show_path(at)}: it is not a directory")
        target = super()._imply(fd, at)
        if found is None and self.made_mode >= 0:
            os.fchmod(self.directory(at), self.made_mode)
        return target


class Copier:
    """One COPY or ADD into ``diff``.

    ``below``: the layers under it, top first; empty with ``--link``. ``owner``: of everything new, None to keep the
    source's. ``mode``: --chmod. ``foreign``: the source is no layer of ours, so that its files cannot be shared and its
    capabilities do not count.
    """

    def __init__(
        self, diff: str, below: Sequence[str], owner: tuple[int, int] | None, mode: Chmod | None, foreign: bool
    ) -> None:
        self.diff = diff
        self.owner = owner
        self.mode = mode
        self.foreign = foreign
        self.layers = tuple(below)
        self.lower = Merged(below) if below else None
        self.root = open_directory(diff)
        self.dirs = _Directories(self.root, self.lower, owner)
        self.dirs.made_mode = mode.numeric if mode else -1
        self.size = 0
        self._linked: dict[tuple[int, int], At] = {}
        self.check: Callable[[], None] = lambda: None  # called between entries; what it raises ends the copy

    def close(self) -> None:
        """Set the directories' times, deepest first."""
        try:
            for at in sorted(self.dirs.times, key=len, reverse=True):
                os.utime(self.dirs.directory(at), ns=(self.dirs.times[at], self.dirs.times[at]))
        finally:
            self.dirs.close()
            os.close(self.root)

    # -- where

    def view(self, path: str) -> Found | None:
        """What is at a path now, links followed."""
        return Merged((self.diff, *self.layers)).resolve(path)

    def copy(self, tree: Merged, pick: Pick, destination: str) -> None:
        """One source. ``destination`` ends with a slash where it is a directory for sure. Raises BuildFault."""
        if pick.whole:
            return self._copy_whole(tree, pick, destination)
        if pick.found.dirs:
            return self._copy_content(tree, pick, destination)
        at = self._file_place(destination, pick.name)
        self._put(at, pick.found)
        return None

    def _file_place(self, destination: str, name: str) -> At:
        """Where a single file goes: into a directory, else to that name; a link to a file is followed."""
        there = self.view(destination)
        if destination.endswith("/") or (there is not None and there.dirs):
            return (*self._directory(destination), os.fsencode(name))
        head, _slash, tail = destination.rpartition("/")
        if there is not None:
            return (*self._directory("/" + os.fsdecode(b"/".join(there.at[:-1]))), there.at[-1])
        return (*self._directory(head), os.fsencode(tail))

    def _directory(self, path: str) -> At:
        return self.dirs.parent(os.fsencode(path))

    def _copy_content(self, tree: Merged, pick: Pick, destination: str) -> None:
        """What a directory holds; the directory itself lends a new one only its time."""
        is_new = self.view(destination) is None
        top = self._directory(destination)
        if is_new:
            self.dirs.times[top] = pick.found.info.st_mtime_ns
        self._fill(tree, pick, top)

    def _copy_whole(self, tree: Merged, pick: Pick, destination: str) -> None:
        """With --parents: the directories above it too, as they are at the source."""
        here = self._directory(destination)
        names = split(os.fsencode(pick.name))
        for name, above in zip(names[:-1], pick.above, strict=True):
            here = (*here, name)
            self._enter(here, above)
        at = (*here, names[-1])
        if pick.found.dirs:
            self._enter(at, pick.found)
            self._fill(tree, pick, at)
        else:
            self._put(at, pick.found)

    def _fill(self, tree: Merged, pick: Pick, top: At) -> None:
        for path, found in entries_of(tree, pick):
            self.check()
            if path:
                at = (*top, *os.fsencode(path).split(b"/"))
                if found.dirs:
                    self._enter(at, found)
                else:
                    self._put(at, found)

    # -- one entry

    def _below(self, at: At) -> Found | None:
        return self.dirs.below(at)

    def _enter(self, at: At, found: Found) -> None:
        """A directory inside a copied one: made with the source's attributes, unless there is one."""
        parent = self.dirs.directory(at[:-1])
        try:
            info = os.stat(at[-1], dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return self._make_directory(parent, at, found)
        if not stat.S_ISDIR(info.st_mode):
            raise BuildFault(f"cannot copy a directory onto {show_path(at)}: it is not a directory")
        return None

    def _make_directory(self, parent: int, at: At, found: Found) -> None:
        below = self._below(at)
        if below is not None and not below.dirs:
            raise BuildFault(f"cannot copy a directory onto {show_path(at)}: it is not a directory")
        os.mkdir(at[-1], 0o700, dir_fd=parent)
        fd = self.dirs.directory(at)
        if below is not None:
            self.dirs.copy_attributes(fd, below)
            self.dirs.times[at] = below.info.st_mtime_ns
            return
        os.fchown(fd, *self._owner_of(found))
        os.fchmod(fd, self._mode_of(found))
        self.dirs.times[at] = found.info.st_mtime_ns

    def _owner_of(self, found: Found) -> tuple[int, int]:
        return self.owner if self.owner is not None else (found.info.st_uid, found.info.st_gid)

    def _mode_of(self, found: Found) -> int:
        mode = stat.S_IMODE(found.info.st_mode)
        return self.mode.apply(mode, bool(found.dirs)) if self.mode else mode

    def _put(self, at: At, found: Found) -> None:
        """A file of any kind but a directory, in place of what is there."""
        parent = self.dirs.directory(at[:-1])
        self._clear(parent, at)
        kind, name = found.info.st_mode, at[-1]
        if stat.S_ISREG(kind):
            self._put_regular(parent, at, found)
        elif stat.S_ISLNK(kind):
            os.symlink(os.readlink(found.path), name, dir_fd=parent)
            os.chown(name, *self._owner_of(found), dir_fd=parent, follow_symlinks=False)
            times = (found.info.st_mtime_ns, found.info.st_mtime_ns)
            os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)
        elif stat.S_ISFIFO(kind) or ((stat.S_ISCHR(kind) or stat.S_ISBLK(kind)) and not is_whiteout(found.info)):
            os.mknod(name, kind, found.info.st_rdev, dir_fd=parent)
            os.chown(name, *self._owner_of(found), dir_fd=parent, follow_symlinks=False)
            os.chmod(name, self._mode_of(found), dir_fd=parent)

    def _clear(self, parent: int, at: At) -> None:
        try:
            info = os.stat(at[-1], dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            below = self._below(at)
            if below is not None and below.dirs:
                raise BuildFault(f"cannot copy a file onto {show_path(at)}: it is a directory") from None
            return
        if stat.S_ISDIR(info.st_mode):
            raise BuildFault(f"cannot copy a file onto {show_path(at)}: it is a directory")
        os.unlink(at[-1], dir_fd=parent)
        for key in [key for key, place in self._linked.items() if place == at]:
            del self._linked[key]

    def _put_regular(self, parent: int, at: At, found: Found) -> None:
        info = found.info
        key = (info.st_dev, info.st_ino)
        if info.st_nlink > 1 and key in self._linked:
            first = self._linked[key]
            try:
                os.link(first[-1], at[-1], src_dir_fd=self.dirs.directory(first[:-1]), dst_dir_fd=parent)
                return
            except FileNotFoundError:
                pass
        self.size += info.st_size
        if not self._share(parent, at, found):
            fd = os.open(at[-1], _NEW, 0o600, dir_fd=parent)
            try:
                copy_content(found.path, fd, info.st_size)
                os.fchown(fd, *self._owner_of(found))
                os.fchmod(fd, self._mode_of(found))
                self._copy_capability(found, fd)
                os.utime(fd, ns=(info.st_mtime_ns, info.st_mtime_ns))
            finally:
                os.close(fd)
        if info.st_nlink > 1:
            self._linked[key] = at

    def _share(self, parent: int, at: At, found: Found) -> bool:
        """A file of another layer whose attributes stay is that file: layers never change, one inode serves both."""
        info = found.info
        same = self._owner_of(found) == (info.st_uid, info.st_gid) and self._mode_of(found) == stat.S_IMODE(
            info.st_mode
        )
        in_image = any(found.path.startswith(os.fsencode(layer) + b"/") for layer in self.layers)
        # Two names of one inode in an image would look like hard links to what runs in it.
        if self.foreign or not same or in_image or info.st_nlink > 1 or info.st_size < 4096:
            return False
        try:
            os.link(found.path, at[-1], dst_dir_fd=parent, follow_symlinks=False)
        except OSError:
            return False
        return True

    def _copy_capability(self, found: Found, fd: int) -> None:
        if self.foreign:
            return
        try:
            value = os.getxattr(found.path, "security.capability", follow_symlinks=False)
        except OSError:
            return
        os.setxattr(fd, "security.capability", value)

    def write(self, destination: str, name: str, content: bytes, mode: int = 0o644, mtime_ns: int = -1) -> None:
        """A file of given content (a here-document, a download)."""
        at = self._file_place(destination, name)
        parent = self.dirs.directory(at[:-1])
        self._clear(parent, at)
        fd = os.open(at[-1], _NEW, 0o600, dir_fd=parent)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            os.fchown(fd, *(self.owner or (0, 0)))
            os.fchmod(fd, self.mode.apply(mode, False) if self.mode else mode)
            if mtime_ns >= 0:
                os.utime(fd, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(fd)
        self.size += len(content)


def copy_content(path: bytes, target: int, size: int) -> None:
    """A file's bytes into a descriptor, inside the kernel where it can. Raises OSError."""
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        while size > 0:
            try:
                copied = os.copy_file_range(source, target, size)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise
                copied = os.sendfile(target, source, None, size)
            if copied == 0:
                return  # it has become shorter meanwhile
            size -= copied
    finally:
        os.close(source)
