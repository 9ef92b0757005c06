"""Counters as docker's words."""

from __future__ import annotations

import pytest

from compose.api import stats
from compose.plan.observed import ObservedContainer
from runtime.cgroups.stats import Stats

ONE = ObservedContainer("a" * 64, "shop-web-1", "web", 1, "running")


def at(cpu: int, system: int, **more: int) -> stats.Sample:
    values = {"memory": 332 * 1024, "memory_limit": 25277665280, "pids": 2, "read_bytes": 0, "write_bytes": 4096}
    return stats.Sample(Stats(at=0.0, cpu=cpu, system=system, online_cpus=2, **{**values, **more}), 1270, 126)


def test_a_row_has_docker_composes_fields() -> None:
    (row,) = stats.stats_rows([ONE], {ONE.id: at(0, 0)}, {ONE.id: at(100, 400)})
    assert row == {
        "BlockIO": "0B / 4.1kB",
        "CPUPerc": "50.00%",
        "Container": "a" * 64,
        "ID": "a" * 12,
        "MemPerc": "0.00%",
        "MemUsage": "332KiB / 23.54GiB",
        "Name": "shop-web-1",
        "NetIO": "1.27kB / 126B",
        "PIDs": "2",
    }
    assert {field for _header, field in stats.STATS_COLUMNS} < set(row)


def test_what_does_not_run_has_zeros() -> None:
    (row,) = stats.stats_rows([ONE], {}, {}, full=True)
    assert (row["ID"], row["CPUPerc"], row["MemUsage"], row["PIDs"]) == ("a" * 64, "0.00%", "0B / 0B", "0")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (999, "999B"), (1200, "1.2kB"), (1_270_000, "1.27MB"), (52_000_000_000, "52GB")]
)
def test_decimal_sizes(size: int, text: str) -> None:
    assert stats.decimal(size) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (332 << 10, "332KiB"), (1 << 30, "1GiB"), (1536 << 20, "1.5GiB")]
)
def test_binary_sizes(size: int, text: str) -> None:
    assert stats.binary(size) == text
