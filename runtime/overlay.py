"""A container's root: the overlay mount, and the life of its upper directory."""

from __future__ import annotations

import errno
import os

from runtime.errors import RuntimeFault
from runtime.linux import mount as m
from runtime.linux.identity import boot_id
from runtime.linux.process import CLONE_FS, unshare
from runtime.volatile import boot_record, marker, remove_marker, upper_is_dirty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.paths import Bundle, Roots
    from runtime.spec import ContainerSpec

_PATH = os.O_PATH | os.O_CLOEXEC


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
        if upper:
            for key, path in ((b"upperdir", upper), (b"workdir", work)):
                fds.append(os.open(path, _PATH | os.O_DIRECTORY))
                m.fsconfig_string(context, key, _short(os.path.abspath(os.fsencode(path)), fds[-1]))
        for key in (b"metacopy", b"redirect_dir", b"index", b"xino"):
            m.fsconfig_string(context, key, b"off")
        if volatile:
            m.fsconfig_flag(context, b"volatile")
        _create(context, fds[: len(layers)])
        return m.fsmount(context)
    finally:
        for fd in (context, *fds):
            os.close(fd)


def _create(context: int, lower: list[int]) -> None:
    """The superblock over these layers: given by descriptor (6.13), by one string each (6.8), or in one string."""
    try:
        for fd in lower:
            m.fsconfig_fd(context, b"lowerdir+", fd)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # before 6.5: that kernel takes any name of an option, and fails at the end
            return _create_by_names(context, lower)
        if error.errno not in (errno.EINVAL, errno.EBADF):  # before 6.13: EBADF, for it took no O_PATH descriptor
            raise
        try:
            for fd in lower:
                m.fsconfig_string(context, b"lowerdir+", b"/proc/self/fd/%d" % fd)
        except OSError:
            return _create_by_names(context, lower)
    return m.fsconfig_create(context)


def _create_by_names(context: int, lower: list[int]) -> None:
    """With all layers in one string of 255 bytes, which holds 128 names of one letter below the working directory."""
    joined = b":".join(b"/proc/self/fd/%d" % fd for fd in lower)
    if len(joined) < 256:
        m.fsconfig_string(context, b"lowerdir", joined)
        return m.fsconfig_create(context)
    links = new_filesystem(b"tmpfs", ((b"mode", b"0700"),))
    unshare(CLONE_FS)  # the working directory of this thread alone
    home = os.open(".", _PATH | os.O_DIRECTORY)
    try:
        names = [bytes((code,)) for code in range(1, 256) if code not in b"/:,\\."]
        for name, fd in zip(names, lower):
            os.symlink(b"/proc/self/fd/%d" % fd, name, dir_fd=links)
        os.fchdir(links)
        m.fsconfig_string(context, b"lowerdir", b":".join(names[: len(lower)]))
        return m.fsconfig_create(context)
    finally:
        os.fchdir(home)
        os.close(home)
        os.close(links)


def _short(path: bytes, fd: int) -> bytes:
    """fsconfig(2) takes 255 bytes."""
    return path if len(path) < 256 else b"/proc/self/fd/%d" % fd


# -- an overlay's upper directory, which is volatile: no sync on unmount, and no second mount until it is settled


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
            "up makes it anew; its volumes are kept",
        )
    remove_marker(bundle)
    boot = boot_id().encode()
    fd = os.open(boot_record(bundle), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.read(fd, 64) != boot:
            os.ftruncate(fd, 0)
            os.pwrite(fd, boot, 0)
    finally:
        os.close(fd)


def settle_upper(bundle: Bundle) -> None:
    """After the container's end: write its files to disk, then drop the mark. Nothing to do twice."""
    if not os.path.isdir(marker(bundle)):
        return
    fd = os.open(bundle.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        m.syncfs(fd)
    finally:
        os.close(fd)
    remove_marker(bundle)


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


def files_view(spec: ContainerSpec, bundle: Bundle) -> int:
    """A read-only view of a container's files as a detached mount, running or not: what its image and its writes make,
    without volumes, /proc and the like. Its upper directory is one more lower layer here. Raises RuntimeFault."""
    written = (bundle.upper,) if os.path.isdir(bundle.upper) else ()
    try:
        return overlay((*written, *spec.rootfs.layers), "", "", volatile=False)
    except OSError as error:
        raise RuntimeFault(f"cannot open the files of container {bundle.id[:12]}: {error.strerror}") from error


# -- the interpreter


def sealed_executable(path: str, below: str) -> int:
    """An O_PATH descriptor of the executable on a read-only overlay view of its directory.

    A process started from it (``os.execve(fd, ...)``) shows in its /proc/PID/exe a file that nobody can write, whatever
    the rights: the container's init is this interpreter until it executes the container's program. ``below``: any other
    directory, because an overlay takes no single layer, and a detached one only from Linux 6.15 on. Raises OSError.
    """
    directory, name = os.path.split(os.path.realpath(path))
    context = m.fsopen(b"overlay")
    fds: list[int] = []
    view = -1
    try:
        fds += [os.open(layer, _PATH | os.O_DIRECTORY) for layer in (directory, below)]
        _create(context, fds)
        view = m.fsmount(context, m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NODEV)
        return os.open(name, _PATH | os.O_NOFOLLOW, dir_fd=view)
    finally:
        for fd in (context, view, *fds):
            if fd >= 0:
                os.close(fd)
