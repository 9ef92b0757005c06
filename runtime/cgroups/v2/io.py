"""io (v2): the weight, from v1's 10..1000 to 1..10000."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.files import Setting
    from runtime.spec import Resources


def weight_from_blkio(weight: int) -> int:
    """10 becomes 1 and 1000 becomes 10000, in a straight line."""
    return 1 + (weight - 10) * 9999 // 990


def settings(resources: Resources, directory: str) -> list[Setting]:
    """The files to write, in order."""
    if not resources.blkio_weight:
        return []
    if os.path.exists(f"{directory}/io.bfq.weight"):
        return [("io.bfq.weight", str(resources.blkio_weight), "the block I/O weight")]
    return [("io.weight", str(weight_from_blkio(resources.blkio_weight)), "the block I/O weight")]
