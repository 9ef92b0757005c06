"""Reading logs: tails, times, rotation, and writers that die."""

from __future__ import annotations

import json
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import logs
from runtime.logs import Follower, LogLine, parse_line, read_log, timestamp


def entry(text: str, number: int = 0, stream: str = "stdout") -> bytes:
    when = timestamp(1_700_000_000_000_000_000 + number)
    return json.dumps({"log": text, "stream": stream, "time": when}).encode() + b"\n"


def write(path: Path, *texts: str, start: int = 0, mode: str = "ab") -> None:
    with path.open(mode) as file:
        for number, text in enumerate(texts):
            file.write(entry(text, start + number))


def texts(lines: object) -> list[str]:
    return [line.text.decode() for line in lines]  # type: ignore[attr-defined]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.json"


def test_reads_in_order_and_across_rotated_parts(log: Path) -> None:
    write(log.with_name("log.json.2"), "a\n", start=0)
    write(log.with_name("log.json.1"), "b\n", start=1)
    write(log, "c\n", start=2)
    log.with_name("log.json.tmp").write_bytes(b"not a part")
    assert texts(read_log(str(log))) == ["a\n", "b\n", "c\n"]
    assert texts(read_log(str(log), tail=2)) == ["b\n", "c\n"]


def test_a_missing_log_has_no_lines(log: Path) -> None:
    assert list(read_log(str(log))) == []
    assert list(read_log(str(log), tail=3)) == []
    assert list(read_log(str(log.parent / "none" / "log.json"))) == []


def test_a_torn_last_line_is_not_shown(log: Path) -> None:
    write(log, "a\n", "b\n")
    with log.open("ab") as file:
        file.write(entry("torn\n")[:-5])
    assert texts(read_log(str(log))) == ["a\n", "b\n"]
    assert texts(read_log(str(log), tail=1)) == ["b\n"]


def test_tail_counts_whole_lines(log: Path) -> None:
    write(log, "a\n", "long-", "long-", "end\n", "last without newline")
    assert texts(read_log(str(log), tail=1)) == ["last without newline"]
    assert texts(read_log(str(log), tail=2)) == ["long-", "long-", "end\n", "last without newline"]
    assert texts(read_log(str(log), tail=0)) == []


def test_since_and_until_bound_what_is_shown(log: Path) -> None:
    write(log, "0\n", "1\n", "2\n", "3\n")
    base = 1_700_000_000_000_000_000
    assert texts(read_log(str(log), since_ns=base + 1, until_ns=base + 2)) == ["1\n", "2\n"]
    assert texts(read_log(str(log), since_ns=base + 1, until_ns=base + 2, tail=1)) == ["2\n"]
    assert texts(read_log(str(log), since_ns=base + 3, tail=9)) == ["3\n"]


def test_what_is_no_entry_is_passed_over(log: Path) -> None:
    assert parse_line(b"garbage") is None
    assert parse_line(b'{"log":1}') is None
    write(log, "a\n")
    with log.open("ab") as file:
        file.write(b"garbage\n")
    write(log, "b\n", start=1)
    assert texts(read_log(str(log))) == texts(read_log(str(log), tail=5)) == ["a\n", "b\n"]


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=30),
    tail=st.integers(0, 12),
    block=st.integers(1, 200),
)
def test_the_tail_is_the_end_of_the_whole(pieces: list[str], tail: int, block: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "BLOCK", block)
        path = Path(directory) / "log.json"
        write(path, *[f"{piece}\n" for piece in pieces])
        whole = list(read_log(str(path)))
        assert len(whole) == len(pieces)
        assert list(read_log(str(path), tail=tail)) == (whole[-tail:] if tail else [])


def follow(log: Path, **options: int | None) -> tuple[Follower, Callable[[], list[str]]]:
    follower = Follower(str(log), **options)  # type: ignore[arg-type]
    return follower, lambda: texts(follower.read())


