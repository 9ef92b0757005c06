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
from runtime.errors import RuntimeFault
from runtime.linux import mount as m
from runtime.linux.process import CLONE_NEWNS, boot_id, setns
from runtime.rootfs import Bind, Cgroups, Content, Dev, Filesystem, SharedMemory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.devices import Node
    from runtime.paths import Bundle, Roots
    from runtime.rootfs import Operation
    from runtime.spec import ContainerSpec

_PATH = os.O_PATH | os.O_CLOEXEC
_INSIDE = m.RESOLVE_IN_ROOT | m.RESOLVE_NO_MAGICLINKS
_STRICT = _INSIDE | m.RESOLVE_NO_SYMLINKS
_BENEATH = m.RESOLVE_BENEATH | m.RESOLVE_NO_SYMLINKS | m.RESOLVE_NO_MAGICLINKS
_DEV_ATTRIBUTES = m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_STRICTATIME
_ALL_SAFE = m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NODEV | m.MOUNT_ATTR_NOEXEC


class Refused(OSError):
    """The image has something at the place that no mount may go on."""


# -- the root


def new_filesystem(kind: bytes, options: tuple[tuple[bytes, bytes], ...], attributes: int = 0) -> int:
    """A detached mount of a new filesystem; an option with an empty value is a flag."""
    context = m.fsopen(kind)
    try:
        m.fsconfig_string(context, b"source", kind)
        for key, value in options:
            if value:
                m.fsconfig_string(context, key, value)
            else:
                m.fsconfig_flag(context, key)
        m.fsconfig_create(context)
        return m.fsmount(context, attributes)
    finally:
        os.close(context)


def overlay(layers: tuple[str, ...], upper: str, work: str, volatile: bool) -> int:
    """A detached overlay mount; ``layers`` top first. Raises OSError."""
    context = m.fsopen(b"overlay")
    fds: list[int] = []
    try:
        m.fsconfig_string(context, b"source", b"overlay")
        for layer in layers:
            fds.append(os.open(layer, _PATH | os.O_DIRECTORY))
        _set_layers(context, fds)
        if upper:
            for key, path in ((b"upperdir", upper), (b"workdir", work)):
                fds.append(os.open(path, _PATH | os.O_DIRECTORY))
                m.fsconfig_string(context, key, _short(os.fsencode(path), fds[-1]))
        for key in (b"metacopy", b"redirect_dir", b"index", b"xino"):
            m.fsconfig_string(context, key, b"off")
        if volatile:
            m.fsconfig_flag(context, b"volatile")
        m.fsconfig_create(context)
        return m.fsmount(context)
    finally:
        for fd in (context, *fds):
            os.close(fd)


def _set_layers(context: int, fds: list[int]) -> None:
    """Lower layers by descriptor (6.13), by one string each (6.8), or in one string (before)."""
    try:
        for fd in fds:
            m.fsconfig_fd(context, b"lowerdir+", fd)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        names = [b"/proc/self/fd/%d" % fd for fd in fds]
        try:
            for name in names:
                m.fsconfig_string(context, b"lowerdir+", name)
        except OSError:
            m.fsconfig_string(context, b"lowerdir", b":".join(names))


def _short(path: bytes, fd: int) -> bytes:
    """fsconfig(2) takes 255 bytes."""
    return path if len(path) < 256 else b"/proc/self/fd/%d" % fd


# -- an overlay's upper directory, which is volatile: no sync on unmount, and no second mount until it is settled


def _marker(bundle: Bundle) -> str:
    return f"{bundle.work}/work/incompat/volatile"


def _boot_record(bundle: Bundle) -> str:
    return f"{bundle.dir}/mounted"


