"""Which process, of which boot: what /proc tells (proc(5)). Imported by the cheapest commands: no ctypes here."""

from __future__ import annotations

import functools
import os


@functools.cache
def boot_id() -> str:
    """The kernel's boot id, read once; PYCOMPOSE_BOOT_ID replaces it (a test's faked reboot)."""
    replaced = os.environ.get("PYCOMPOSE_BOOT_ID")
    if replaced:
        return replaced
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def start_time(pid: int) -> int:
    """Start of a process in clock ticks after boot (field 22 of /proc/PID/stat); 0 when there is none, or a zombie."""
    fields = _stat(pid)
    return 0 if not fields or fields[0] in (b"Z", b"X") else int(fields[19])


def zombie_status(pid: int) -> int | None:
    """The exit code of a process that has ended but was not reaped (field 52 of /proc/PID/stat), else None."""
    fields = _stat(pid)
    if not fields or fields[0] != b"Z":
        return None
    return decode_wait(int(fields[49]))


def decode_wait(status: int) -> int:
    """The shell's exit code of a wait(2) status: 128 plus the signal of what was killed."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the third on (the second may hold blanks and parentheses)."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        text = os.read(fd, 4096)
    except OSError:
        return []
    finally:
        os.close(fd)
    return text[text.rindex(b")") + 2 :].split()
