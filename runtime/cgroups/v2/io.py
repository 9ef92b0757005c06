"""io (v2): weights, from v1's 10..1000 to 1..10000, and rates."""

from __future__ import annotations

import os

from runtime.cgroups.files import device_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cgroups.files import Setting
    from runtime.spec import Resources

_MAX = {"read_bps": "rbps", "write_bps": "wbps", "read_iops": "riops", "write_iops": "wiops"}


def weight_from_blkio(weight: int) -> int:
    """10 becomes 1 and 1000 becomes 10000, in a straight line."""
    return 1 + (weight - 10) * 9999 // 990


def settings(resources: Resources, directory: str) -> list[Setting]:
    """The files to write, in order. Raises RuntimeFault for what is no block device."""
    rows = []
    bfq = os.path.exists(f"{directory}/io.bfq.weight")
    name = "io.bfq.weight" if bfq else "io.weight"
    if weight := resources.blkio_weight:
        rows.append((name, str(weight if bfq else weight_from_blkio(weight)), "the block I/O weight"))
    for what, path, number in resources.blkio_devices:
        device, about = device_number(path), f"the block I/O {what} of {path}"
        if what == "weight":
            rows.append((name, f"{device} {number if bfq else weight_from_blkio(number)}", about))
        else:
            rows.append(("io.max", f"{device} {_MAX[what]}={number}", about))
    return rows
