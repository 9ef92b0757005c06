"""The processes of containers, for ``top``: from /proc, by the cgroup or the process namespace they are in."""

from __future__ import annotations

import os
import time

from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from compose.plan.observed import ObservedContainer

TOP_COLUMNS = ("SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")


@record
class Process:
    """A process as the host sees it; ``started`` in seconds since the epoch, ``cpu`` in seconds."""

    pid: int
    parent: int
    user: int
    started: float
    cpu: float
    terminal: int
    command: str


def top_rows(containers: Iterable[ObservedContainer]) -> list[tuple[str, ...]]:
    """The table of ``docker compose top``: a row a process, in the order of containers, then pids."""
    processes = list(_processes())
    rows = []
    for container in containers:
        root = container.pid
        members = _members(root, processes)
        rows += [_row(container, one) for one in sorted(members, key=lambda one: one.pid)]
    return rows


def _members(root: int, processes: Iterable[Process]) -> list[Process]:
    """Those in the pid namespace of ``root``; when it shares the host's, ``root`` and what descends from it."""
    inside = _namespace(root)
    if inside and inside != _namespace(os.getpid()):
        return [one for one in processes if _namespace(one.pid) == inside]
    chosen = {root}
    members = []
    for one in sorted(processes, key=lambda one: (one.started, one.pid)):
        if one.pid in chosen or one.parent in chosen:
            chosen.add(one.pid)
            members.append(one)
    return members


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _processes() -> Iterable[Process]:
    ticks = os.sysconf("SC_CLK_TCK")
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    for name in os.listdir("/proc"):
        if name.isdecimal():
            found = _process(int(name), boot, ticks)
            if found is not None:
                yield found


def _process(pid: int, boot: float, ticks: int) -> Process | None:
    """Fields of /proc/PID/stat (proc_pid_stat(5)); None when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            head, _, tail = file.read().rpartition(b") ")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().rstrip(b"\0").split(b"\0")
        owner = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    fields = tail.split()
    name = head.partition(b"(")[2].decode(errors="replace")
    command = " ".join(word.decode(errors="replace") for word in words) or f"[{name}]"
    cpu = (int(fields[11]) + int(fields[12])) / ticks
    return Process(pid, int(fields[1]), owner, boot + int(fields[19]) / ticks, cpu, int(fields[4]), command)


def _row(container: ObservedContainer, one: Process) -> tuple[str, ...]:
    age = max(1.0, time.time() - one.started)
    started = time.strftime("%H:%M" if age < 86400 else "%b%d", time.localtime(one.started))
    seconds = int(one.cpu)
    spent = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return (
        container.service,
        str(container.number),
        _user(one.user),
        str(one.pid),
        str(one.parent),
        str(min(99, int(100 * one.cpu / age))),
        started,
        _terminal(one.terminal),
        spent,
        one.command,
    )


def _user(uid: int) -> str:
    """The host's name of a user, as ps(1) shows it."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _terminal(device: int) -> str:
    major, minor = device >> 8 & 0xFFF, device & 0xFF | device >> 12 & 0xFFF00
    if device == 0:
        return "?"
    return f"pts/{(major - 136) * 256 + minor}" if 136 <= major <= 143 else f"{major}:{minor}"
