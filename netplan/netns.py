"""Enter a network namespace for a few lines, in the calling thread only, and always come back."""

from __future__ import annotations

import ctypes
import os

_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def setns(fd: int) -> None:
    """setns(2) for network namespaces. Raises OSError."""
    if _libc.setns(fd, _NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


def unshare() -> None:
    """A new network namespace for the calling thread (unshare(2)). Raises OSError."""
    if _libc.unshare(_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "unshare")


class inside:
    """``with inside(netns_fd):`` the calling thread is in that namespace; sockets made there stay there."""

    def __init__(self, fd: int) -> None:
        self._there = fd

    def __enter__(self) -> None:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(self._there)
        except OSError:
            os.close(self._home)
            raise

    def __exit__(self, *_: object) -> None:
        try:
            setns(self._home)
        finally:
            os.close(self._home)
