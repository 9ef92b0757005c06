"""cpuset (v1): a new cgroup has no CPUs and no memory nodes, and takes no process until it has."""

from __future__ import annotations

import os

from runtime.cgroups import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.files import Setting
    from runtime.spec import Resources


def inherit(directory: str) -> None:
    """Copy the parent's CPUs and nodes into a new cgroup. Raises OSError.

    A parent without any was made this moment by another process that has not come so far: it gets its own first.
    """
    parent = os.path.dirname(directory)
    for name in ("cpuset.cpus", "cpuset.mems"):
        value = files.read(f"{parent}/{name}").strip()
        if not value and os.path.exists(f"{parent}/{name}"):
            inherit(parent)
            value = files.read(f"{parent}/{name}").strip()
        files.write(f"{directory}/{name}", value)


def settings(resources: Resources) -> list[Setting]:
    """The files to write, in order."""
    rows = []
    if resources.cpuset_cpus:
        rows.append(("cpuset.cpus", resources.cpuset_cpus, "the CPU set"))
    if resources.cpuset_mems:
        rows.append(("cpuset.mems", resources.cpuset_mems, "the memory node set"))
    return rows
