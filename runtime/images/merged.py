"""The merged view of an image's layers, without mounting them: what overlayfs would show at a path.

Layers are immutable and below a 0700 directory, so a path is safe once each of its components was seen to be a real
directory there; symlinks are never followed by the kernel, only by :meth:`Merged.resolve`, inside the root.
"""

from __future__ import annotations

import os
import stat

from runtime.tree import is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_LINKS = 40  # as the kernel: path_resolution(7)


class Found:
    """An entry of the view. ``path``: the topmost host path; ``dirs``: for a directory, all that merge, top first."""

    __slots__ = ("at", "dirs", "info", "path")

    def __init__(self, at: tuple[bytes, ...], path: bytes, info: os.stat_result, dirs: tuple[bytes, ...]) -> None:
        self.at = at
        self.path = path
        self.info = info
        self.dirs = dirs


class Merged:
    """Layers, top first, and read-only binds (source, destination) that lie over them."""

    def __init__(self, layers: Iterable[str], binds: Iterable[tuple[str, str]] = ()) -> None:
        self.layers = tuple(os.fsencode(layer) for layer in layers)
        self._binds = {split(os.fsencode(destination)): os.fsencode(source) for source, destination in binds}

    def root(self) -> Found | None:
        if not self.layers:
            return None
        return Found((), self.layers[0], os.lstat(self.layers[0]), self.layers)

    def child(self, parent: Found, name: bytes) -> Found | None:
        """The entry ``name`` of a directory of the view."""
        at = (*parent.at, name)
        bound = self._binds.get(at)
        if bound is not None:
            return Found(at, bound, os.stat(bound), (bound,))
        top: tuple[bytes, os.stat_result] | None = None
        dirs: list[bytes] = []
        for directory in parent.dirs:
            path = directory + b"/" + name
            try:
                info = os.lstat(path)
            except FileNotFoundError:
                continue
            if is_whiteout(info) or (top and not stat.S_ISDIR(info.st_mode)):
                break
            top = top or (path, info)
            if not stat.S_ISDIR(info.st_mode):
                break
            dirs.append(path)
            if is_opaque(path):
                break
        return Found(at, top[0], top[1], tuple(dirs)) if top else None

    def lookup(self, at: tuple[bytes, ...]) -> Found | None:
        """The entry at a path whose parents are real directories; no symlink is followed."""
        found = self.root()
        for name in at:
            if found is None or not found.dirs:
                return None
            found = self.child(found, name)
        return found

    def resolve(self, path: bytes | str) -> Found | None:
        """The entry at a path, with symlinks followed inside the root; None when there is none or the links loop."""
        found = root = self.root()
        queue = list(reversed(os.fsencode(path).split(b"/")))
        links = 0
        while queue and found is not None and root is not None:
            name = queue.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                found = self.lookup(found.at[:-1])
                continue
            if not found.dirs:
                return None
            parent, found = found, self.child(found, name)
            if found is not None and stat.S_ISLNK(found.info.st_mode):
                links += 1
                if links > _MAX_LINKS:
                    return None
                target = os.readlink(found.path)
                queue.extend(reversed(target.split(b"/")))
                found = root if target.startswith(b"/") else parent
        return found

    def names(self, directory: Found) -> list[bytes]:
        """The names in a directory of the view, sorted; whiteouts are left out by :meth:`child`."""
        names: set[bytes] = set()
        for path in directory.dirs:
            names.update(os.listdir(path))
        return sorted(names)


def split(path: bytes) -> tuple[bytes, ...]:
    """The components of a path; ".." never leaves the root."""
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return tuple(parts)


def is_opaque(path: bytes) -> bool:
    """Whether a directory of a layer hides all of the lower ones'."""
    try:
        return os.getxattr(path, "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False
