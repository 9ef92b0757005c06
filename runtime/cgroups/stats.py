"""What a container uses, as counters; percentages are made of two samples (cgroup-v2.rst, memory.rst)."""

from __future__ import annotations

import os
import time

from runtime.cgroups import files
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.manager import Cgroup


@record
class Stats:
    """``cpu`` and ``system``: nanoseconds, of this container and of all CPUs together. Sizes are bytes.

    ``memory`` is without the page cache that could be dropped at once; ``memory_limit`` is the machine's memory when
    there is no limit. ``at``: monotonic seconds.
    """

    at: float
    cpu: int
    system: int
    online_cpus: int
    memory: int
    memory_limit: int
    pids: int
    read_bytes: int
    write_bytes: int


def read_stats(cgroup: Cgroup) -> Stats:
    """A sample."""
    memory, limit = _memory(cgroup)
    read, written = _block_io(cgroup)
    pids = cgroup.v1("pids") or cgroup.unified
    return Stats(
        at=time.monotonic(),
        cpu=_cpu(cgroup),
        system=system_cpu(),
        online_cpus=os.cpu_count() or 1,
        memory=memory,
        memory_limit=limit,
        pids=files.read_number(f"{pids}/pids.current"),
        read_bytes=read,
        write_bytes=written,
    )


def cpu_percent(before: Stats, after: Stats) -> float:
    """Docker's CPU %: 100 is one CPU busy all the time between the samples."""
    system = after.system - before.system
    return (after.cpu - before.cpu) / system * after.online_cpus * 100 if system > 0 else 0.0


def system_cpu() -> int:
    """CPU time of the whole machine in nanoseconds: user to softirq of /proc/stat's first line."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = file.readline().split()[1:8]
    return sum(map(int, ticks)) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


def _cpu(cgroup: Cgroup) -> int:
    if directory := cgroup.v1("cpuacct"):
        return files.read_number(f"{directory}/cpuacct.usage")
    return files.read_table(f"{cgroup.unified}/cpu.stat").get("usage_usec", 0) * 1000


def _memory(cgroup: Cgroup) -> tuple[int, int]:
    if directory := cgroup.v1("memory"):
        usage = files.read_number(f"{directory}/memory.usage_in_bytes")
        inactive = files.read_table(f"{directory}/memory.stat").get("total_inactive_file", 0)
        limit = files.read_number(f"{directory}/memory.limit_in_bytes")
    else:
        usage = files.read_number(f"{cgroup.unified}/memory.current")
        inactive = files.read_table(f"{cgroup.unified}/memory.stat").get("inactive_file", 0)
        limit = files.read_number(f"{cgroup.unified}/memory.max")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return usage - inactive if inactive < usage else usage, min(limit, total) if limit else total


def _block_io(cgroup: Cgroup) -> tuple[int, int]:
    if directory := cgroup.v1("blkio"):
        rows = [
            line.split() for line in files.read(f"{directory}/blkio.throttle.io_service_bytes_recursive").splitlines()
        ]
        read = sum(int(row[2]) for row in rows if len(row) == 3 and row[1] == "Read")
        return read, sum(int(row[2]) for row in rows if len(row) == 3 and row[1] == "Write")
    totals = {"rbytes": 0, "wbytes": 0}
    for word in files.read(f"{cgroup.unified}/io.stat").split():
        key, _, value = word.partition("=")
        if key in totals:
            totals[key] += int(value)
    return totals["rbytes"], totals["wbytes"]


def network_bytes(pid: int) -> tuple[int, int]:
    """(received, sent) over all interfaces but lo of the process's network namespace."""
    received = sent = 0
    for line in files.read(f"/proc/{pid}/net/dev").splitlines()[2:]:
        name, _, rest = line.partition(":")
        if name.strip() != "lo":
            counters = rest.split()
            received, sent = received + int(counters[0]), sent + int(counters[8])
    return received, sent
