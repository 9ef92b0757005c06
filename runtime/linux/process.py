"""Processes: clone3, namespaces, pidfds, exit statuses (clone(2), setns(2), pidfd_open(2))."""

from __future__ import annotations

import _signal
import ctypes
import errno
import fcntl
import os
import struct

from runtime.linux.identity import decode_wait
from runtime.linux.library import INT, LONG, POINTER, syscall, wrapper

SIGKILL = int(_signal.SIGKILL)
SIGTERM = int(_signal.SIGTERM)

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_PIDFD = 0x00001000
CLONE_CLEAR_SIGHAND = 0x100000000
CLONE_INTO_CGROUP = 0x200000000

_INFO_SIZE = 64  # struct pidfd_info, first version; exit_code is its last field, a wait(2) status
_PIDFD_GET_INFO = (3 << 30) | (_INFO_SIZE << 16) | 0xFF0B  # _IOWR(0xFF, 11, struct pidfd_info)
_PIDFD_INFO_EXIT = 1 << 3

_clone3 = syscall("clone3", POINTER, LONG)
_setns = wrapper("setns", INT, INT)
_unshare = wrapper("unshare", INT)
_close_range = syscall("close_range", LONG, LONG, LONG)


class _CloneArgs(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    ]


def clone3(flags: int, cgroup: int = -1) -> tuple[int, int]:
    """A child in new namespaces, with its own copy of the memory: (0, -1) in the child, (pid, pidfd) in the parent.

    The caller must have one thread. Signal handlers are reset in the child, ignored signals stay so. ``cgroup``: a
    cgroup v2 directory that the child is born in. No hook of ``os.register_at_fork`` runs; the child has to end in exec
    or ``os._exit``.
    """
    pidfd = ctypes.c_int(-1)
    args = _CloneArgs(
        flags=flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND, pidfd=ctypes.addressof(pidfd), exit_signal=_signal.SIGCHLD
    )
    if cgroup >= 0:
        args.flags |= CLONE_INTO_CGROUP
        args.cgroup = cgroup
    pid = _clone3(ctypes.addressof(args), 88)
    return pid, pidfd.value


def setns(fd: int, kinds: int = 0) -> None:
    """Join a namespace (or, with a pidfd, several of that process's)."""
    _setns(fd, kinds)


def unshare(kinds: int) -> None:
    _unshare(kinds)


def close_from(first: int) -> None:
    """Close every descriptor from ``first`` on."""
    _close_range(first, 0x7FFFFFFF, 0)


def pidfd_open(pid: int) -> int:
    """A pidfd (close-on-exec). Raises ProcessLookupError."""
    return os.pidfd_open(pid)


def pidfd_send_signal(pidfd: int, number: int) -> None:
    """Signal the process. Raises ProcessLookupError when it is gone."""
    _signal.pidfd_send_signal(pidfd, number)


def exit_code(kind: int, status: int) -> int:
    """The shell's convention: the exit code, or 128 plus the signal."""
    return status if kind == os.CLD_EXITED else 128 + status


def exit_status(pidfd: int, parent: bool) -> int | None:
    """The exit code of an ended process (signals as 128+n); None when it is not known.

    A parent reaps the process. Anyone else who holds a pidfd learns the code once it has been reaped, from Linux 6.15
    on (PIDFD_INFO_EXIT); before that, and on older kernels, the answer is None.
    """
    if parent:
        return _reap(pidfd)
    buffer = bytearray(struct.pack("Q", _PIDFD_INFO_EXIT) + bytes(_INFO_SIZE - 8))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, buffer, True)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.ESRCH):
            return None
        raise
    mask = struct.unpack_from("Q", buffer)[0]
    if not mask & _PIDFD_INFO_EXIT:
        return None
    return decode_wait(struct.unpack_from("i", buffer, 60)[0])


def _reap(pidfd: int) -> int | None:
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        return None
    return None if result is None else exit_code(result.si_code, result.si_status)


def knows_exit_of_others() -> bool:
    """Whether the kernel tells the exit code of any process one has a pidfd of (PIDFD_INFO_EXIT)."""
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    pidfd = os.pidfd_open(pid)
    try:
        os.waitid(os.P_PID, pid, os.WEXITED)
        return exit_status(pidfd, parent=False) == 7
    finally:
        os.close(pidfd)
