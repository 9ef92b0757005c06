"""pids (v1)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.files import Setting
    from runtime.spec import Resources


def settings(resources: Resources) -> list[Setting]:
    """The files to write, in order."""
    if not resources.pids:
        return []
    return [("pids.max", "max" if resources.pids < 0 else str(resources.pids), "the process limit")]
