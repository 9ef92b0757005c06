"""The C library as a table of typed functions that raise OSError.

``ctypes.PyDLL`` keeps the interpreter lock during a call. That is wanted: the processes that make containers have one
thread, and a child of a raw ``clone3`` must not meet a lock in an unknown state.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LIBC = ctypes.PyDLL(None, use_errno=True)
MACHINE = os.uname().machine

INT = ctypes.c_int
LONG = ctypes.c_long
UINT = ctypes.c_uint
ULONG = ctypes.c_ulong
U64 = ctypes.c_uint64
TEXT = ctypes.c_char_p
POINTER = ctypes.c_void_p

# Numbers of the calls that have no wrapper in every C library of 2022 and differ by machine; from 424 on all machines
# share one table (asm-generic/unistd.h).
_NUMBERS = {
    "x86_64": {"pivot_root": 155, "capset": 126, "keyctl": 250, "seccomp": 317, "prlimit64": 302, "rt_sigaction": 13},
    "aarch64": {"pivot_root": 41, "capset": 91, "keyctl": 219, "seccomp": 277, "prlimit64": 261, "rt_sigaction": 134},
}
NUMBERS = {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
    **_NUMBERS.get(MACHINE, _NUMBERS["x86_64"]),
}


def _raise(result: int, _function: Any, _arguments: Any) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def syscall(name: str, *types: Any) -> Callable[..., int]:
    """A system call as a function of the given argument types. The result is never negative: errors raise OSError."""
    function = LIBC["syscall"]  # indexing gives a fresh object each time, with its own types
    function.argtypes = (LONG, *types)
    function.restype = LONG
    function.errcheck = _raise  # type: ignore[assignment]
    number = NUMBERS[name]

    def call(*arguments: Any) -> int:
        return function(number, *arguments)  # type: ignore[no-any-return]

    return call


def wrapper(name: str, *types: Any) -> Callable[..., int]:
    """A function of the C library that returns -1 on error, as one that raises OSError."""
    function = LIBC[name]
    function.argtypes = types
    function.restype = INT
    function.errcheck = _raise  # type: ignore[assignment]
    return function
