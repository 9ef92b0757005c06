"""devices (v2): there is no controller; a BPF program of the cgroup decides (BPF_PROG_TYPE_CGROUP_DEVICE, bpf(2)).

The kernel asks the program about each open and mknod: access type, major, minor. The program is a chain of rules, the
last match first, as v1 would decide; it ends in "no".
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from runtime.errors import RuntimeFault, Unsupported
from runtime.linux.library import LONG, MACHINE, NUMBERS, POINTER, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBERS.setdefault("bpf", 280 if MACHINE == "aarch64" else 321)
_bpf = syscall("bpf", LONG, POINTER, LONG)
_BPF_PROG_LOAD = 5
_BPF_PROG_ATTACH = 8
_CGROUP_DEVICE_PROGRAM = 15
_CGROUP_DEVICE_ATTACH = 6
_ALLOW_MULTI = 2
_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}

_LDX_W, _MOV, _MOV_REG, _AND, _RSH, _JNE, _JNE_REG, _EXIT = 0x61, 0xB4, 0xBC, 0x54, 0x74, 0x56, 0x5E, 0x95


def _op(code: int, destination: int = 0, source: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("<BBhi", code, destination | source << 4, offset, immediate)


def parse_rule(rule: str) -> tuple[str, int, int, int]:
    """(type, major, minor, access bits) of ``c 1:3 rwm``; -1 is ``*``. Raises RuntimeFault."""
    try:
        kind, numbers, access = rule.split()
        major, minor = (-1 if word == "*" else int(word) for word in numbers.split(":"))
        if kind not in "abc" or len(kind) != 1:
            raise ValueError(kind)
        return kind, major, minor, sum(_ACCESS[letter] for letter in set(access))
    except (ValueError, KeyError):
        raise RuntimeFault(f"cannot use the device rule {rule!r}", "a rule looks like: c 1:3 rwm") from None


def compile_rules(rules: Sequence[str]) -> bytes:
    """The program: it returns 1 (allowed) at the first rule that matches, else 0."""
    # r1 is the context: access << 16 | type, major, minor. r2 type, r3 access, r4 major, r5 minor.
    program = [_op(_LDX_W, 2, 1, 0), _op(_MOV_REG, 3, 2), _op(_AND, 2, immediate=0xFFFF), _op(_RSH, 3, immediate=16)]
    program += [_op(_LDX_W, 4, 1, 4), _op(_LDX_W, 5, 1, 8)]
    for rule in rules:
        program += _compile_rule(*parse_rule(rule))
    return b"".join([*program, _op(_MOV, 0), _op(_EXIT)])


def _compile_rule(kind: str, major: int, minor: int, access: int) -> list[bytes]:
    tests: list[tuple[int, int, int]] = []  # (register or -1 for the access test, value, instructions)
    if kind != "a":
        tests.append((2, _TYPES[kind], 1))
    if access != 7:
        tests.append((-1, access, 3))
    if major >= 0:
        tests.append((4, major, 1))
    if minor >= 0:
        tests.append((5, minor, 1))
    left = sum(size for _register, _value, size in tests) + 2
    code = []
    for register, value, size in tests:
        left -= size
        if register < 0:  # every bit asked for must be granted: (asked & granted) == asked
            code += [_op(_MOV_REG, 1, 3), _op(_AND, 1, immediate=value), _op(_JNE_REG, 1, 3, left)]
        else:
            code.append(_op(_JNE, register, 0, left, value))
    return [*code, _op(_MOV, 0, immediate=1), _op(_EXIT)]


def attach(directory: str, rules: Sequence[str]) -> None:
    """Restrict the cgroup to the rules. Raises RuntimeFault or Unsupported."""
    program = ctypes.create_string_buffer(compile_rules(rules))
    license_ = ctypes.create_string_buffer(b"Apache-2.0")
    load = struct.pack(
        "<IIQQIIQI", _CGROUP_DEVICE_PROGRAM, (len(program) - 1) // 8, ctypes.addressof(program),
        ctypes.addressof(license_), 0, 0, 0, 0,
    )  # fmt: skip
    cgroup = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    program_fd = -1
    try:
        program_fd = _call(_BPF_PROG_LOAD, load)
        _call(_BPF_PROG_ATTACH, struct.pack("<IIII", cgroup, program_fd, _CGROUP_DEVICE_ATTACH, _ALLOW_MULTI))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            raise Unsupported(
                f"cannot restrict devices: {error.strerror} (bpf)", "this needs CAP_BPF or CAP_SYS_ADMIN"
            ) from error
        raise RuntimeFault(f"cannot restrict devices: {error.strerror} (bpf)") from error
    finally:
        os.close(cgroup)
        if program_fd >= 0:
            os.close(program_fd)


def _call(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    return _bpf(command, ctypes.addressof(buffer), 128)
