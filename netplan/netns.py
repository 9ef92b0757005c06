"""Enter a network namespace for a few lines, in the calling thread only, and always come back."""

from __future__ import annotations

import os
from fcntl import ioctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import CDLL

_NEWNET = 0x40000000
_SIOCGSKNS = 0x894C
_libc: list[CDLL] = []


def _call(name: str, *arguments: int) -> None:
    """A call of libc that gives 0 or an error number. ctypes is imported at the first one: it takes milliseconds, and
    commands that only read the store need none."""
    import ctypes

    if not _libc:
        _libc.append(ctypes.CDLL(None, use_errno=True))
    if getattr(_libc[0], name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def setns(fd: int) -> None:
    """setns(2) for network namespaces. Raises OSError."""
    _call("setns", fd, _NEWNET)


def unshare() -> None:
    """A new network namespace for the calling thread (unshare(2)). Raises OSError."""
    _call("unshare", _NEWNET)


def of_socket(fd: int) -> int:
    """The network namespace of a socket, as a new descriptor (SIOCGSKNS). Raises OSError."""
    return ioctl(fd, _SIOCGSKNS)


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
