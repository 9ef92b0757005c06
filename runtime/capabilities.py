"""Capability names, numbers and Docker's default set (capabilities(7))."""

from __future__ import annotations

from runtime.errors import RuntimeFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
NAMES = tuple("CAP_" + name for name in _NAMES.split())
NUMBERS = {name: number for number, name in enumerate(NAMES)}
LAST = len(NAMES) - 1

DEFAULT = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)


def mask(names: Iterable[str]) -> int:
    """The names as a bit mask. Raises RuntimeFault for a name that no kernel has: ignoring it would hide a typo."""
    bits = 0
    for name in names:
        number = NUMBERS.get(name)
        if number is None:
            raise RuntimeFault(f"cannot grant capability {name}: no such capability", "see capabilities(7)")
        bits |= 1 << number
    return bits


def names(bits: int) -> tuple[str, ...]:
    """The names in a bit mask, in the kernel's order."""
    return tuple(name for number, name in enumerate(NAMES) if bits >> number & 1)


def held() -> int:
    """What this process may give on: its permitted set (line CapPrm of /proc/self/status)."""
    with open("/proc/self/status", "rb") as file:
        text = file.read()
    start = text.index(b"CapPrm:") + 7
    return int(text[start : text.index(b"\n", start)], 16)
