"""memory (v2): swap is a limit of its own, not a total."""

from __future__ import annotations

import os

from runtime.cgroups.v1.memory import swap_total
from runtime.errors import RuntimeFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.files import Setting
    from runtime.spec import Resources


def _word(value: int) -> str:
    return "max" if value < 0 else str(value)


def settings(resources: Resources, directory: str) -> list[Setting]:
    """The files to write, in order. Raises RuntimeFault for a swap limit without, or below, a memory limit."""
    rows: list[Setting] = []
    if resources.memory:
        rows.append(("memory.max", _word(resources.memory), "the memory limit"))
    total = swap_total(resources)
    if total:
        swap = _swap(resources, total)
        if swap not in ("0", "max") or os.path.exists(f"{directory}/memory.swap.max"):
            rows.append(("memory.swap.max", swap, "the swap limit"))
    if resources.memory_reservation:
        rows.append(("memory.low", _word(resources.memory_reservation), "the memory reservation"))
    return rows


def _swap(resources: Resources, total: int) -> str:
    if total < 0:
        return "max"
    if resources.memory <= 0:
        raise RuntimeFault("cannot limit memory and swap together without a memory limit", "set a memory limit too")
    if total < resources.memory:
        raise RuntimeFault(f"cannot limit memory and swap to {total}: that is below the memory limit")
    return str(total - resources.memory)


def left_out(resources: Resources) -> list[str]:
    """Sentences about what cgroup v2 has no file for; Docker leaves it out, too."""
    named = {"mem_swappiness": resources.memory_swappiness >= 0, "oom_kill_disable": resources.oom_kill_disable}
    return [f"{name} is left out: cgroup v2 does not know it" for name, wanted in named.items() if wanted]