def test_follows_from_the_end_or_the_tail(log: Path) -> None:
    write(log, "a\n", "b\n", "c\n")
    follower, read = follow(log)
    assert read() == []
    write(log, "d\n")
    assert read() == ["d\n"]
    follower.close()
    follower, read = follow(log, tail=2)
    assert read() == ["c\n", "d\n"]
    follower.close()
    follower, read = follow(log, tail=None)
    assert read() == ["a\n", "b\n", "c\n", "d\n"]
    follower.close()


def test_follows_a_log_that_does_not_exist_yet(log: Path) -> None:
    follower, read = follow(log, tail=None)
    assert read() == []
    write(log, "first\n")
    assert read() == ["first\n"]
    follower.close()


def test_wakes_a_poll_only_when_something_was_written(log: Path) -> None:
    write(log, "a\n")
    follower, read = follow(log)
    poll = select.poll()
    poll.register(follower.fileno(), select.POLLIN)
    assert poll.poll(0) == []
    writer = threading.Timer(0.05, write, (log, "b\n"))
    writer.start()
    assert poll.poll(5000)
    assert read() == ["b\n"]
    assert poll.poll(0) == []
    writer.join()
    follower.close()


def test_an_incomplete_line_waits_for_its_end(log: Path) -> None:
    write(log, "a\n")
    follower, read = follow(log)
    whole = entry("b\n", 1)
    for cut in (1, 20, len(whole) - 1):
        with log.open("ab") as file:
            file.write(whole[file.tell() - len(entry("a\n")) : cut])
        assert read() == []
    with log.open("ab") as file:
        file.write(whole[-1:])
    assert read() == ["b\n"]
    follower.close()


def rotate(log: Path, keep: int = 3) -> None:
    for number in range(keep - 1, 0, -1):
        source = log if number == 1 else log.with_name(f"log.json.{number - 1}")
        if source.exists():
            source.rename(log.with_name(f"log.json.{number}"))
    log.write_bytes(b"")


def test_survives_rotation_also_twice_between_two_looks(log: Path) -> None:
    write(log, "a\n")
    follower, read = follow(log)
    write(log, "b\n")
    rotate(log)
    write(log, "c\n")
    assert read() == ["b\n", "c\n"]
    write(log, "d\n")
    rotate(log)
    write(log, "e\n")
    rotate(log)
    write(log, "f\n")
    assert read() == ["d\n", "e\n", "f\n"]
    follower.close()


def test_a_torn_line_cut_away_by_a_new_writer_is_never_shown(log: Path) -> None:
    write(log, "a\n")
    follower, read = follow(log, tail=None)
    assert read() == ["a\n"]
    size = log.stat().st_size
    with log.open("ab") as file:
        file.write(entry("torn\n")[:-3])
    assert read() == []
    os.truncate(log, size)
    write(log, "b\n", start=1)
    assert read() == ["b\n"]
    follower.close()


@pytest.mark.parametrize("look_between", [True, False])
def test_lines_written_again_by_a_new_writer_are_shown_once(log: Path, look_between: bool) -> None:
    write(log, "a\n")
    follower, read = follow(log, tail=None)
    assert read() == ["a\n"]
    recorded = log.stat().st_size
    write(log, "b\n", "c\n", start=1)
    assert read() == ["b\n", "c\n"]
    os.truncate(log, recorded)  # the writer died before it recorded b and c
    if look_between:
        assert read() == []
    write(log, "b\n", "c\n", "d\n", start=50)
    assert read() == ["d\n"]
    write(log, "e\n", start=60)
    assert read() == ["e\n"]
    follower.close()


def test_a_follower_leaves_no_descriptor_open(log: Path) -> None:
    write(log, "a\n")
    before = set(os.listdir("/proc/self/fd"))
    follower, read = follow(log, tail=5)
    rotate(log)
    write(log, "b\n")
    read()
    follower.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_lines_compare_by_value() -> None:
    assert LogLine("t", "stdout", b"x") == LogLine("t", "stdout", b"x")
    assert LogLine("t", "stdout", b"x") != LogLine("t", "stderr", b"x")
    assert "stdout" in repr(LogLine("t", "stdout", b"x"))
