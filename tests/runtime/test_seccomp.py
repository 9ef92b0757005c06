"""Filters against libseccomp's verdicts, by an interpreter of classic BPF; and users' profiles."""

import ctypes
import ctypes.util
import json
import os
import struct

import pytest

from runtime import capabilities, seccomp
from runtime.errors import RuntimeFault
from runtime.seccomp_bpf import ALLOW, Rule, compile_rules, errno_action
from runtime.seccomp_tables import X32_BIT, numbers

DEFAULT = capabilities.mask(capabilities.DEFAULT)
AUDIT = {"x86_64": 0xC000003E, "i386": 0x40000003, "x32": 0xC000003E, "aarch64": 0xC00000B7}
EPERM, ENOSYS = errno_action(1), errno_action(38)
KILL = 0x80000000


def verdict(program, architecture, number, *args):
    """What the kernel would answer: the return value of the program for this call."""
    data = struct.pack("<IIQ6Q", number, AUDIT[architecture], 0, *(list(args) + [0] * 6)[:6])
    at = accumulator = 0
    while True:
        code, true, false, constant = struct.unpack_from("<HBBI", program, 8 * at)
        at += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, constant)[0]
        elif code == 0x06:
            return constant
        elif code == 0x05:
            at += constant
        elif code == 0x54:
            accumulator &= constant
        else:
            holds = {0x15: accumulator == constant, 0x25: accumulator > constant, 0x35: accumulator >= constant}[code]
            at += true if holds else false


def default(caps=DEFAULT):
    return seccomp.compile_profile(caps)


x86 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")


@x86
@pytest.mark.parametrize("architecture", ["x86_64", "i386", "x32"])
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        *((name, ALLOW) for name in ("read", "execve", "openat2", "seccomp", "ptrace", "mseal", "chroot")),
        *((name, EPERM) for name in ("mount", "unshare", "setns", "bpf", "keyctl", "io_uring_setup", "userfaultfd")),
        *((name, EPERM) for name in ("pivot_root", "kexec_load", "open_by_handle_at", "perf_event_open", "reboot")),
        ("clone3", ENOSYS),
        ("file_getattr", ENOSYS),
    ],
)
def test_default_policy(architecture, name, answer):
    number = numbers(architecture)[name]
    if architecture == "x32" and name == "file_getattr":
        answer = EPERM  # below x32's own numbers
    assert verdict(default(), architecture, number) == answer


@x86
def test_arguments_of_the_default_policy():
    table = numbers("x86_64")
    families = {family: verdict(default(), "x86_64", table["socket"], family) == ALLOW for family in range(50)}
    assert [family for family, allowed in families.items() if not allowed] == [38, 40]
    assert verdict(default(), "x86_64", table["socket"], 1 << 32 | 40) == EPERM, "the kernel ignores the upper half"
    assert verdict(default(), "x86_64", table["clone"], 0x11) == ALLOW
    assert verdict(default(), "x86_64", table["clone"], 0x10000000) == EPERM
    assert verdict(default(), "x86_64", table["clone"], 0x20000) == EPERM
    for value, answer in ((0, ALLOW), (8, ALLOW), (0x20008, ALLOW), (0xFFFFFFFF, ALLOW), (1, EPERM), (1 << 32, EPERM)):
        assert verdict(default(), "x86_64", table["personality"], value) == answer


@x86
def test_capabilities_open_calls():
    admin = default(DEFAULT | capabilities.mask(["CAP_SYS_ADMIN"]))
    table = numbers("x86_64")
    for name in ("mount", "unshare", "clone3", "bpf", "setns"):
        assert verdict(admin, "x86_64", table[name], 0x7E020000) == ALLOW
    assert verdict(admin, "x86_64", table["clone"], 0x10000000) == ALLOW
    assert verdict(default(0), "x86_64", table["chroot"]) == EPERM
    assert verdict(default(capabilities.mask(["CAP_BPF"])), "x86_64", table["bpf"]) == ALLOW


@x86
def test_calls_after_the_newest_known_answer_enosys():
    for number in (500, 1000, 1 << 20):
        assert verdict(default(), "x86_64", number) == ENOSYS
        assert verdict(default(), "i386", number) == ENOSYS


@x86
def test_a_foreign_architecture_ends_the_process():
    assert verdict(default(), "aarch64", 0) == KILL


def test_aarch64_compiles_too():
    program = compile_rules(seccomp.default_rules(DEFAULT), EPERM, ("aarch64",), {"aarch64": 466})
    table = numbers("aarch64")
    assert verdict(program, "aarch64", table["openat"]) == ALLOW
    assert verdict(program, "aarch64", table["mount"]) == EPERM
    assert verdict(program, "aarch64", 470) == ENOSYS


def test_the_programs_are_kept():
    assert seccomp.compile_profile(DEFAULT) is seccomp.compile_profile(DEFAULT)


