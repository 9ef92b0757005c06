"""Seccomp filters: Docker's default policy as our own table, and users' JSON profiles, compiled to BPF.

The program is a binary search over system call numbers, one per architecture. The kernel verifies, compiles and probes
a filter when it is loaded, so its length counts: a chain of comparisons, one per call, takes 0.94 ms to load and this
one 0.1. Programs are kept in memory by content; the shims' common ancestor compiles the usual one before it forks.
"""

from __future__ import annotations

import functools
import os

from runtime import capabilities
from runtime import plain_json as json
from runtime.errors import RuntimeFault, Unsupported
from runtime.seccomp_bpf import ALLOW, Arguments, Rule, compile_rules, errno_action
from runtime.seccomp_tables import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EPERM, ENOSYS = 1, 38

ARCHITECTURES = {"x86_64": ("x86_64", "i386", "x32"), "aarch64": ("aarch64",)}

# The newest call that the default policy was written for; a later one is answered with ENOSYS, so that a C library
# falls back to an older call instead of taking EPERM for an answer.
NEWEST = "removexattrat"

# Never allowed: kernel-wide effects, no accounting, obsolete, or a history of holes.
_DENIED = """
_sysctl add_key afs_syscall bdflush break create_module ftime get_kernel_syms getpmsg gtty idle io_uring_enter
io_uring_register io_uring_setup kexec_file_load kexec_load keyctl lock migrate_pages move_pages mpx nfsservctl nice
oldfstat oldlstat oldolduname oldstat olduname pivot_root prof profil putpmsg query_module readdir request_key security
sgetmask sigaction signal sigpending sigsuspend ssetmask stty swapoff swapon sysfs tuxcall ulimit uprobe uselib
userfaultfd ustat vm86 vm86old vserver
"""

# Allowed with one of the capabilities; without, denied.
_WITH = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr "
    "lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd "
    "setdomainname sethostname setns syslog umount umount2 unshare",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module init_module finit_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}

# Flags of clone(2) that make namespaces.
_NAMESPACE_FLAGS = 0x7E020000
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
# All socket families but AF_ALG (38) and AF_VSOCK (40). The kernel looks at the lower half of the argument only.
_SOCKETS = (("lo<", 38), ("lo==", 39), ("lo>", 40))


def default_rules(caps: int) -> list[Rule]:
    """Docker's default policy for a bounding set."""
    gated: dict[str, bool] = {}
    for capability, words in _WITH.items():
        held = bool(caps >> capabilities.NUMBERS[capability] & 1)
        for name in words.split():
            gated[name] = gated.get(name, False) or held
    closed = {name for name, held in gated.items() if not held}
    refused = closed.union(_DENIED.split(), ("socket", "personality"))
    rules = [Rule(name, ALLOW) for name in _known() if name not in refused]
    rules += [Rule("personality", ALLOW, (("==", 0, value, 0),)) for value in _PERSONALITIES]
    rules += [Rule("socket", ALLOW, ((operator, 0, value, 0),)) for operator, value in _SOCKETS]
    if "clone" in closed:
        rules.append(Rule("clone", ALLOW, (("&==", 0, _NAMESPACE_FLAGS, 0),)))
        rules.append(Rule("clone3", errno_action(ENOSYS)))
    return rules


def _known() -> list[str]:
    """Every call that the policy knows, on any architecture."""
    names: dict[str, None] = {}
    for architecture in ("x86_64", "i386", "aarch64"):
        table = numbers(architecture)
        names.update(dict.fromkeys(name for name, number in table.items() if number <= table[NEWEST]))
    return list(names)


@functools.cache
def compile_profile(caps: int, profile: str = "default") -> bytes:
    """The filter program for a bounding set; empty for ``unconfined``. ``profile``: ``default``, or a JSON text.

    Raises RuntimeFault for a malformed profile, Unsupported for what this kernel or machine has not.
    """
    if profile == "unconfined":
        return b""
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        raise Unsupported(f"cannot make a seccomp filter for {machine}", "use security_opt: seccomp:unconfined")
    if profile in ("", "default", "builtin"):
        newest = {name: numbers(name)[NEWEST] for name in ARCHITECTURES[machine]}
        return compile_rules(default_rules(caps), errno_action(EPERM), ARCHITECTURES[machine], newest)
    return _compile_json(_parse(profile), caps, machine)


# -- users' profiles (the JSON schema of Docker, containers/common and the OCI)

