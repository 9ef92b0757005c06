"""The first filling of a volume from its image, in steps that a kill cannot spoil.

The content is copied aside in full, then marked complete (``staged``), then moved in name by name. A later call finds
either no mark, and starts over, or the mark, and goes on moving. Moving into the data directory, not replacing it:
a container may have it mounted already.
"""

from __future__ import annotations

import errno
import os
import stat

from runtime.copy_tree import Copier
from runtime.images.merged import Found, Merged
from runtime.tree import open_directory, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec import Rootfs

_TEMPORARY = b".pycompose-filling"


def fill(home: str, rootfs: Rootfs, target: str) -> bool | None:
    """Fill ``home/_data``; the caller holds the volume's lock. True if filled, False if the image has nothing there.

    None when the volume has content of its own. An empty directory of the image gives its owner and mode only.
    """
    if not os.path.exists(f"{home}/staged"):
        if set(os.listdir(f"{home}/_data")) - {"lost+found"}:
            return None
        view = Merged(rootfs.layers, rootfs.binds)
        source = view.resolve(target)
        if source is None or not source.dirs:
            return False
        remove_tree(f"{home}/new")
        os.mkdir(f"{home}/new", 0o700)
        with Copier() as copier:
            _copy_merged(copier, view, source, f"{home}/new")
        if not os.listdir(f"{home}/new"):
            _give_attributes(f"{home}/new", f"{home}/_data")
            os.rmdir(f"{home}/new")
            return False
        os.close(os.open(f"{home}/staged", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    _move_in(home)
    return True


def _move_in(home: str) -> None:
    new, data = f"{home}/new", f"{home}/_data"
    if os.path.isdir(new):
        for name in os.listdir(new):
            if not os.path.lexists(f"{data}/{name}"):
                _move(new, data, name)
        _give_attributes(new, data)
        remove_tree(new)
    os.unlink(f"{home}/staged")


def _move(new: str, data: str, name: str) -> None:
    try:
        os.rename(f"{new}/{name}", f"{data}/{name}")
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_over(new, data, os.fsencode(name))


def _copy_over(new: str, data: str, name: bytes) -> None:
    """The data directory is another file system (driver_opts): a copy under a temporary name, then its own."""
    source, target = open_directory(new), open_directory(data)
    try:
        remove_tree(_TEMPORARY, target)
        with Copier() as copier:
            copier.copy(source, name, target, _TEMPORARY)
        os.rename(_TEMPORARY, name, src_dir_fd=target, dst_dir_fd=target)
    finally:
        os.close(source)
        os.close(target)


def _give_attributes(source: str, target: str) -> None:
    reader, writer = open_directory(source), open_directory(target)
    try:
        Copier().attributes(reader, writer)
    finally:
        os.close(reader)
        os.close(writer)


def _copy_merged(copier: Copier, view: Merged, directory: Found, target: str) -> None:
    """Copy a directory of the image's layers, as overlayfs would show it, into an existing one."""
    writer = open_directory(target)
    try:
        for name in view.names(directory):
            child = view.child(directory, name)
            if child is not None:
                _copy_child(copier, view, child, writer, name, target)
        reader = open_directory(directory.path)
        try:
            copier.attributes(reader, writer)
        finally:
            os.close(reader)
    finally:
        os.close(writer)


def _copy_child(copier: Copier, view: Merged, child: Found, writer: int, name: bytes, target: str) -> None:
    if stat.S_ISDIR(child.info.st_mode):
        path = f"{target}/{os.fsdecode(name)}"
        os.mkdir(path, 0o700)
        _copy_merged(copier, view, child, path)
        return
    folder, _, base = child.path.rpartition(b"/")
    reader = open_directory(folder)
    try:
        copier.copy(reader, base, writer, name)
    finally:
        os.close(reader)
