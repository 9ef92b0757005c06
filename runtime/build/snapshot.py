"""A directory of changes (an overlay's upper, or what COPY wrote) as a layer: cleaned, and as the tar that names it.

The tar is the same for the same files, byte for byte: entries in order of their paths, ustar with PAX where needed. Its
sha256 is the layer's diff id, and ``push`` and ``save`` must give out exactly these bytes.
"""

from __future__ import annotations

import os
import stat

from runtime.build.copying import copy_content
from runtime.images.directories import keeps
from runtime.images.merged import Merged, is_opaque
from runtime.images.tar import BLOCK, Entry
from runtime.images.tar_write import END, encode_entry
from runtime.tree import is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_CHUNK = 1 << 20
_TYPES = {stat.S_IFDIR: b"5", stat.S_IFLNK: b"2", stat.S_IFCHR: b"3", stat.S_IFBLK: b"4", stat.S_IFIFO: b"6"}


def settle(diff: str, below: Sequence[str], stubs: Sequence[str] = ()) -> int:
    """Make a fresh upper directory a layer; the bytes of file content in it.

    ``below``: the layers under it, top first. ``stubs``: mount points that were made for it, deepest last; they go
    again when they are still empty. Whiteouts that hide nothing go too: overlayfs would list them.
    """
    for stub in reversed(stubs):
        _remove_stub(f"{diff}{stub}")
    lower = Merged(below)
    size = 0
    stack: list[tuple[bytes, tuple[bytes, ...]]] = [(os.fsencode(diff), ())]
    seen: set[tuple[int, int]] = set()
    while stack:
        directory, at = stack.pop()
        for name in os.listdir(directory):
            path, here = directory + b"/" + name, (*at, name)
            info = os.lstat(path)
            if stat.S_ISDIR(info.st_mode):
                stack.append((path, here))
            elif is_whiteout(info) and lower.lookup(here) is None:
                os.unlink(path)
            elif stat.S_ISSOCK(info.st_mode):
                os.unlink(path)  # a layer cannot hold one
            elif stat.S_ISREG(info.st_mode) and (info.st_dev, info.st_ino) not in seen:
                size += info.st_size
                if info.st_nlink > 1:
                    seen.add((info.st_dev, info.st_ino))
    return size


def _remove_stub(path: str) -> None:
    try:
        info = os.lstat(path)
        if stat.S_ISDIR(info.st_mode):
            os.rmdir(path)
        elif stat.S_ISREG(info.st_mode) and info.st_size == 0:
            os.unlink(path)
    except OSError:
        return  # the command took it away, or put something into it


def diff_id(diff: str, leave: Callable[[], bool] = lambda: False) -> str:
    """The layer's diff id: the sha256 of its tar. Empty when ``leave``, asked after each piece, says so."""
    from hashlib import sha256

    digest = sha256()
    for chunk in tar_chunks(diff):
        if leave():
            return ""
        digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def tar_chunks(diff: str) -> Iterator[bytes]:
    """The layer as an uncompressed tar."""
    links: dict[tuple[int, int], bytes] = {}
    for path, name, info in _walk(os.fsencode(diff), b""):
        entry = _entry(path, name, info, links)
        if entry is not None:
            yield encode_entry(entry)
            if entry.type == b"0" and entry.size:
                yield from _content(path, entry.size)
            if entry.type == b"5" and is_opaque(path):
                yield encode_entry(Entry(name + b"/.wh..wh..opq", b"0", 0o600))
    yield END


def _walk(directory: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes, os.stat_result]]:
    """(path, name in the archive, lstat) below a directory, in order, each directory before what it holds."""
    stack = [_listing(directory, prefix)]
    while stack:
        if not stack[-1]:
            stack.pop()
            continue
        path, name = stack[-1].pop()
        info = os.lstat(path)
        yield path, name, info
        if stat.S_ISDIR(info.st_mode):
            stack.append(_listing(path, name + b"/"))


def _listing(directory: bytes, prefix: bytes) -> list[tuple[bytes, bytes]]:
    return [(directory + b"/" + name, prefix + name) for name in sorted(os.listdir(directory), reverse=True)]


