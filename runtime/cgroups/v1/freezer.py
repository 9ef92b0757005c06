"""freezer (v1): freezing is a request; the state says FREEZING until every task has stopped."""

from __future__ import annotations

import time

from runtime.cgroups import files
from runtime.errors import RuntimeFault


def freeze(directory: str, seconds: float = 10.0) -> None:
    """Freeze and wait. A task that forks meanwhile can keep the state at FREEZING; asking again catches it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        files.write(f"{directory}/freezer.state", "FROZEN")
        if files.read(f"{directory}/freezer.state").strip() == "FROZEN":
            return
        time.sleep(0.001)  # the kernel has no notification for this file
    thaw(directory)
    raise RuntimeFault(f"cannot pause: some process did not freeze in {seconds:g} s")


def thaw(directory: str) -> None:
    files.write(f"{directory}/freezer.state", "THAWED")
