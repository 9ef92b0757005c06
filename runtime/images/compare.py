"""Whether a layer's directory is still what its tar makes: kinds, owners, modes, times, links, attributes, names.

The digest of the tar says that contents and headers are right; this says that the files have what the headers say.
"""

from __future__ import annotations

import os
import stat

from runtime.errors import BadArchive
from runtime.images.directories import keeps, show_path
from runtime.images.expected import Expected, Node
from runtime.images.merged import Merged, is_opaque
from runtime.images.tape import play
from runtime.images.tar import Source, TarReader
from runtime.tree import is_whiteout, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    At = tuple[bytes, ...]

_ACLS = ("system.posix_acl_access", "system.posix_acl_default")


def layer_problem(place: str, below: Sequence[str], diff_id: str, left_out: Sequence[str]) -> str:
    """What is wrong with a layer of the store, as a sentence; empty when nothing is.

    ``below``: directories of the layers under it, lowest first. ``left_out``: the warnings of its unpacking. Raises
    RuntimeFault when it has no tape and OSError for files that cannot be read.
    """
    from hashlib import sha256

    digest = sha256()
    expected = Expected(Merged(reversed(below)))
    try:
        root = expected.run(TarReader(Source(play(place), digest)))
    except BadArchive as error:
        return f"what was kept of its tar is damaged: {error.message.partition(': ')[2]}"
    found = next(iter(Comparison(f"{place}/diff", left_out).problems(root)), "")
    if not found and f"sha256:{digest.hexdigest()}" != diff_id:
        return "its files were changed in the store"
    return found


class Comparison:
    """Of one tree. ``left_out``: warnings of its unpacking: attributes that the file system would not take."""

    def __init__(self, diff: str, left_out: Sequence[str]) -> None:
        self._diff = os.fsencode(diff)
        self._refused = {text.split()[3].rstrip(":") for text in left_out if text.startswith("left out extended ")}
        self._inodes: dict[int, int] = {}  # of nodes with several names: id(node) -> inode
        self._inherited = False  # a default ACL gives what is made below it one too

    def problems(self, root: Node) -> Iterator[str]:
        """One sentence for each file that is not as it must be."""
        yield from self._one((), self._diff, root, os.lstat(self._diff))
        stack: list[tuple[At, Node]] = [((), root)]
        while stack:
            at, node = stack.pop()
            left = dict(node.children or {})
            with os.scandir(self._diff + b"/" + b"/".join(at)) as entries:
                for entry in entries:
                    here = (*at, entry.name)
                    child = left.pop(entry.name, None)
                    if child is None:
                        yield f"{show_path(here)} was added"
                        continue
                    info = entry.stat(follow_symlinks=False)
                    yield from self._one(here, entry.path, child, info)
                    if child.children is not None and stat.S_ISDIR(info.st_mode):
                        stack.append((here, child))
            for name in left:
                yield f"{show_path((*at, name))} is missing"

    def _one(self, at: At, path: bytes, node: Node, info: os.stat_result) -> Iterator[str]:
        if stat.S_IFMT(info.st_mode) != stat.S_IFMT(node.mode):
            yield f"{_show(at)} is a {kind_of(info.st_mode)}, not a {kind_of(node.mode)}"
            return
        text = self._difference(path, node, info)
        if text:
            yield f"{_show(at)} {text}"

    def _difference(self, path: bytes, node: Node, info: os.stat_result) -> str:
        is_link = stat.S_ISLNK(info.st_mode)
        if info.st_mode != node.mode and not is_link and not is_whiteout(info):
            return f"has mode {stat.S_IMODE(info.st_mode):04o}, not {stat.S_IMODE(node.mode):04o}"
        if (info.st_uid, info.st_gid) != (node.uid, node.gid):
            return f"belongs to {info.st_uid}:{info.st_gid}, not {node.uid}:{node.gid}"
        if stat.S_ISREG(info.st_mode) and info.st_size != node.size:
            return f"has {info.st_size} bytes, not {node.size}"
        if node.mtime_ns is not None and info.st_mtime_ns != node.mtime_ns and not _rounded(info.st_mtime_ns, node):
            return f"was changed at {_time(info.st_mtime_ns)}, not {_time(node.mtime_ns)}"
        if info.st_rdev != node.rdev:
            return f"is device {_device(info.st_rdev)}, not {_device(node.rdev)}"
        if is_link and os.readlink(path) != node.link:
            return f"leads to {show_path((os.readlink(path),))}, not {show_path((node.link,))}"
        if node.names > 1 and self._inodes.setdefault(id(node), info.st_ino) != info.st_ino:
            return "is not the file any more that its other names are"
        if node.copied and not _same_content(path, node.copied):
            return "has another content"
        return "" if is_link else self._attributes(path, node)

    def _attributes(self, path: bytes, node: Node) -> str:
        if node.children is not None and is_opaque(path) != node.opaque:
            return "is opaque, and should not be" if not node.opaque else "is not opaque any more"
        wanted = node.xattrs or {}
        self._inherited = self._inherited or _ACLS[1] in wanted
        names = {name for name in os.listxattr(path, follow_symlinks=False) if keeps(name)}
        if self._inherited:
            names -= {name for name in _ACLS if name not in wanted}
        for name in sorted((names | wanted.keys()) - self._refused):
            if name not in wanted:
                return f"has the extended attribute {name}, and should not"
            if name not in names or os.getxattr(path, name, follow_symlinks=False) != wanted[name]:
                return f"has not the extended attribute {name} that it had"
        return ""


def _same_content(path: bytes, other: bytes) -> bool:
    try:
        with open(path, "rb") as one, open(other, "rb") as two:
            while data := one.read(1 << 20):
                if data != two.read(len(data)):
                    return False
            return not two.read(1)
    except FileNotFoundError:
        return False


def _show(at: At) -> str:
    return show_path(at or (b"/",))


def _rounded(ns: int, node: Node) -> bool:
    """Whether a file system that keeps whole seconds, or none after 2038, made this of the node's time."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return rest == 0 and seconds == min((node.mtime_ns or 0) // 1_000_000_000, (1 << 31) - 1)


def _time(ns: int) -> str:
    import time

    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ns // 1_000_000_000))}.{ns % 1_000_000_000:09d}Z"


def _device(number: int) -> str:
    return f"{os.major(number)}:{os.minor(number)}"
