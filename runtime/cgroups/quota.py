"""CPU arithmetic that both versions share."""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec import Resources

PERIOD = 100_000  # microseconds, the kernel's default


def cpu_quota(resources: Resources) -> tuple[int, int]:
    """(quota, period) in microseconds; quota 0 is "not set" and -1 "unlimited". ``cpus`` wins over the raw values."""
    period = resources.cpu_period or PERIOD
    if resources.cpus_nano < 0:
        return -1, period
    if resources.cpus_nano:
        return max(1000, resources.cpus_nano * period // 1_000_000_000), period
    return resources.cpu_quota, period


def weight_from_shares(shares: int) -> int:
    """cgroup v2's cpu.weight for v1's cpu.shares: 1024 becomes 100, 2 becomes 1, 262144 becomes 10000.

    The quadratic through those points in log2 that the OCI runtimes agreed on in 2025; a straight line through the end
    points would turn the default 1024 into 39.
    """
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    exponent = math.log2(shares)
    return math.ceil(10 ** ((exponent * exponent + 125 * exponent) / 612 - 7 / 34))
