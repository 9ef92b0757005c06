"""The first filling of a volume from its image, in steps that a kill cannot spoil.

The content is copied aside in full, then marked complete (``staged``), then moved in name by name. A later call finds
either no mark, and starts over, or the mark, and goes on moving. Moving into the data directory, not replacing it:
a container may have it mounted already.
"""

from __future__ import annotations

import os
import stat

from runtime.copy_tree import Copier
from runtime.images.merged import Found, Merged
from runtime.tree import open_directory, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec import Rootfs

_STAGE = ".pycompose-filling"


def fill(home: str, rootfs: Rootfs, target: str) -> bool | None:
    """Fill ``home/_data``; the caller holds the volume's lock. True if filled, False if the image has nothing there.

    None when the volume has content of its own. An empty directory of the image gives its owner and mode only.
    """
    data = f"{home}/_data"
    # content is staged on the file system that it will stay on: driver_opts may have mounted another one
    stage = f"{home}/new" if os.stat(home).st_dev == os.stat(data).st_dev else f"{data}/{_STAGE}"
    if not (os.path.exists(f"{home}/staged") and os.path.isdir(stage)):
        if set(os.listdir(data)) - {"lost+found", _STAGE}:
            _forget(f"{home}/staged")
            return None
        if not _stage(stage, rootfs, target, data):
            return False
        os.close(os.open(f"{home}/staged", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for name in os.listdir(stage):
        if not os.path.lexists(f"{data}/{name}"):
            os.rename(f"{stage}/{name}", f"{data}/{name}")
    _give_attributes(stage, data)
    remove_tree(stage)
    _forget(f"{home}/staged")
    return True


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _stage(stage: str, rootfs: Rootfs, target: str, data: str) -> bool:
    """Copy what the image has at ``target`` to ``stage``; False, and nothing there, if that is nothing."""
    remove_tree(stage)
    view = Merged(rootfs.layers, rootfs.binds)
    source = view.resolve(target)
    if source is None or not source.dirs:
        return False
    os.mkdir(stage, 0o700)
    try:
        with Copier() as copier:
            _copy_merged(copier, view, source, stage)
    except OSError:
        remove_tree(stage)  # a full disk: give the space back
        raise
    if os.listdir(stage):
        return True
    _give_attributes(stage, data)
    os.rmdir(stage)
    return False


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
