"""Trees that COPY reads: the context with its .dockerignore, and the content of each file, hashed once.

What a file's hash was is remembered by its path, inode, size and times, so that an unchanged context costs one lstat(2)
per file that is copied.
"""

from __future__ import annotations

import json
import os
import stat
import time

from runtime.build.cache import write_small
from runtime.build.errors import BuildFault
from runtime.build.patterns import Ignore
from runtime.images.merged import Found, Merged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FRESH = 50_000_000  # a file changed within so many ns of its hashing could change again without a trace


class ContextTree(Merged):
    """A directory without what its .dockerignore leaves out."""

    def __init__(self, directory: str, ignore: Ignore) -> None:
        super().__init__((directory,))
        self.ignore = ignore

    def child(self, parent: Found, name: bytes) -> Found | None:
        path = parent.path + b"/" + name
        try:
            info = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        found = Found((*parent.at, name), path, info, (path,) if stat.S_ISDIR(info.st_mode) else ())
        if self.ignore and self.ignore.ignores(os.fsdecode(b"/".join(found.at))) and not self._holds(found):
            return None
        return found

    def _holds(self, found: Found) -> bool:
        """Whether an ignored directory has something below it that is kept."""
        if not found.dirs or self.ignore.prunes(os.fsdecode(b"/".join(found.at))):
            return False
        return any(self.child(found, name) is not None for name in self.names(found))


def read_ignore(directory: str, dockerfile: str = "") -> Ignore:
    """``<Dockerfile>.dockerignore`` beside the Dockerfile, else the directory's own. Raises BuildFault."""
    for path in (f"{dockerfile}.dockerignore" if dockerfile else "", f"{directory}/.dockerignore"):
        if not path:
            continue
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return Ignore(file.read().splitlines())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
    return Ignore(())


def open_context(directory: str, ignore: Ignore) -> ContextTree:
    """A directory as a tree. Raises BuildFault when it is none."""
    if not os.path.isdir(directory):
        reason = "it is not a directory" if os.path.exists(directory) else "no such directory"
        raise BuildFault(f"cannot use build context {directory}: {reason}")
    return ContextTree(os.path.realpath(directory), ignore)


class Digests:
    """Hashes of files' content. ``path``: where they are remembered, or empty. ``check`` is called before a file is
    read; what it raises ends the work."""

    def __init__(self, path: str = "", check: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self.check = check
        self.changed = False
        self.now = time.time_ns()
        self._known: dict[str, list[object]] | None = None

    @property
    def known(self) -> dict[str, list[object]]:
        """By path; read when the first one is asked for."""
        if self._known is None:
            known: dict[str, list[object]] = {}
            try:
                with open(self.path or os.devnull, "rb") as file:
                    known = json.load(file)
            except (OSError, ValueError):
                pass
            self._known = known
        return self._known

    def of(self, found: Found) -> str:
        """The sha256 of a regular file."""
        info = found.info
        key = os.fsdecode(found.path)
        state = [info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns]
        row = self.known.get(key)
        if row is not None and row[:4] == state:
            return str(row[4])
        self.check()
        digest = hash_file(found.path)
        if self.now - max(info.st_mtime_ns, info.st_ctime_ns) > FRESH:
            self.known[key] = [*state, digest]
            self.changed = True
        return digest

    def save(self) -> None:
        if self.path and self.changed:
            write_small(self.path, self.known)
            self.changed = False


def hash_file(path: bytes) -> str:
    """The sha256 of a file, read in large pieces."""
    from hashlib import sha256

    digest = sha256()
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        while chunk := os.read(fd, 1 << 20):
            digest.update(chunk)
    finally:
        os.close(fd)
    return digest.hexdigest()


def digest_of(rows: Iterable[tuple[str, Found]], digests: Digests, owned: bool) -> str:
    """The digest of what a step reads: paths, modes, types, links and content; no times. ``owned``: owners count."""
    from hashlib import sha256

    total = sha256()
    for name, found in rows:
        info = found.info
        row: list[object] = [name, info.st_mode]
        if owned:
            row += [info.st_uid, info.st_gid, _capability(found)]
        if stat.S_ISREG(info.st_mode):
            row.append(digests.of(found))
        elif stat.S_ISLNK(info.st_mode):
            row.append(os.fsdecode(os.readlink(found.path)))
        elif stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
            row.append(info.st_rdev)
        total.update(repr(row).encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _capability(found: Found) -> str:
    if not stat.S_ISREG(found.info.st_mode):
        return ""
    try:
        return os.getxattr(found.path, "security.capability", follow_symlinks=False).hex()
    except OSError:
        return ""
