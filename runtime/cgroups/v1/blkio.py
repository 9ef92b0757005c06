"""blkio (v1): the weight; which of the two files exists depends on the scheduler."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.files import Setting
    from runtime.spec import Resources


def settings(resources: Resources, directory: str) -> list[Setting]:
    """The files to write, in order."""
    if not resources.blkio_weight:
        return []
    name = "blkio.weight" if os.path.exists(f"{directory}/blkio.weight") else "blkio.bfq.weight"
    return [(name, str(resources.blkio_weight), "the block I/O weight")]