_OPERATORS = {
    "SCMP_CMP_NE": "!=",
    "SCMP_CMP_LT": "<",
    "SCMP_CMP_LE": "<=",
    "SCMP_CMP_EQ": "==",
    "SCMP_CMP_GE": ">=",
    "SCMP_CMP_GT": ">",
    "SCMP_CMP_MASKED_EQ": "&==",
}
_ACTIONS = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_LOG": 0x7FFC0000,
}
_ARCHITECTURE_NAMES = {
    "SCMP_ARCH_X86_64": "x86_64",
    "SCMP_ARCH_X86": "i386",
    "SCMP_ARCH_X32": "x32",
    "SCMP_ARCH_AARCH64": "aarch64",
}
_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}


def _parse(text: str) -> dict[str, Any]:
    try:
        profile = json.loads(text)
    except ValueError as error:
        raise RuntimeFault(
            f"cannot use the seccomp profile: it is not JSON: {error}", hint="name a profile as Docker has it, in JSON"
        ) from error
    if not isinstance(profile, dict) or "defaultAction" not in profile:
        raise RuntimeFault(
            "cannot use the seccomp profile: it has no defaultAction", hint="give it one, such as SCMP_ACT_ERRNO"
        )
    return profile


def _compile_json(profile: dict[str, Any], caps: int, machine: str) -> bytes:
    rules = []
    for group in profile.get("syscalls") or ():
        if _applies(group, caps, machine):
            action = _action(group.get("action", ""), group.get("errnoRet"))
            names = group.get("names") or [group.get("name", "")]
            rules += [Rule(name, action, arguments) for name in names for arguments in _arguments(group.get("args"))]
    default = _action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    wanted = _architectures(profile, machine)
    newest = {}
    for name in wanted:
        table = numbers(name)
        newest[name] = max((table[rule.name] for rule in rules if rule.name in table), default=-1)
    return compile_rules(rules, default, wanted, newest if default & 0xFFFF0000 == errno_action(0) else {})


def _architectures(profile: dict[str, Any], machine: str) -> tuple[str, ...]:
    named = list(profile.get("architectures") or ())
    for row in profile.get("archMap") or ():
        if _ARCHITECTURE_NAMES.get(row.get("architecture")) == machine:
            named += row.get("subArchitectures") or ()
    ours = [_ARCHITECTURE_NAMES[name] for name in named if name in _ARCHITECTURE_NAMES]
    return tuple(name for name in ARCHITECTURES[machine] if name == machine or name in ours)


def _applies(group: dict[str, Any], caps: int, machine: str) -> bool:
    includes, excludes = group.get("includes") or {}, group.get("excludes") or {}
    held = set(capabilities.names(caps))
    go_name = _GO_NAMES[machine]
    if includes.get("caps") and not set(includes["caps"]) <= held:
        return False
    if includes.get("arches") and go_name not in includes["arches"]:
        return False
    if includes.get("minKernel") and _release(os.uname().release) < _release(includes["minKernel"]):
        return False
    if set(excludes.get("caps") or ()) & held or go_name in (excludes.get("arches") or ()):
        return False
    return not (excludes.get("minKernel") and _release(os.uname().release) >= _release(excludes["minKernel"]))


def _release(text: str) -> tuple[int, int]:
    major, _, rest = text.partition(".")
    digits = ""
    for char in rest:
        if not char.isdigit():
            break
        digits += char
    return int(major) if major.isdigit() else 0, int(digits or 0)


def _action(name: str, errno: int | None) -> int:
    if name == "SCMP_ACT_ERRNO":
        return errno_action(EPERM if errno is None else errno)
    if name == "SCMP_ACT_TRACE":
        return 0x7FF00000 | (errno or EPERM)
    if name not in _ACTIONS:
        raise RuntimeFault(
            f"cannot use the seccomp profile: unknown action {name!r}",
            hint="actions are those of seccomp(2), such as SCMP_ACT_ALLOW",
        )
    return _ACTIONS[name]


def _arguments(args: list[dict[str, Any]] | None) -> list[Arguments]:
    """Alternatives of conditions. Conditions on the same argument are alternatives, as the engines have it."""
    if not args:
        return [()]
    rows = []
    for row in args:
        operator = _OPERATORS.get(row.get("op", ""))
        if operator is None or not 0 <= row.get("index", -1) < 6:
            raise RuntimeFault(f"cannot use the seccomp profile: bad argument condition {row}")
        rows.append((operator, row["index"], row.get("value", 0), row.get("valueTwo", 0)))
    if len({row[1] for row in rows}) < len(rows):
        return [(row,) for row in rows]
    return [tuple(rows)]
