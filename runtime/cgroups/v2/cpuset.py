"""cpuset (v2): empty means the parent's."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.files import Setting
    from runtime.spec import Resources


def settings(resources: Resources) -> list[Setting]:
    """The files to write, in order."""
    rows = []
    if resources.cpuset_cpus:
        rows.append(("cpuset.cpus", resources.cpuset_cpus, "the CPU set"))
    if resources.cpuset_mems:
        rows.append(("cpuset.mems", resources.cpuset_mems, "the memory node set"))
    return rows