def _entry(path: bytes, name: bytes, info: os.stat_result, links: dict[tuple[int, int], bytes]) -> Entry | None:
    mode, kind = stat.S_IMODE(info.st_mode), stat.S_IFMT(info.st_mode)
    if is_whiteout(info):
        head, slash, tail = name.rpartition(b"/")
        return Entry(head + slash + b".wh." + tail, b"0", 0o600)
    if kind == stat.S_IFREG:
        first = links.setdefault((info.st_dev, info.st_ino), name) if info.st_nlink > 1 else name
        if first != name:
            return Entry(name, b"1", mode, info.st_uid, info.st_gid, 0, info.st_mtime_ns, link=first)
    elif kind not in _TYPES:
        return None
    is_device = kind in (stat.S_IFCHR, stat.S_IFBLK)
    return Entry(
        name + b"/" if kind == stat.S_IFDIR else name,
        _TYPES.get(kind, b"0"),
        mode,
        info.st_uid,
        info.st_gid,
        info.st_size if kind == stat.S_IFREG else 0,
        info.st_mtime_ns,
        link=os.readlink(path) if kind == stat.S_IFLNK else b"",
        major=os.major(info.st_rdev) if is_device else 0,
        minor=os.minor(info.st_rdev) if is_device else 0,
        xattrs=_xattrs(path),
    )


def _xattrs(path: bytes) -> dict[str, bytes] | None:
    names = [name for name in os.listxattr(path, follow_symlinks=False) if keeps(name)]
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in sorted(names)} if names else None


def _content(path: bytes, size: int) -> Iterator[bytes]:
    """A file's bytes, padded to whole blocks."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        left = size
        while left > 0 and (chunk := os.read(fd, min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk
    finally:
        os.close(fd)
    if left:
        raise OSError(5, "the file has become shorter while it was read", os.fsdecode(path))
    yield bytes(-size % BLOCK)


def copy_changes(source: str, target: str) -> None:
    """Copy an overlay's upper directory as it is, with whiteouts and opaque marks, into an empty directory."""
    links: dict[tuple[int, int], bytes] = {}
    times = [(os.fsencode(target), os.lstat(source))]
    _copy_attributes(os.fsencode(source), os.fsencode(target), os.lstat(source))
    for path, name, info in _walk(os.fsencode(source), b""):
        place = os.fsencode(target) + b"/" + name
        first = links.get((info.st_dev, info.st_ino)) if info.st_nlink > 1 else None
        if first is not None and not stat.S_ISDIR(info.st_mode):
            os.link(first, place, follow_symlinks=False)
            continue
        links[(info.st_dev, info.st_ino)] = place
        if not _make(path, place, info):
            continue
        _copy_attributes(path, place, info)
        if stat.S_ISDIR(info.st_mode):
            times.append((place, info))
    for place, info in reversed(times):
        os.utime(place, ns=(info.st_mtime_ns, info.st_mtime_ns))


def _make(path: bytes, place: bytes, info: os.stat_result) -> bool:
    """The entry itself; false for a socket, which a layer cannot hold."""
    if stat.S_ISDIR(info.st_mode):
        os.mkdir(place, 0o700)
    elif stat.S_ISLNK(info.st_mode):
        os.symlink(os.readlink(path), place)
    elif stat.S_ISREG(info.st_mode):
        fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copy_content(path, fd, info.st_size)
        finally:
            os.close(fd)
    elif stat.S_ISSOCK(info.st_mode):
        return False
    else:
        os.mknod(place, info.st_mode, info.st_rdev)
    return True


def _copy_attributes(path: bytes, place: bytes, info: os.stat_result) -> None:
    os.chown(place, info.st_uid, info.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(info.st_mode):
        os.chmod(place, stat.S_IMODE(info.st_mode))
        for name in os.listxattr(path, follow_symlinks=False):
            if keeps(name) or name == "trusted.overlay.opaque":
                os.setxattr(place, name, os.getxattr(path, name, follow_symlinks=False), follow_symlinks=False)
    if stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode):
        os.utime(place, ns=(info.st_mtime_ns, info.st_mtime_ns), follow_symlinks=False)
