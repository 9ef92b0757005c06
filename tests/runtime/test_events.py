"""The journal: who writes what, that it stays small, and that a broken one hinders nobody."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from runtime import events
from runtime.paths import Roots
from runtime.record import replace
from runtime.state import CREATED, PAUSED, RESTARTING, RUNNING, STOPPED, State


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    (tmp_path / "run").mkdir()
    return Roots(str(tmp_path / "state"), str(tmp_path / "run"))


def lines(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_an_entry_is_a_line(roots: Roots) -> None:
    events.tell(roots, "a" * 64, "die", {"exitCode": "3"})
    events.tell(roots, "b" * 64, "create", name="shop-web-1", labels={"a": "ü\udcff"[:1]})
    first, second = lines(events.journal(roots))
    assert (first["id"], first["action"], first["attributes"]) == ("a" * 64, "die", {"exitCode": "3"})
    assert (second["name"], second["labels"], second["attributes"]) == ("shop-web-1", {"a": "ü"}, {})
    assert os.stat(events.journal(roots)).st_mode & 0o777 == 0o600


def test_it_hinders_nobody(tmp_path: Path) -> None:
    events.tell(Roots("/nowhere", str(tmp_path / "missing")), "a", "start")
    (tmp_path / "events.json").mkdir()
    events.tell(Roots("/nowhere", str(tmp_path)), "a", "start")


def _write(roots: Roots, who: int) -> None:
    for number in range(200):
        events.tell(roots, f"{who}", "die", {"number": str(number), "filler": "x" * 100})


def test_many_writers_rotate_once_and_lose_nothing_of_the_last_part(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LIMIT", 100_000)
    workers = [multiprocessing.get_context("fork").Process(target=_write, args=(roots, who)) for who in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    kept = [*lines(events.older(roots)), *lines(events.journal(roots))]
    assert os.stat(events.older(roots)).st_size < 110_000
    for who in range(4):
        mine = [int(row["attributes"]["number"]) for row in kept if row["id"] == str(who)]  # type: ignore[index]
        assert mine == list(range(200))  # 160 kB: all of it is in the two parts


CASES = [
    (CREATED, RUNNING, {}, ["start"]),
    (RESTARTING, RUNNING, {}, ["start"]),
    (RUNNING, PAUSED, {}, ["pause"]),
    (PAUSED, RUNNING, {}, ["unpause"]),
    (RUNNING, STOPPED, {}, ["die"]),
    (PAUSED, STOPPED, {}, ["die"]),
    (RUNNING, RESTARTING, {}, ["die"]),
    (RUNNING, STOPPED, {"oom_killed": True}, ["oom", "die"]),
    (RUNNING, RUNNING, {"health": "healthy"}, ["health_status: healthy"]),
    (RUNNING, RUNNING, {"health": "unhealthy"}, ["health_status: unhealthy"]),
    (RUNNING, RUNNING, {"health": "starting"}, []),
    (RESTARTING, STOPPED, {}, []),
    (CREATED, STOPPED, {}, []),
]


@pytest.mark.parametrize(("before", "after", "changes", "expected"), CASES)
def test_changes_of_state_have_docker_s_names(
    before: str, after: str, changes: dict[str, object], expected: list[str]
) -> None:
    state = State(status=before)
    happened = events.transitions(state, replace(state, status=after, **changes), stopped=False, seconds=1.9)
    assert [action for action, _attributes in happened] == expected


def test_a_stop_is_told_before_the_end() -> None:
    state = State(status=RUNNING)
    happened = events.transitions(state, replace(state, status=STOPPED, exit_code=137), stopped=True, seconds=1.9)
    assert happened == [("stop", {}), ("die", {"exitCode": "137", "execDuration": "1"})]
