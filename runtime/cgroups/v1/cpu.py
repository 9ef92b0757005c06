"""cpu (v1): shares, quota and real-time bandwidth."""

from __future__ import annotations

import os

from runtime.cgroups.files import read_number, write
from runtime.cgroups.quota import cpu_quota

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.files import Setting
    from runtime.spec import Resources


def settings(resources: Resources) -> list[Setting]:
    """The files to write, in order."""
    rows = []
    if resources.cpu_shares:
        rows.append(("cpu.shares", str(resources.cpu_shares), "CPU shares"))
    quota, period = cpu_quota(resources)
    if quota:
        rows.append(("cpu.cfs_period_us", str(period), "the CPU period"))
        rows.append(("cpu.cfs_quota_us", str(quota), "the CPU quota"))
    if resources.cpu_rt_period:
        rows.append(("cpu.rt_period_us", str(resources.cpu_rt_period), "the real-time period"))
    if resources.cpu_rt_runtime:
        rows.append(("cpu.rt_runtime_us", str(resources.cpu_rt_runtime), "the real-time bandwidth"))
    return rows


def give_to_parent(directory: str, resources: Resources) -> None:
    """Real-time bandwidth comes from the cgroup above, which has none of its own: add this container's part to it.

    What cannot be added shows when the container's own is set.
    """
    parent = os.path.dirname(directory)
    period = read_number(f"{parent}/cpu.rt_period_us") or 1_000_000
    part = -(-resources.cpu_rt_runtime * period // (resources.cpu_rt_period or 1_000_000))
    try:
        write(f"{parent}/cpu.rt_runtime_us", str(read_number(f"{parent}/cpu.rt_runtime_us") + part))
    except OSError:
        pass
