"""blkio (v1): weights and rates; which of the two weight files exists depends on the scheduler."""

from __future__ import annotations

import os

from runtime.cgroups.files import device_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.files import Setting
    from runtime.spec import Resources


def settings(resources: Resources, directory: str) -> list[Setting]:
    """The files to write, in order. Raises RuntimeFault for what is no block device."""
    rows = []
    prefix = "blkio" if os.path.exists(f"{directory}/blkio.weight") else "blkio.bfq"
    if resources.blkio_weight:
        rows.append((f"{prefix}.weight", str(resources.blkio_weight), "the block I/O weight"))
    for what, path, number in resources.blkio_devices:
        name = f"{prefix}.weight_device" if what == "weight" else f"blkio.throttle.{what}_device"
        rows.append((name, f"{device_number(path)} {number}", f"the block I/O {what} of {path}"))
    return rows
