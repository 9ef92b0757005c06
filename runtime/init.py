"""Pid 1's life before exec: an ordered list of named steps, run by the child of ``clone3``.

Everything it needs was computed before the clone (:class:`Box`); from ``enter the root`` on the rules of
runtime/inside.py hold.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import struct

from runtime.inside import (
    INSIDE,
    Entry,
    allocate_pty,
    execute,
    fail,
    join_keyring,
    leave_parent,
    report_ready,
    set_apparmor,
    set_oom_score,
)
from runtime.linux import mount as m
from runtime.linux import process as proc
from runtime.linux import task
from runtime.mounts import Tree, ensure_inside
from runtime.overlay import mount_root
from runtime.rootfs import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from runtime.paths import Bundle
    from runtime.rootfs import Operation
    from runtime.spec import ContainerSpec

SIOCSIFFLAGS, IFF_UP = 0x8914, 1


class Box(Entry):
    """What init needs besides."""

    spec: ContainerSpec
    bundle: Bundle
    layers: tuple[str, ...]
    operations: tuple[Operation, ...]
    masked: tuple[str, ...]
    readonly_paths: tuple[str, ...]
    staging: bytes
    vault: bytes
    joins: list[tuple[int, int]]
    task_files: list[bytes]
    unshare_cgroup: bool
    loopback: bool
    hostname: bytes
    domainname: bytes
    sysctls: list[tuple[bytes, bytes]]
    tree: Tree


# -- steps before the root is entered


def join_namespaces(box: Box) -> None:
    for fd, kind in box.joins:
        proc.setns(fd, kind)


def open_root(box: Box) -> None:
    """The overlay, detached. It is the slowest mount; meanwhile the shim makes the cgroups."""
    box.subject = b"the overlay of " + box.staging
    box.tree = Tree(mount_root(box.layers, box.bundle))


def enter_cgroup(box: Box) -> None:
    """Once the shim says that all limits stand; born in the v2 cgroup, and now a member of each of v1."""
    if os.read(box.channel.fileno(), 1) != b"G":
        os._exit(0)
    for path in box.task_files:
        box.subject = path
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, b"0")
        os.close(fd)
    if box.unshare_cgroup:  # after joining: the namespace's root is where its maker is
        proc.unshare(proc.CLONE_NEWCGROUP)


def raise_loopback(box: Box) -> None:
    if not box.loopback:
        return
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    fcntl.ioctl(sock.fileno(), SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    sock.close()


def set_names(box: Box) -> None:
    if box.hostname:
        task.sethostname(box.hostname)
    if box.domainname:
        task.setdomainname(box.domainname)


def assemble_root(box: Box) -> None:
    """Attach the root over the bundle's directory, in this mount namespace only, when all else is taken."""
    own = os.open(b"/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    staging = os.open(box.staging, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    root = box.tree.root
    # Sources first: afterwards "/" receives no more mounts from the host, and they would be peers of nothing.
    for operation in box.operations:
        box.subject = describe(operation).encode("utf-8", "surrogateescape")
        box.tree.collect(operation, own)
    m.set_propagation(b"/", m.MS_REC | m.MS_SLAVE)
    box.subject = b"files"
    box.tree.fill_vault(box.operations, box.vault)
    box.subject = box.staging
    m.mount_setattr(root, propagation=m.MS_PRIVATE)
    m.move_mount(root, staging)
    os.close(staging)
    os.close(own)


def mount_all(box: Box) -> None:
    for operation in box.operations:
        box.subject = describe(operation).encode("utf-8", "surrogateescape")
        box.tree.perform(operation)


def set_sysctls(box: Box) -> None:
    """Through the container's own procfs, which nothing could be mounted over."""
    for path, value in box.sysctls:
        box.subject = path
        fd = m.openat2(box.tree.proc, path, os.O_WRONLY, m.RESOLVE_BENEATH | m.RESOLVE_NO_SYMLINKS | m.RESOLVE_NO_XDEV)
        os.write(fd, value)
        os.close(fd)


def protect_exec(box: Box) -> None:
    set_apparmor(box, box.tree.proc)


def make_cwd(box: Box) -> None:
    """An image's working directory need not exist; what cannot be made is reported when it is entered."""
    box.subject = box.cwd
    try:
        os.close(ensure_inside(box.tree.root, box.cwd.decode("utf-8", "surrogateescape"), directory=True))
    except OSError:
        pass


def open_console(box: Box) -> None:
    """A pty of the container's own devpts, by handle; its terminal end becomes /dev/console too."""
    if not box.terminal:
        return
    box.master, slave = allocate_pty(box.tree.pts)
    if box.tree.dev >= 0:
        os.close(os.open(b"console", os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=box.tree.dev))
        console = m.open_tree(b"", at=slave, recursive=False)
        m.move_mount(console, box.tree.dev, b"console")
        os.close(console)
    box.stdio = (slave, slave, slave)


def hide_paths(box: Box) -> None:
    for path in box.readonly_paths:
        box.subject = path.encode()
        box.tree.make_readonly(path)
    for path in box.masked:
        box.subject = path.encode()
        box.tree.mask(path)


def finish_root(box: Box) -> None:
    if box.spec.rootfs.readonly:
        m.mount_setattr(box.tree.root, set_=m.MOUNT_ATTR_RDONLY)


def enter_root(box: Box) -> None:
    """pivot_root onto itself, then drop the old root: no host path is reachable from here on."""
    old = os.open(b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(box.tree.root)
    m.pivot_root(b".", b".")
    os.fchdir(old)
    m.set_propagation(b".", m.MS_REC | m.MS_SLAVE)
    m.umount(b".", m.MNT_DETACH)
    os.chdir(b"/")
    os.close(old)


STEPS: tuple[tuple[bytes, Callable[[Box], None]], ...] = (
    (b"leave the parent", leave_parent),
    (b"join the namespaces", join_namespaces),
    (b"set the OOM score", set_oom_score),
    (b"join a keyring", join_keyring),
    (b"raise the loopback link", raise_loopback),
    (b"set the host name", set_names),
    (b"open the root", open_root),
    (b"join the cgroup", enter_cgroup),
    (b"assemble the root", assemble_root),
    (b"mount", mount_all),
    (b"set a sysctl", set_sysctls),
    (b"make the working directory", make_cwd),
    (b"open a console", open_console),
    (b"hide a path", hide_paths),
    (b"finish the root", finish_root),
    (b"enter the root", enter_root),
    (b"set the AppArmor profile", protect_exec),
)


def run_init(box: Box) -> NoReturn:
    """The child's whole life. Never returns and never raises."""
    try:
        for box.step, step in (*STEPS, *INSIDE):
            box.subject = b""
            step(box)
        report_ready(box)
        execute(box)
    except OSError as error:
        fail(box, error.errno or 0)
    except BaseException:  # noqa: BLE001 (the child of a fork must not run its parent's handlers)
        fail(box, 0)
    os._exit(1)
