"""The tree that a layer's tar makes, worked out in memory by the extractor's rules (unpack.py).

Names are followed as they were when the entry came: a later one may have replaced the symlink or directory on its way.
"""

from __future__ import annotations

import os
import stat

from runtime.errors import BadArchive
from runtime.images.directories import Directories, keeps, show_path
from runtime.images.merged import Merged, split
from runtime.images.tar import BLOCKDEV, CHAR, DIRECTORY, FIFO, FILE, HARDLINK, SYMLINK, Entry, TarReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.images.merged import Found

    At = tuple[bytes, ...]

_FORMATS = {
    FILE: stat.S_IFREG,
    DIRECTORY: stat.S_IFDIR,
    SYMLINK: stat.S_IFLNK,
    CHAR: stat.S_IFCHR,
    BLOCKDEV: stat.S_IFBLK,
    FIFO: stat.S_IFIFO,
}


class Node:
    """A file as it must be; hard links share one. ``mode``: with its type. ``mtime_ns``: None when it may be any.

    ``children``: of a directory. ``names``: how many it had. ``copied``: the file of a lower layer with its content.
    """

    __slots__ = (
        "children",
        "copied",
        "gid",
        "link",
        "mode",
        "mtime_ns",
        "names",
        "opaque",
        "rdev",
        "size",
        "uid",
        "xattrs",
    )

    def __init__(self, mode: int, uid: int, gid: int, size: int = 0, mtime_ns: int | None = None) -> None:
        self.mode, self.uid, self.gid, self.size, self.mtime_ns = mode, uid, gid, size, mtime_ns
        self.rdev = 0
        self.link = b""
        self.xattrs: dict[str, bytes] | None = None
        self.children: dict[bytes, Node] | None = {} if stat.S_ISDIR(mode) else None
        self.copied = b""
        self.opaque = False
        self.names = 1


class Expected(Directories):
    """``root``: the tree, after :meth:`run`. ``lower``: the layers below it."""

    def __init__(self, lower: Merged) -> None:
        super().__init__(-1, lower, None)
        self.root = Node(stat.S_IFDIR | 0o755, 0, 0)
        self._hidden: list[tuple[bytes, bytes]] = []
        self._opaque: list[bytes] = []

    def run(self, reader: TarReader) -> Node:
        for entry in reader:
            self._add(entry)
        self._finish()
        return self.root

    def node(self, at: At) -> Node | None:
        node = self.root
        for name in at:
            child = node.children.get(name) if node.children is not None else None
            if child is None:
                return None
            node = child
        return node

    def children(self, at: At) -> dict[bytes, Node]:
        """Of a directory that is known to be one."""
        node = self.node(at)
        if node is None or node.children is None:
            raise BadArchive(f"cannot unpack below {show_path(at)}: it is not a directory")
        return node.children

    def _step(self, here: At, at: At, make: bool) -> bytes | None:
        node = self.node(at)
        if node is None:
            return self._imply_node(at) if make else None
        if stat.S_ISLNK(node.mode):
            return node.link
        if node.children is None:
            raise BadArchive(f"cannot unpack below {show_path(at)}: it is not a directory")
        return b""

    def _imply_node(self, at: At) -> bytes:
        found = self.below(at)
        if found is not None and stat.S_ISLNK(found.info.st_mode):
            return os.readlink(found.path)
        made = _of(found) if found is not None and found.dirs else Node(stat.S_IFDIR | 0o755, 0, 0)
        self.children(at[:-1])[at[-1]] = made
        return b""

    def _add(self, entry: Entry) -> None:
        parent, _, name = entry.name.rpartition(b"/")
        if name in (b"", b".", b".."):
            parts = split(entry.name)
            if not parts:
                _set(self.root, entry)
                return
            parent, name = b"/".join(parts[:-1]), parts[-1]
        if name.startswith(b".wh."):
            if name == b".wh..wh..opq":
                self._opaque.append(parent)
            elif not name.startswith(b".wh..wh."):
                self._hidden.append((parent, name[4:]))
            return
        if entry.type == CHAR and entry.major == entry.minor == 0:
            return
        where = self.parent(parent)
        directory = self.children(where)
        known = directory.get(name)
        if known is not None and known.children is not None and entry.type == DIRECTORY:
            _set(known, entry)
        elif entry.type == HARDLINK:
            self._link(entry, (*where, name), known)
        else:
            directory[name] = _made(entry)
            if known is not None:
                self._parents.clear()

    def _link(self, entry: Entry, at: At, known: Node | None) -> None:
        parts = split(entry.link)
        where = self.walk(parts[:-1], make=True) or ()
        target = (*where, parts[-1])
        if known is not None and target == at:
            return
        node = self.node(target)
        if node is None:
            found = self.below(target)
            if found is None:
                raise BadArchive(f"cannot unpack {show_path((entry.name,))}: its link's target is missing")
            node = self.children(where)[target[-1]] = _of(found)
        node.names += 1
        self.children(at[:-1])[at[-1]] = node
        if known is not None:
            self._parents.clear()

    def _finish(self) -> None:
        opaque = {self.parent(path) for path in self._opaque}
        for at in opaque:
            node = self.node(at)
            assert node is not None
            node.opaque = True
        for parent, name in self._hidden:
            self._hide(parent, name, opaque)

    def _hide(self, parent: bytes, name: bytes, opaque: set[At]) -> None:
        where = self.walk(split(parent), make=False)
        if where is None and self.lower is not None:
            found = self.lower.resolve(b"/".join(split(parent)))
            where = found.at if found is not None and found.dirs else None
        if where is None or any(where[:depth] in opaque for depth in range(len(where) + 1)):
            return
        if self.below((*where, name)) is not None:
            here = self.parent(b"/".join(where))
            self.children(here).setdefault(name, Node(stat.S_IFCHR, 0, 0))


def _made(entry: Entry) -> Node:
    size = entry.size if entry.type == FILE else 0
    node = Node(_FORMATS[entry.type] | entry.mode, entry.uid, entry.gid, size, entry.mtime_ns)
    node.link = entry.link
    if entry.type in (CHAR, BLOCKDEV):
        node.rdev = os.makedev(entry.major, entry.minor)
    elif entry.type in (FILE, DIRECTORY) and entry.xattrs:
        node.xattrs = _kept(entry)
    return node


def _set(node: Node, entry: Entry) -> None:
    """A directory that comes again: the new attributes, beside extended ones that it had."""
    node.mode, node.uid, node.gid = stat.S_IFDIR | entry.mode, entry.uid, entry.gid
    node.mtime_ns = entry.mtime_ns
    if entry.xattrs:
        node.xattrs = {**(node.xattrs or {}), **_kept(entry)}


def _kept(entry: Entry) -> dict[str, bytes]:
    return {name: value for name, value in (entry.xattrs or {}).items() if keeps(name)}


def _of(found: Found) -> Node:
    """What the layer took over from one below it."""
    info = found.info
    node = Node(info.st_mode, info.st_uid, info.st_gid, 0, info.st_mtime_ns)
    node.rdev = info.st_rdev
    if stat.S_ISREG(info.st_mode):
        node.size, node.copied = info.st_size, found.path
    if stat.S_ISLNK(info.st_mode):
        node.link = os.readlink(found.path)
    else:
        names = [name for name in os.listxattr(found.path, follow_symlinks=False) if keeps(name)]
        node.xattrs = {name: os.getxattr(found.path, name, follow_symlinks=False) for name in names} or None
    return node
