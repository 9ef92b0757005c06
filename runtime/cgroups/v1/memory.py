"""memory (v1)."""

from __future__ import annotations

import os

from runtime.cgroups import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.files import Setting
    from runtime.spec import Resources

LIMIT = "memory.limit_in_bytes"
TOTAL = "memory.memsw.limit_in_bytes"  # memory plus swap; absent without swap accounting


def swap_total(resources: Resources) -> int:
    """Memory plus swap: as asked, or twice the memory limit, as Docker has it; 0 is "not set"."""
    if resources.memory_swap or not resources.memory:
        return resources.memory_swap
    return -1 if resources.memory < 0 else 2 * resources.memory


def settings(resources: Resources, directory: str) -> list[Setting]:
    """The files to write, in order: the total may never be below the limit, so a rising total goes first."""
    rows: list[Setting] = []
    limit = (LIMIT, str(resources.memory), "the memory limit")
    total = swap_total(resources)
    if total and (resources.memory_swap or os.path.exists(f"{directory}/{TOTAL}")):
        swap = (TOTAL, str(total), "the limit of memory and swap")
        rising = total < 0 or total > files.read_number(f"{directory}/{LIMIT}")
        now = files.read_number(f"{directory}/{TOTAL}")
        rows += [swap, limit] if rising and now < total else [limit, swap]
    elif resources.memory:
        rows.append(limit)
    if not resources.memory:
        rows = [row for row in rows if row[0] != LIMIT]
    if resources.memory_reservation:
        rows.append(("memory.soft_limit_in_bytes", str(resources.memory_reservation), "the memory reservation"))
    if resources.memory_swappiness >= 0:
        rows.append(("memory.swappiness", str(resources.memory_swappiness), "the memory swappiness"))
    if resources.oom_kill_disable:
        rows.append(("memory.oom_control", "1", "the OOM killer's switch"))
    return rows
