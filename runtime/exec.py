"""Starts an additional process in a running container: its cgroup, namespaces, rights, user, then exec.

The caller has one thread and becomes the parent of the process. Everything is computed before the clone, as for init.
"""

from __future__ import annotations

import _socket
import errno
import os

from runtime import entry
from runtime.cgroups import files
from runtime.cgroups.hierarchy import UNIFIED, parse_positions
from runtime.cgroups.manager import open_cgroup
from runtime.errors import RuntimeFault, StartFailed
from runtime.inside import (
    INSIDE,
    Entry,
    allocate_pty,
    execute,
    fail,
    join_cgroup,
    join_keyring,
    leave_parent,
    report_ready,
    set_apparmor,
    set_oom_score,
)
from runtime.launch import born, end, start_failure, wait_ready
from runtime.linux import mount as m
from runtime.linux import process as proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from runtime.paths import Bundle, Roots
    from runtime.spec import ContainerSpec, Process

_PROC_MAGIC, _DEVPTS_MAGIC = 0x9FA0, 0x1CD1
_ALL = proc.CLONE_NEWNS | proc.CLONE_NEWNET | proc.CLONE_NEWIPC | proc.CLONE_NEWUTS | proc.CLONE_NEWCGROUP


class Executed:
    """A process in a container, executed. ``master_fd``: its terminal, or -1. The caller owns the descriptors."""

    def __init__(self, pid: int, pidfd: int, master_fd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.master_fd = master_fd


class Visit(Entry):
    """``target``: the pidfd of the container's init."""

    target: int


def spawn_exec(
    pid: int,
    pidfd: int,
    spec: ContainerSpec,
    bundle: Bundle,
    roots: Roots,
    process: Process,
    stdio: tuple[int, int, int] | None,
    privileged: bool = False,
) -> Executed:
    """Execute ``process`` in the container whose init is ``pid``, held by ``pidfd``.

    Raises StartFailed (126, 127, 128) or RuntimeFault; then the process is gone.
    """
    visit = Visit()
    entry.fill(visit, spec, process, privileged or spec.privileged)
    visit.stdio, visit.target = stdio, pidfd
    if spec.hostname:
        visit.env.setdefault(b"HOSTNAME", os.fsencode(spec.hostname))
    sentence = f"cannot exec in container {spec.name}"
    own, channel, child, master = _clone(visit, pid, spec, roots, sentence)
    try:
        return _start(own, channel, child, master, sentence)
    finally:
        channel.close()


def _clone(
    visit: Visit, pid: int, spec: ContainerSpec, roots: Roots, sentence: str
) -> tuple[int, _socket.socket, int, int]:
    """The child, ready before exec: (pid, channel, pidfd, terminal)."""
    try:
        namespace = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        cgroup = open_cgroup(roots, spec.id, spec.cgroup_parent)
        visit.tasks, unified = cgroup.join_fds()
    except FileNotFoundError:
        raise RuntimeFault(f"{sentence}: it is not running") from None
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    visit.channel = theirs
    try:
        try:
            child, child_fd = born(0, unified, namespace)
        except OSError as error:
            if error.errno != errno.EBUSY or not (directory := _divided(cgroup.unified, spec.id, pid)):
                raise
            os.close(unified)
            unified = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            child, child_fd = born(0, unified, namespace)
        if child == 0:
            run_visit(visit)
    except OSError as error:
        ours.close()
        raise RuntimeFault(f"{sentence}: {(error.strerror or '').lower()}") from error
    finally:
        theirs.close()
        for fd in (*visit.tasks, unified, namespace):
            if fd >= 0:
                os.close(fd)
    try:
        return child, ours, child_fd, wait_ready(ours, sentence)
    except BaseException:
        ours.close()
        end(child_fd)
        os.close(child_fd)
        raise


def _divided(unified: str, ident: str, pid: int) -> str:
    """The v2 directory of the container's init where that has divided its own among cgroups below, or empty.

    systemd and Docker in a container do so; no process may be beside those then (cgroup-v2.rst, no internal processes).
    """
    position = parse_positions(files.read(f"/proc/{pid}/cgroup")).get(UNIFIED, "")
    _above, found, below = position.partition(f"/{ident}/")
    return f"{unified}/{below}" if found else ""


def _start(child: int, channel: _socket.socket, child_fd: int, master: int, sentence: str) -> Executed:
    try:
        channel.send(b"S", _socket.MSG_NOSIGNAL)
        data = channel.recv(8192)
    except OSError:
        data = b"\0"
    if not data:
        return Executed(child, child_fd, master)
    proc.exit_status(child_fd, parent=True)
    for fd in (child_fd, master):
        if fd >= 0:
            os.close(fd)
    raise start_failure(data, sentence)


# -- in the child


def join_container(visit: Visit) -> None:
    """All namespaces in one call; afterwards the container's root is ours."""
    proc.setns(visit.target, _ALL)


def protect_exec(visit: Visit) -> None:
    """The AppArmor profile, through a procfs that is verified to be one."""
    if visit.apparmor:
        fd = _open_filesystem(b"proc", _PROC_MAGIC)
        set_apparmor(visit, fd)
        os.close(fd)


def open_terminal(visit: Visit) -> None:
    if not visit.terminal:
        return
    devpts = _open_filesystem(b"dev/pts", _DEVPTS_MAGIC)
    visit.master, slave = allocate_pty(devpts)
    visit.stdio = (slave, slave, slave)


def _open_filesystem(path: bytes, magic: int) -> int:
    root = os.open(b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    fd = m.openat2(root, path, os.O_RDONLY | os.O_DIRECTORY, m.RESOLVE_IN_ROOT | m.RESOLVE_NO_SYMLINKS)
    os.close(root)
    if m.filesystem_type(fd) != magic:
        raise OSError(errno.EINVAL, "not the expected filesystem")
    return fd


VISIT: tuple[tuple[bytes, Callable[[Visit], None]], ...] = (
    (b"leave the parent", leave_parent),
    (b"join the cgroup", join_cgroup),
    (b"set the OOM score", set_oom_score),
    (b"join a keyring", join_keyring),
    (b"join the container", join_container),
    (b"open a terminal", open_terminal),
    (b"set the AppArmor profile", protect_exec),
    *INSIDE,
)


def run_visit(visit: Visit) -> NoReturn:
    """The child's whole life. Never returns and never raises."""
    try:
        for visit.step, step in VISIT:
            visit.subject = b""
            step(visit)
        report_ready(visit)
        execute(visit)
    except OSError as error:
        fail(visit, error.errno or 0)
    except BaseException:  # noqa: BLE001 (the child of a fork must not run its parent's handlers)
        fail(visit, 0)
    os._exit(1)


__all__ = ["Executed", "StartFailed", "spawn_exec"]
