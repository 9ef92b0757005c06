"""The directories of a tree that is being unpacked: found and made one component at a time, kept open, never left."""

from __future__ import annotations

import os
import stat

from runtime.errors import BadArchive
from runtime.images.merged import Found, Merged, split
from runtime.tree import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    At = tuple[bytes, ...]

_MAX_LINKS = 40
_OPEN_DIRECTORIES = 128  # descriptors kept; the usual limit of a process is 1024
_KEPT_XATTRS = ("security.capability", "system.posix_acl_access", "system.posix_acl_default")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Directories:
    """The real directories below ``root_fd``. ``times``: modification times to set at the end.

    ``used_lower``: whether anything depended on the layers below.
    """

    def __init__(self, root_fd: int, lower: Merged | None, owner: tuple[int, int] | None) -> None:
        self._root = root_fd
        self.lower = lower
        self._owner = owner
        self._fds: dict[At, int] = {}
        self._parents: dict[bytes, At] = {}  # a parent as the archive writes it -> where it really is
        self.times: dict[At, int] = {}
        self.used_lower = False

    def directory(self, at: At) -> int:
        """A descriptor of a directory that is known to be one; kept open, the oldest ones closed."""
        if not at:
            return self._root
        fd = self._fds.pop(at, -1)
        if fd < 0:
            fd = os.open(at[-1], _DIRECTORY, dir_fd=self.directory(at[:-1]))
            if len(self._fds) >= _OPEN_DIRECTORIES:
                os.close(self._fds.pop(next(iter(self._fds))))
        self._fds[at] = fd
        return fd

    def close(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def forget(self, at: At) -> None:
        """A directory or symlink is about to be replaced: nothing below it is known any more."""
        depth = len(at)
        for key in [key for key in self._fds if key[:depth] == at]:
            os.close(self._fds.pop(key))
        for key in [key for key in self.times if key[:depth] == at]:
            del self.times[key]
        self._parents.clear()

    def parent(self, path: bytes) -> At:
        """Where the directory ``path`` really is, made if need be."""
        known = self._parents.get(path)
        if known is None:
            found = self.walk(split(path), make=True)
            assert found is not None
            known = self._parents[path] = found
        return known

    def walk(self, parts: At, make: bool) -> At | None:
        """Follow the components inside the root; without ``make`` None where one is missing."""
        here: At = ()
        queue, links = list(reversed(parts)), 0
        while queue:
            part = queue.pop()
            if part in (b"", b".", b".."):
                here = here[:-1] if part == b".." else here
                continue
            at = (*here, part)
            if at in self._fds:
                here = at
                continue
            target = self._step(here, at, make)
            if target is None:
                return None
            if not target:
                here = at
                continue
            links += 1
            if links > _MAX_LINKS:
                raise BadArchive(f"cannot unpack {show_path(parts)}: too many symbolic links in its path")
            queue.extend(reversed(target.split(b"/")))
            here = () if target.startswith(b"/") else here
        return here

    def _step(self, here: At, at: At, make: bool) -> bytes | None:
        """One component: b"" if it is (now) a directory, a symlink's target, None if missing."""
        fd = self.directory(here)
        try:
            info = os.stat(at[-1], dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return self._imply(fd, at) if make else None
        if stat.S_ISDIR(info.st_mode):
            return b""
        if stat.S_ISLNK(info.st_mode):
            return os.readlink(at[-1], dir_fd=fd)
        raise BadArchive(f"cannot unpack below {show_path(at)}: it is a {kind_of(info.st_mode)}, not a directory")

    def _imply(self, fd: int, at: At) -> bytes:
        """A parent that the archive does not list: as it is in the layers below, else 0755 root."""
        found = self.below(at)
        if found is not None and stat.S_ISLNK(found.info.st_mode):
            return os.readlink(found.path)
        os.mkdir(at[-1], 0o755, dir_fd=fd)
        directory = self.directory(at)
        if found is not None and found.dirs:
            self.copy_attributes(directory, found)
            self.times[at] = found.info.st_mtime_ns
        else:
            os.fchmod(directory, 0o755)
            if self._owner:
                os.fchown(directory, *self._owner)
        return b""

    def below(self, at: At) -> Found | None:
        if self.lower is None:
            return None
        self.used_lower = True
        return self.lower.lookup(at)

    def copy_attributes(self, fd: int, found: Found) -> None:
        os.fchown(fd, found.info.st_uid, found.info.st_gid)
        os.fchmod(fd, stat.S_IMODE(found.info.st_mode))
        for name in os.listxattr(found.path, follow_symlinks=False):
            if keeps(name):
                os.setxattr(fd, name, os.getxattr(found.path, name, follow_symlinks=False))


def keeps(xattr: str) -> bool:
    """Attributes that an image may set; the kernel's own bookkeeping and labels of another host are left out."""
    return xattr in _KEPT_XATTRS or (xattr.startswith("user.") and not xattr.startswith("user.overlay."))


def show_path(parts: At) -> str:
    """A path for messages, whatever its bytes."""
    return repr(b"/".join(parts)[:200].decode("utf-8", "backslashreplace"))