OPERATORS = {
    "!=": lambda a, v, _: a != v,
    "<": lambda a, v, _: a < v,
    "<=": lambda a, v, _: a <= v,
    "==": lambda a, v, _: a == v,
    ">=": lambda a, v, _: a >= v,
    ">": lambda a, v, _: a > v,
    "&==": lambda a, v, w: a & v == w,
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_comparisons_look_at_both_halves(operator):
    values = [0, 1, 5, 0xFFFFFFFF, 1 << 32, (1 << 32) + 5, (5 << 32) + 1, (1 << 64) - 1]
    for value in values:
        for second in (0, 5):
            rule = Rule("read", ALLOW, ((operator, 1, value, second), ("==", 0, 3, 0)))
            program = compile_rules([rule], EPERM, ("x86_64",), {})
            for argument in values:
                expected = ALLOW if OPERATORS[operator](argument, value, second) else EPERM
                assert verdict(program, "x86_64", 0, 3, argument) == expected
                assert verdict(program, "x86_64", 0, 4, argument) == EPERM


# -- the oracle


class Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


SCMP = {"!=": 1, "<": 2, "<=": 3, "==": 4, ">=": 5, ">": 6, "&==": 7}
SCMP_ARCH = {"i386": 0x40000003, "x32": 0x4000003E}


def libseccomp_program(rules, path):
    """The same rules through libseccomp."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_void_p,
    ]
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    context = library.seccomp_init(EPERM)
    for architecture in SCMP_ARCH.values():
        assert library.seccomp_arch_add(context, architecture) == 0
    for rule in rules:
        number = library.seccomp_syscall_resolve_name(rule.name.encode())
        if number == -1:
            continue
        rows = [Comparison(arg, SCMP[op.removeprefix("lo")], a, b) for op, arg, a, b in rule.arguments]
        array = (Comparison * max(1, len(rows)))(*rows)
        code = library.seccomp_rule_add_array(context, rule.action, number, len(rows), array)
        assert code in (0, -33, -22), (rule, code)  # EDOM, EINVAL: not on every architecture
    with open(path, "wb") as file:
        assert library.seccomp_export_bpf(context, file.fileno()) == 0
    library.seccomp_release(context)
    return path.read_bytes(), lambda name: library.seccomp_syscall_resolve_name(name.encode()) != -1


@x86
@pytest.mark.parametrize("extra", [[], ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]])
def test_verdicts_equal_libseccomps(tmp_path, extra):
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("libseccomp.so.2 is not installed")
    caps = DEFAULT | capabilities.mask(extra)
    theirs, known = libseccomp_program(seccomp.default_rules(caps), tmp_path / "bpf")
    ours = default(caps)
    samples = [(), (2,), (38,), (40,), (41,), (0x10000000,), (0x20008,), (0xFFFFFFFF,)]
    compared = 0
    for architecture in ("x86_64", "i386", "x32"):
        for name, number in numbers(architecture).items():
            if not known(name) or number & ~X32_BIT > 450:
                continue
            for args in samples if name in ("socket", "clone", "personality") else samples[:1]:
                expected = verdict(theirs, architecture, number, *args)
                if name in _MULTIPLEXED and architecture == "i386":
                    continue  # libseccomp rewrites direct calls as socketcall and ipc
                assert verdict(ours, architecture, number, *args) == expected, (architecture, name, args)
                compared += 1
    assert compared > 1000


_MULTIPLEXED = frozenset(
    "socket bind connect listen accept accept4 getsockname getpeername socketpair send sendto recv recvfrom shutdown "
    "setsockopt getsockopt sendmsg recvmsg recvmmsg sendmmsg socketcall ipc semop semget semctl semtimedop msgsnd msgrcv "
    "msgget msgctl shmat shmdt shmget shmctl".split()
)


# -- users' profiles


def profile(**changes):
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [], **changes})


@x86
def test_a_users_profile():
    text = profile(
        syscalls=[
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
            {"names": ["read"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["write"], "action": "SCMP_ACT_ERRNO", "excludes": {"arches": ["amd64"]}},
            {"names": ["close"], "action": "SCMP_ACT_ERRNO", "includes": {"minKernel": "99.0"}},
            {
                "names": ["dup"],
                "action": "SCMP_ACT_KILL_PROCESS",
                "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": 9}],
            },
        ]
    )
    program = seccomp.compile_profile(DEFAULT, text)
    table = numbers("x86_64")
    assert verdict(program, "x86_64", table["mkdir"]) == errno_action(13)
    for name in ("read", "write", "close", "dup", "getpid"):
        assert verdict(program, "x86_64", table[name]) == ALLOW
    assert verdict(program, "x86_64", table["dup"], 9) == KILL
    assert verdict(program, "x86_64", 5000) == ALLOW, "only a default of ERRNO gets the ENOSYS tail"
    assert verdict(program, "i386", 0) == KILL, "no architecture but the machine's own was named"


@x86
def test_sub_architectures_of_a_profile():
    rows = [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}]
    program = seccomp.compile_profile(DEFAULT, profile(archMap=rows))
    assert verdict(program, "i386", 1) == ALLOW
    assert verdict(program, "x32", X32_BIT | 1) == KILL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "it is not JSON"),
        ("[]", "it has no defaultAction"),
        (profile(defaultAction="SCMP_ACT_WAT"), "unknown action 'SCMP_ACT_WAT'"),
        (profile(syscalls=[{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 7}]}]), "bad argument"),
    ],
)
def test_bad_profiles(text, message):
    with pytest.raises(RuntimeFault, match=message):
        seccomp.compile_profile(DEFAULT, text)


def test_unconfined_is_no_filter():
    assert seccomp.compile_profile(DEFAULT, "unconfined") == b""
