from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose.model import units
from compose.model.units import Port


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1024", 1024), (1024, 1024), ("1k", 1024), ("1K", 1024), ("1kb", 1024), ("1KiB", 1024), ("1.5g", 1610612736),
        ("64m", 64 << 20), ("1t", 1 << 40), ("2p", 2 << 50), ("-1", -1), ("10 mb", 10 << 20), (".5k", 512), ("1b", 1),
    ],
)  # fmt: skip
def test_bytes(text: str | int, expected: int) -> None:
    assert units.parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "m", "1x", "1,5g", "one", "1g2"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="a size such as"):
        units.parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds", "printed"),
    [
        ("0", 0, "0s"), ("90s", 90_000_000_000, "1m30s"), ("1.5h", 5_400_000_000_000, "1h30m0s"),
        ("1500ms", 1_500_000_000, "1.5s"), ("1d", 86_400_000_000_000, "24h0m0s"), ("1w", 604_800_000_000_000, "168h0m0s"),
        ("500us", 500_000, "500µs"), ("1ns", 1, "1ns"), ("1m0.25s", 60_250_000_000, "1m0.25s"),
        ("-2s", -2_000_000_000, "-2s"), ("1h1ns", 3_600_000_000_001, "1h0m0.000000001s"), ("1.5ms", 1_500_000, "1.5ms"),
    ],
)  # fmt: skip
def test_durations(text: str, nanoseconds: int, printed: str) -> None:
    assert units.parse_duration(text) == nanoseconds
    assert units.format_duration(nanoseconds) == printed


@pytest.mark.parametrize("text", ["", "10", "s", "1x", "1s 2s", "--1s", "1s!"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="a duration such as 1m30s"):
        units.parse_duration(text)


@given(st.integers(min_value=-(10**18), max_value=10**18))
def test_printed_durations_read_back(nanoseconds: int) -> None:
    assert units.parse_duration(units.format_duration(nanoseconds)) == nanoseconds


def test_cpus() -> None:
    assert units.parse_cpus("1.5") == 1_500_000_000
    assert units.parse_cpus(2) == 2_000_000_000
    for text in ("-1", "many", "nan"):
        with pytest.raises(ValueError, match="a number of CPUs"):
            units.parse_cpus(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", (Port(80),)),
        ("8080:80", (Port(80, "8080"),)),
        ("8080:80/udp", (Port(80, "8080", "", "udp"),)),
        ("127.0.0.1::80", (Port(80, "", "127.0.0.1"),)),
        ("[::1]:80:81", (Port(81, "80", "::1"),)),
        ("::1:80:81", (Port(81, "80", "::1"),)),
        ("3000-3001:4000-4001", (Port(4000, "3000"), Port(4001, "3001"))),
        ("8000-8005:80", (Port(80, "8000-8005"),)),
        ("1-2", (Port(1), Port(2))),
        ("53:53/UDP", (Port(53, "53", "", "udp"),)),
    ],
)
def test_ports(text: str, expected: tuple[Port, ...]) -> None:
    assert units.parse_ports(text) == expected


@pytest.mark.parametrize(
    "text", ["", ":", "a", "80/icmp", "0", "65536", "2-1", "1-3:1-2", "host:80:80", "1:2:3:4:5", "80:"]
)
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ValueError):
        units.parse_ports(text)


@pytest.mark.parametrize(
    ("text", "words", "operator"),
    [
        ("echo 'a b' c", ["echo", "a b", "c"], ""),
        ('sh -c "a && b"', ["sh", "-c", "a && b"], ""),
        ("a && b > c", ["a", "&&", "b", ">", "c"], "&"),
        (r"a \n b\tc", ["a", "n", "btc"], ""),
        (r'"a\n" "\"" ' + r"'a\nb'", ["an", '"', r"a\nb"], ""),
        ('a "" b', ["a", "", "b"], ""),
        ("a\n  b\n", ["a", "b"], ""),
        ('x="b c"d', ["x=b cd"], ""),
        ("a $(b (c) d) `e f`", ["a", "$(b (c) d)", "`e f`"], ""),
        ("", [], ""),
    ],
)
def test_words(text: str, words: list[str], operator: str) -> None:
    assert units.split_words(text) == (words, operator)


@pytest.mark.parametrize("text", ["'a", '"a', "a\\", "$(a", "`a"])
def test_words_left_open(text: str) -> None:
    with pytest.raises(ValueError):
        units.split_words(text)


def test_units_are_cheap_to_import() -> None:
    code = "import sys; import compose.model.units; print(*{'pydantic', 'typing', 'socket', 'dataclasses', 're'} & sys.modules.keys())"
    out = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""
