"""cpu (v1): shares and quota."""

from __future__ import annotations

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
    return rows
