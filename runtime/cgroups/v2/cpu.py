"""cpu (v2): weight and quota."""

from __future__ import annotations

from runtime.cgroups.quota import cpu_quota, weight_from_shares

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.files import Setting
    from runtime.spec import Resources


def settings(resources: Resources) -> list[Setting]:
    """The files to write, in order."""
    rows = []
    if resources.cpu_shares:
        rows.append(("cpu.weight", str(weight_from_shares(resources.cpu_shares)), "the CPU weight"))
    quota, period = cpu_quota(resources)
    if quota:
        rows.append(("cpu.max", f"{'max' if quota < 0 else quota} {period}", "the CPU quota"))
    if resources.cpu_rt_runtime or resources.cpu_rt_period:  # v2 has no such controller: told by its name
        rows.append(("cpu.rt_runtime_us", str(resources.cpu_rt_runtime), "the real-time bandwidth"))
    return rows
