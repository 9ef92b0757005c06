"""What a process may set about itself: prctl(2), capset(2), seccomp(2), keyctl(2), prlimit(2), host names."""

from __future__ import annotations

import ctypes

from runtime.linux.library import INT, LONG, POINTER, TEXT, ULONG, syscall, wrapper

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAP_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
_KEYCTL_JOIN_SESSION_KEYRING = 1
_SECCOMP_SET_MODE_FILTER = 1

_prctl = wrapper("prctl", INT, ULONG, ULONG, ULONG, ULONG)
_capset = syscall("capset", POINTER, POINTER)
_keyctl = syscall("keyctl", LONG, TEXT)
_seccomp = syscall("seccomp", LONG, LONG, POINTER)
_prlimit = syscall("prlimit64", LONG, LONG, POINTER, POINTER)
_sigaction = syscall("rt_sigaction", LONG, POINTER, POINTER, LONG)
_sethostname = wrapper("sethostname", TEXT, LONG)
_setdomainname = wrapper("setdomainname", TEXT, LONG)


class _Limit(ctypes.Structure):
    _fields_ = [("soft", ctypes.c_uint64), ("hard", ctypes.c_uint64)]


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


_header = (ctypes.c_uint32 * 2)(_CAP_VERSION, 0)
_sets = (ctypes.c_uint32 * 6)()
_default = (ctypes.c_uint64 * 4)()  # SIG_DFL, no flags, no mask
_limit = _Limit()
_old_limit = _Limit()


def prctl(option: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0) -> int:
    return _prctl(option, a, b, c, d)


def reset_library_signals() -> None:
    """Default dispositions for the two signals that the C library keeps to itself. Its posix_spawn(3) leaves them
    ignored in what it starts (make starts everything so), and its sigaction(3) refuses to touch them."""
    for number in (32, 33):
        _sigaction(number, _default, None, 8)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """The three sets of this thread, as bit masks."""
    for half in (0, 1):
        shift = 32 * half
        _sets[3 * half] = effective >> shift & 0xFFFFFFFF
        _sets[3 * half + 1] = permitted >> shift & 0xFFFFFFFF
        _sets[3 * half + 2] = inheritable >> shift & 0xFFFFFFFF
    _capset(ctypes.addressof(_header), ctypes.addressof(_sets))


def join_session_keyring(name: bytes) -> None:
    """A session keyring of that name, a new one if there is none (keyctl_join_session_keyring(3))."""
    _keyctl(_KEYCTL_JOIN_SESSION_KEYRING, name)


def seccomp_filter(program: bytes) -> None:
    """Load a classic BPF filter. Needs CAP_SYS_ADMIN or no_new_privs."""
    buffer = ctypes.create_string_buffer(program, len(program))
    head = _FilterProgram(len(program) // 8, ctypes.addressof(buffer))
    _seccomp(_SECCOMP_SET_MODE_FILTER, 0, ctypes.addressof(head))


def rlimit(resource: int) -> tuple[int, int]:
    """The soft and hard limit of this process; 2**64 - 1 is unlimited."""
    _prlimit(0, resource, None, ctypes.addressof(_old_limit))
    return _old_limit.soft, _old_limit.hard


def set_rlimit(resource: int, soft: int, hard: int) -> None:
    _limit.soft, _limit.hard = soft, hard
    _prlimit(0, resource, ctypes.addressof(_limit), None)


def sethostname(name: bytes) -> None:
    _sethostname(name, len(name))


def setdomainname(name: bytes) -> None:
    _setdomainname(name, len(name))