def prepare_upper(bundle: Bundle) -> None:
    """Make upper and work, and take away the mark of an earlier mount in this boot.

    Raises RuntimeFault when the machine went down while the container's files were not yet on disk.
    """
    for path in (bundle.upper, bundle.work):
        try:
            os.mkdir(path, 0o755 if path == bundle.upper else 0o700)
        except FileExistsError:
            pass
    if upper_is_dirty(bundle):
        raise RuntimeFault(
            f"cannot start container {bundle.id[:12]}: the machine stopped before its files were written to disk",
            "remove the container and create it again",
        )
    _remove_marker(bundle)
    boot = boot_id().encode()
    fd = os.open(_boot_record(bundle), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.read(fd, 64) != boot:
            os.ftruncate(fd, 0)
            os.pwrite(fd, boot, 0)
    finally:
        os.close(fd)


def _remove_marker(bundle: Bundle) -> None:
    try:
        for name in os.listdir(_marker(bundle)):  # the kernel's "dirty"
            os.unlink(f"{_marker(bundle)}/{name}")
    except FileNotFoundError:
        return
    for path in (_marker(bundle), os.path.dirname(_marker(bundle))):
        try:
            os.rmdir(path)
        except (FileNotFoundError, NotADirectoryError):
            return


def upper_is_dirty(bundle: Bundle) -> bool:
    """Whether files written by the container may be lost: marked volatile, and by another boot than this."""
    if not os.path.isdir(_marker(bundle)):
        return False
    try:
        with open(_boot_record(bundle), encoding="ascii") as file:
            return file.read() != boot_id()
    except FileNotFoundError:
        return True


def settle_upper(bundle: Bundle) -> None:
    """After the container's end: write its files to disk, then drop the mark. Nothing to do twice."""
    if not os.path.isdir(_marker(bundle)):
        return
    fd = os.open(bundle.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        m.syncfs(fd)
    finally:
        os.close(fd)
    _remove_marker(bundle)


_SKELETON_DIRECTORIES = ("dev", "etc", "proc", "sys")
_SKELETON_FILES = ("etc/hostname", "etc/hosts", "etc/resolv.conf")


def ensure_skeleton(roots: Roots) -> str:
    """A directory with the mount points that every container needs, for the bottom of every overlay.

    An image without /proc or /etc/hosts would have them made in each container's upper directory, which costs more than
    the mounts themselves. What the image has there hides this.
    """
    path = f"{roots.state}/skeleton"
    if os.path.exists(f"{path}/{_SKELETON_FILES[-1]}"):
        return path
    mask = os.umask(0o022)
    for name in _SKELETON_DIRECTORIES:
        os.makedirs(f"{path}/{name}", 0o755, exist_ok=True)
    for name in _SKELETON_FILES:
        os.close(os.open(f"{path}/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
    os.umask(mask)
    return path


def mount_root(layers: tuple[str, ...], bundle: Bundle) -> int:
    """The container's overlay as a detached mount, volatile where the filesystem below allows it."""
    try:
        return overlay(layers, bundle.upper, bundle.work, volatile=True)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return overlay(layers, bundle.upper, bundle.work, volatile=False)


def detached_root(spec: ContainerSpec, bundle: Bundle) -> int:
    """A stopped container's root as a detached mount (for copying files). Raises RuntimeFault."""
    prepare_upper(bundle)
    try:
        return overlay(spec.rootfs.layers, bundle.upper, bundle.work, volatile=False)
    except OSError as error:
        raise RuntimeFault(f"cannot open the files of container {bundle.id[:12]}: {error.strerror}") from error


# -- destinations


def open_inside(root: int, path: str, *, strict: bool = False) -> int:
    """The path below ``root`` as an O_PATH descriptor; ``strict`` refuses symbolic links. Raises OSError."""
    return m.openat2(root, os.fsencode(path.lstrip("/")) or b".", _PATH, _STRICT if strict else _INSIDE)


def ensure_inside(root: int, path: str, *, directory: bool, strict: bool = False, links: int = 0) -> int:
    """As :func:`open_inside`, but what is missing is made: directories, at the end a directory or an empty file.

    A dangling link (an image's /etc/resolv.conf into /run is common) is followed below the root, by hand, since the
    kernel follows only to what exists.
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
        _create(above, os.fsencode(name), directory)
        return m.openat2(above, os.fsencode(name), _PATH | os.O_NOFOLLOW, _BENEATH)
    except FileExistsError:
        if strict or links > 20:
            raise
        target = os.readlink(name, dir_fd=above)
        followed = target if target.startswith("/") else f"{parent}/{target}"
        return ensure_inside(root, followed, directory=directory, links=links + 1)
    finally:
        os.close(above)


def _create(parent: int, name: bytes, directory: bool) -> None:
    """By handle and without following: a dangling link at ``name`` is an error (EEXIST)."""
    if directory:
        os.mkdir(name, 0o755, dir_fd=parent)
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
            source = os.fsencode(operation.source)
            self.sources[operation.destination] = m.open_tree(source, recursive=operation.recursive)
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
        vault = new_filesystem(b"tmpfs", ((b"mode", b"0700"),), m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NOEXEC)
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
            m.mount_setattr(source, set_=m.MOUNT_ATTR_RDONLY | _ALL_SAFE, propagation=m.MS_PRIVATE)
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
        """A tmpfs over an existing directory looks like that directory, unless its mode is given."""
        given = {key for key, _value in options}
        target = ensure_inside(self.root, destination, directory=True)
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
        m.mount_setattr(
            source, set_=operation.set, clear=operation.clear, propagation=operation.propagation, recursive=True
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


def sealed_executable(path: str) -> int:
    """An O_PATH descriptor of the executable on a read-only overlay view of its directory.

    A process started from it (``os.execve(fd, ...)``) shows in its /proc/PID/exe a file that nobody can write, whatever
    the rights: the container's init is this interpreter until it executes the container's program. Raises OSError.
    """
    directory, name = os.path.split(os.path.realpath(path))
    context = m.fsopen(b"overlay")
    fds: list[int] = []
    view = -1
    try:
        empty = new_filesystem(b"tmpfs", ((b"mode", b"0755"), (b"nr_inodes", b"2")))
        fds = [os.open(directory, _PATH | os.O_DIRECTORY), empty]
        _set_layers(context, fds)
        m.fsconfig_create(context)
        view = m.fsmount(context, m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NODEV)
        return os.open(name, _PATH | os.O_NOFOLLOW, dir_fd=view)
    finally:
        for fd in (context, view, *fds):
            if fd >= 0:
                os.close(fd)
