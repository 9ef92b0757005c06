"""The journal of what was done: bounded, and harmless when it is damaged or cannot be written."""

from __future__ import annotations

import os
from pathlib import Path

from compose import journal
from compose.journal import Entry


def entry(number: int, **more: str) -> Entry:
    return Entry(float(number), "container", f"web-{number}", "create", "because", **more)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = journal.path_of(str(tmp_path), "shop")
    journal.append(path, [entry(1), entry(2, error="cannot")])
    journal.append(path, [entry(3)])
    assert journal.read(path) == [entry(1), entry(2, error="cannot"), entry(3)]
    assert os.stat(path).st_mode & 0o777 == 0o600
    journal.remove(path)
    journal.remove(path)
    assert journal.read(path) == []


def test_nothing_is_written_for_nothing(tmp_path: Path) -> None:
    path = journal.path_of(str(tmp_path), "shop")
    journal.append(path, [])
    assert list(tmp_path.iterdir()) == []


def test_it_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    path = journal.path_of(str(tmp_path), "shop")
    for number in range(4000):
        journal.append(path, [entry(number)])
    assert os.stat(path).st_size <= journal.MOST
    kept = journal.read(path)
    assert kept[-1] == entry(3999)
    assert kept == [entry(number) for number in range(4000 - len(kept), 4000)]
    assert os.listdir(tmp_path / "journals") == ["shop.jsonl"]


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    path = journal.path_of(str(tmp_path), "shop")
    journal.append(path, [entry(1)])
    with open(path, "a") as file:
        file.write('{"time": 1}\n[1]\n{"kind":\n{"time": 2, "kind": "container", "na')
    assert journal.read(path) == [entry(1)]


def test_a_place_that_cannot_be_written_is_no_error() -> None:
    journal.append("/dev/null/journals/shop.jsonl", [entry(1)])
    assert journal.read("/dev/null/journals/shop.jsonl") == []
