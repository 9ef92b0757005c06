"""What containers use, for ``stats``: two samples of their counters as rows with docker's field names."""

from __future__ import annotations

from compose.api.read import state_of
from compose.record import record
from runtime.cgroups.manager import open_cgroup
from runtime.cgroups.stats import cpu_percent, network_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from compose.plan.observed import ObservedContainer
    from runtime.cgroups.stats import Stats
    from runtime.paths import Roots

    Row = dict[str, object]

STATS_COLUMNS = (
    ("CONTAINER ID", "ID"),
    ("NAME", "Name"),
    ("CPU %", "CPUPerc"),
    ("MEM USAGE / LIMIT", "MemUsage"),
    ("MEM %", "MemPerc"),
    ("NET I/O", "NetIO"),
    ("BLOCK I/O", "BlockIO"),
    ("PIDS", "PIDs"),
)
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@record
class Sample:
    """Counters of one moment; network bytes received and sent."""

    stats: Stats
    received: int
    sent: int


def sample(roots: Roots, containers: Iterable[ObservedContainer]) -> dict[str, Sample]:
    """By id, of those that run. Their counters are in no order: each is read once."""
    return {one.id: _sample(roots, one) for one in containers if state_of(one) in ("running", "paused")}


def _sample(roots: Roots, one: ObservedContainer) -> Sample:
    return Sample(open_cgroup(roots, one.id).stats(), *network_bytes(one.pid))


def stats_rows(
    containers: Iterable[ObservedContainer],
    before: Mapping[str, Sample],
    after: Mapping[str, Sample],
    *,
    full: bool = False,
) -> list[Row]:
    """One row a container; one that does not run has zeros, one without an earlier sample no CPU yet."""
    return [_row(one, before.get(one.id), after.get(one.id), full) for one in containers]


def _row(one: ObservedContainer, before: Sample | None, after: Sample | None, full: bool) -> Row:
    row: Row = {
        "BlockIO": "0B / 0B",
        "CPUPerc": "0.00%",
        "Container": one.id,
        "ID": one.id if full else one.id[:12],
        "MemPerc": "0.00%",
        "MemUsage": "0B / 0B",
        "Name": one.name,
        "NetIO": "0B / 0B",
        "PIDs": "0",
    }
    if after is None:
        return row
    now = after.stats
    if before is not None:
        row["CPUPerc"] = f"{cpu_percent(before.stats, now):.2f}%"
    row["BlockIO"] = f"{decimal(now.read_bytes)} / {decimal(now.write_bytes)}"
    row["MemPerc"] = f"{now.memory / (now.memory_limit or 1) * 100:.2f}%"
    row["MemUsage"] = f"{binary(now.memory)} / {binary(now.memory_limit)}"
    row["NetIO"] = f"{decimal(after.received)} / {decimal(after.sent)}"
    row["PIDs"] = str(now.pids)
    return row


def decimal(size: int) -> str:
    """``1.27kB``: three digits, steps of 1000 (docker/go-units HumanSizeWithPrecision)."""
    return _scaled(size, 1000, _DECIMAL, 3)


def binary(size: int) -> str:
    """``23.54GiB``: four digits, steps of 1024 (docker/go-units BytesSize)."""
    return _scaled(size, 1024, _BINARY, 4)


def _scaled(size: int, step: int, units: tuple[str, ...], digits: int) -> str:
    value, place = float(size), 0
    while value >= step and place < len(units) - 1:
        value, place = value / step, place + 1
    return f"{value:.{digits}g}{units[place]}"
