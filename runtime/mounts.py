"""Performs the operations of runtime/rootfs.py with the new mount API: everything is a descriptor, no path is trusted.

A destination is opened below the container's root (openat2, RESOLVE_IN_ROOT), missing parts are made by handle, and a
detached mount is moved onto the descriptor. What an image or another container does to the path meanwhile is of no
consequence.
"""

from __future__ import annotations

import errno
import os
import stat

from runtime.devices import LINKS
from runtime.linux import mount as m
from runtime.linux.process import CLONE_NEWNS, setns
from runtime.overlay import detached_root, new_filesystem, overlay, sealed_executable, settle_upper
from runtime.rootfs import Bind, Cgroups, Content, Dev, Filesystem, SharedMemory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.devices import Node
    from runtime.rootfs import Operation

_PATH = os.O_PATH | os.O_CLOEXEC
_INSIDE = m.RESOLVE_IN_ROOT | m.RESOLVE_NO_MAGICLINKS
_STRICT = _INSIDE | m.RESOLVE_NO_SYMLINKS
_BENEATH = m.RESOLVE_BENEATH | m.RESOLVE_NO_SYMLINKS | m.RESOLVE_NO_MAGICLINKS
_DEV_ATTRIBUTES = m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_STRICTATIME
_ALL_SAFE = m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NODEV | m.MOUNT_ATTR_NOEXEC


class Refused(OSError):
    """The image has something at the place that no mount may go on."""


# -- destinations


def open_inside(root: int, path: str, *, strict: bool = False) -> int:
    """The path below ``root`` as an O_PATH descriptor; ``strict`` refuses symbolic links. Raises OSError."""
    return m.openat2(root, os.fsencode(path.lstrip("/")) or b".", _PATH, _STRICT if strict else _INSIDE)


def ensure_inside(
    root: int, path: str, *, directory: bool, strict: bool = False, links: int = 0, mode: int = 0o755
) -> int:
    """As :func:`open_inside`, but what is missing is made: directories, at the end a directory or an empty file.

    A dangling link (an image's /etc/resolv.conf into /run is common) is followed below the root, by hand, since the
    kernel follows only to what exists. ``mode``: of a directory that is made at the end.
    """
    try:
        return open_inside(root, path, strict=strict)
    except FileNotFoundError:
        pass
    parent, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    above = ensure_inside(root, parent, directory=True, strict=strict, links=links) if parent else os.dup(root)
    try:
        _create(above, os.fsencode(name), directory, mode)
        return m.openat2(above, os.fsencode(name), _PATH | os.O_NOFOLLOW, _BENEATH)
    except FileExistsError:
        if strict or links > 20:
            raise
        target = os.readlink(name, dir_fd=above)
        followed = target if target.startswith("/") else f"{parent}/{target}"
        return ensure_inside(root, followed, directory=directory, links=links + 1, mode=mode)
    finally:
        os.close(above)


def _create(parent: int, name: bytes, directory: bool, mode: int) -> None:
    """By handle and without following: a dangling link at ``name`` is an error (EEXIST)."""
    if directory:
        os.mkdir(name, 0o755, dir_fd=parent)
        if mode != 0o755:  # mkdir(2) knows no sticky bit under a umask
            os.chmod(name, mode, dir_fd=parent)
    else:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=parent))


# -- operations


