"""A container's name servers for one thread of ours, for a while.

The C library keeps a resolver's state for each thread (resolver(3), <resolv.h>), which a program may change: glibc then
leaves it alone. That is safer than to mount the container's resolv.conf over the host's: a thread needs a mount
namespace and file system state of its own for that, and would never share its working directory with the process again.
What is not asked of name servers stays the host's: /etc/hosts and nsswitch.conf.
"""

from __future__ import annotations

import ctypes
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_INIT, _DEFNAMES, _DNSRCH = 0x1, 0x80, 0x200  # <resolv.h>
_SERVERS = 3  # MAXNS


class _Address(ctypes.Structure):
    """struct sockaddr_in."""

    _fields_ = (
        ("family", ctypes.c_ushort),
        ("port", ctypes.c_ubyte * 2),
        ("address", ctypes.c_ubyte * 4),
        ("zero", ctypes.c_ubyte * 8),
    )


class _State(ctypes.Structure):
    """The beginning of struct __res_state: all that is changed here."""

    _fields_ = (
        ("retrans", ctypes.c_int),
        ("retry", ctypes.c_int),
        ("options", ctypes.c_ulong),
        ("count", ctypes.c_int),
        ("servers", _Address * _SERVERS),
    )


def servers_in(path: str) -> list[str]:
    """The IPv4 name servers of a resolv.conf; empty when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        return []
    found = [row[1] for row in rows if len(row) > 1 and row[0] == "nameserver" and ":" not in row[1]]
    return found[:_SERVERS]


@contextmanager
def resolving(resolv_conf: str) -> Iterator[None]:
    """The calling thread asks the name servers of that file, for the name as it is. Without effect where the C library
    is not glibc, or the file names no server."""
    servers, state = servers_in(resolv_conf), _state()
    if not servers or state is None:
        yield
        return
    before = bytes(state)
    state.options &= ~(_DEFNAMES | _DNSRCH)
    state.count = len(servers)
    for place, server in enumerate(servers):
        one = state.servers[place]
        one.family = socket.AF_INET
        one.port[:] = (53).to_bytes(2, "big")
        one.address[:] = socket.inet_aton(server)
    try:
        yield
    finally:
        ctypes.memmove(ctypes.byref(state), before, len(before))


def _state() -> _State | None:
    """This thread's, as resolv.conf has it. It must not leave the thread."""
    libc = ctypes.CDLL(None)
    try:
        where, begin = libc.__res_state, libc.__res_init
    except AttributeError:
        return None
    where.restype = ctypes.POINTER(_State)
    state: _State = where().contents
    if not state.options & _INIT and begin():
        return None
    return state