class Tree:
    """A container's file tree under construction: ``root`` is the attached root mount.

    ``sources`` are the detached copies of bind sources, taken before the new root hid any path. ``vault`` is a private
    tmpfs for the contents of files. ``proc``: the container's procfs, for settings. ``null``: a verified /dev/null.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self.sources: dict[str, int] = {}
        self.files: dict[str, int] = {}
        self.proc = self.dev = self.pts = -1
        self.null_dir = -1
        self._mask = -1

    def attach(self, mount: int, target: int, name: bytes = b"") -> None:
        m.move_mount(mount, target, name)

    # Before the root is in place: everything that is looked up on the host.

    def collect(self, operation: Operation, own_mounts: int) -> None:
        """Take a detached copy of what the operation needs of the host; ``own_mounts``: our mount namespace."""
        if isinstance(operation, Bind):
            self.sources[operation.destination] = bind_source(
                operation.source, operation.within, operation.layers, recursive=operation.recursive
            )
        elif isinstance(operation, Cgroups) and not operation.unified_only:
            for point, directory in operation.hierarchies:
                self.sources[point] = m.open_tree(os.fsencode(directory), recursive=False)
        elif isinstance(operation, SharedMemory):
            self.sources[operation.destination] = _shared_memory(operation.pid, own_mounts)

    def fill_vault(self, operations: tuple[Operation, ...], staging: bytes) -> None:
        """Write the contents of files, and a null device, to a tmpfs attached at ``staging``, if anyone needs it."""
        contents = [operation for operation in operations if isinstance(operation, Content)]
        if contents or not any(isinstance(operation, Dev) for operation in operations):
            self._fill_vault(contents, staging)

    def _fill_vault(self, contents: list[Content], staging: bytes) -> None:
        vault = new_filesystem(b"tmpfs", ((b"mode", b"0700"),), m.MOUNT_ATTR_NOSUID)
        target = os.open(staging, _PATH | os.O_DIRECTORY)
        self.attach(vault, target)
        os.close(target)
        os.mknod(b"null", stat.S_IFCHR | 0o666, os.makedev(1, 3), dir_fd=vault)
        self.null_dir = vault
        for index, content in enumerate(contents):
            name = b"%d" % index
            fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=vault)
            _write_all(fd, content.content)
            os.fchown(fd, content.uid, content.gid)
            os.fchmod(fd, content.mode)
            os.close(fd)
            source = m.open_tree(name, at=vault, recursive=False)
            safe = _ALL_SAFE & ~m.MOUNT_ATTR_NOEXEC if content.mode & 0o111 else _ALL_SAFE  # a script is to be run
            m.mount_setattr(source, set_=m.MOUNT_ATTR_RDONLY | safe, propagation=m.MS_PRIVATE)
            self.files[content.destination] = source

    # In place.

    def perform(self, operation: Operation) -> None:
        """One operation. Raises OSError."""
        if isinstance(operation, Filesystem):
            self._filesystem(operation)
        elif isinstance(operation, Bind):
            self._bind(operation)
        elif isinstance(operation, Dev):
            self._dev(operation)
        elif isinstance(operation, Cgroups):
            self._cgroups(operation)
        elif isinstance(operation, SharedMemory):
            self._place(self.sources.pop(operation.destination), operation.destination, directory=True)
        else:
            self._place(self.files.pop(operation.destination), operation.destination, directory=False)

    def _place(
        self, mount: int, destination: str, *, directory: bool, strict: bool = False, keep: bool = False
    ) -> None:
        target = ensure_inside(self.root, destination, directory=directory, strict=strict)
        if stat.S_ISDIR(os.fstat(target).st_mode) != directory:
            raise Refused(errno.ENOTDIR, "a file and a directory cannot stand for each other")
        self.attach(mount, target)
        os.close(target)
        if not keep:
            os.close(mount)

    def _filesystem(self, operation: Filesystem) -> None:
        options = [(key.encode(), value.encode()) for key, value in operation.options]
        if operation.type == "tmpfs" and operation.destination != "/dev/shm":
            options = self._inherit_mode(operation.destination, options)
        mount = new_filesystem(operation.type.encode(), tuple(options), operation.attributes)
        keep = operation.destination in ("/proc", "/dev/pts")
        self._place(mount, operation.destination, directory=True, strict=operation.real_directory, keep=keep)
        if operation.destination == "/proc":
            self.proc = mount
        elif operation.destination == "/dev/pts":
            self.pts = mount

    def _inherit_mode(self, destination: str, options: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """A tmpfs over an existing directory looks like that directory, unless its mode is given.

        Without one it is everyone's, as in runc; the directory is made so, for the next start to find.
        """
        given = {key for key, _value in options}
        target = ensure_inside(self.root, destination, directory=True, mode=0o1777)
        info = os.fstat(target)
        os.close(target)
        found = (
            (b"mode", b"%o" % stat.S_IMODE(info.st_mode)),
            (b"uid", b"%d" % info.st_uid),
            (b"gid", b"%d" % info.st_gid),
        )
        return options + [row for row in found if row[0] not in given]

    def _bind(self, operation: Bind) -> None:
        source = self.sources.pop(operation.destination)
        if not operation.everywhere:
            m.mount_setattr(source, propagation=operation.propagation, recursive=True)
        m.mount_setattr(
            source,
            set_=operation.set,
            clear=operation.clear,
            propagation=operation.propagation,
            recursive=operation.everywhere,
        )
        is_directory = stat.S_ISDIR(os.fstat(source).st_mode)
        self._place(source, operation.destination, directory=is_directory)

    def _dev(self, operation: Dev) -> None:
        options = ((b"mode", b"755"), (b"size", b"65536k"))
        dev = new_filesystem(b"tmpfs", options, _DEV_ATTRIBUTES)
        for node in operation.nodes:
            _make_node(dev, node)
        for name, target in LINKS:
            os.symlink(target, name, dir_fd=dev)
        for directory in (b"pts", b"mqueue", b"shm"):
            os.mkdir(directory, 0o755, dir_fd=dev)
        self._place(dev, "/dev", directory=True, strict=True, keep=True)
        self.dev = dev
        if self.null_dir < 0:
            self.null_dir = dev

    def _cgroups(self, operation: Cgroups) -> None:
        attributes = _ALL_SAFE | (m.MOUNT_ATTR_RDONLY if operation.readonly else 0)
        if operation.unified_only:
            self._place(new_filesystem(b"cgroup2", (), attributes), operation.destination, directory=True)
            return
        top = new_filesystem(b"tmpfs", ((b"mode", b"755"),), _ALL_SAFE)
        for point, _directory in operation.hierarchies:
            os.mkdir(os.path.basename(point), 0o755, dir_fd=top)
            _link_controllers(top, os.path.basename(point))
        self._place(top, operation.destination, directory=True, keep=True)
        for point, _directory in operation.hierarchies:
            source = self.sources.pop(point)
            m.move_mount(source, top, os.fsencode(os.path.basename(point)))
            os.close(source)
        m.mount_setattr(top, set_=attributes, propagation=m.MS_PRIVATE, recursive=True)
        os.close(top)

    # At the end.

    def mask(self, path: str) -> None:
        """Hide a path: a file under /dev/null, a directory under an empty read-only tmpfs. A missing path is fine."""
        try:
            target = open_inside(self.root, path, strict=True)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return
            raise
        if stat.S_ISDIR(os.fstat(target).st_mode):
            self._mask_directory(target)
        else:
            source = m.open_tree(b"null", at=self.null_dir, recursive=False, follow=False)
            info = os.fstat(source)
            if not stat.S_ISCHR(info.st_mode) or info.st_rdev != os.makedev(1, 3):
                raise Refused(errno.EINVAL, "/dev/null is not the null device")
            m.mount_setattr(source, set_=m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NOEXEC)
            self.attach(source, target)
            os.close(source)
        os.close(target)

    def _mask_directory(self, target: int) -> None:
        """One tmpfs serves all masked directories, so that a container costs one superblock for them."""
        attributes = _ALL_SAFE | m.MOUNT_ATTR_RDONLY
        if self._mask < 0:
            options = ((b"mode", b"755"), (b"nr_blocks", b"1"), (b"nr_inodes", b"2"))
            self._mask = new_filesystem(b"tmpfs", options, attributes)
            self.attach(self._mask, target)
        else:
            copy = m.open_tree(b"", at=self._mask, recursive=False)
            self.attach(copy, target)
            os.close(copy)

    def make_readonly(self, path: str) -> None:
        """Bind a path on itself, read-only with all below. A missing path is fine."""
        try:
            target = open_inside(self.root, path, strict=True)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return
            raise
        copy = m.open_tree(b"", at=target)
        m.mount_setattr(copy, set_=m.MOUNT_ATTR_RDONLY, propagation=m.MS_PRIVATE, recursive=True)
        self.attach(copy, target)
        os.close(copy)
        os.close(target)


def bind_source(source: str, within: str, layers: tuple[str, ...] = (), *, recursive: bool = True) -> int:
    """A detached copy of the source; below ``within`` symbolic links are resolved as if that were the root.

    ``layers``: a stack of directories instead.
    """
    if len(layers) > 1:
        return overlay(layers, "", "", False)
    if not within:
        return m.open_tree(os.fsencode(source), recursive=recursive)
    top = os.open(within, _PATH | os.O_DIRECTORY)
    found = open_inside(top, source[len(within) :])
    copy = m.open_tree(b"", at=found, recursive=recursive)
    os.close(found)
    os.close(top)
    return copy


def _make_node(dev: int, node: Node) -> None:
    """mknod below the container's /dev, with the exact mode and owner."""
    parts = node.path.removeprefix("/dev/").split("/")
    directory = dev if len(parts) == 1 else ensure_inside(dev, "/".join(parts[:-1]), directory=True, strict=True)
    try:
        os.mknod(parts[-1], node.mode, os.makedev(node.major, node.minor), dir_fd=directory)
    except FileExistsError:
        return
    finally:
        if directory != dev:
            os.close(directory)
    if node.uid or node.gid:
        os.chown(node.path.removeprefix("/dev/"), node.uid, node.gid, dir_fd=dev, follow_symlinks=False)


def _link_controllers(top: int, name: str) -> None:
    if "," in name:
        for controller in name.split(","):
            os.symlink(name, controller, dir_fd=top)


def _shared_memory(pid: int, own_mounts: int) -> int:
    """A copy of another container's /dev/shm: only from inside its mount namespace may it be taken."""
    if pid == 0:
        return m.open_tree(b"/dev/shm")
    other = os.open(b"/proc/%d/ns/mnt" % pid, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(other, CLONE_NEWNS)
        return m.open_tree(b"/dev/shm", follow=False)
    finally:
        setns(own_mounts, CLONE_NEWNS)
        os.close(other)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


__all__ = [
    "Refused",
    "Tree",
    "detached_root",
    "ensure_inside",
    "open_inside",
    "sealed_executable",
    "settle_upper",
]
