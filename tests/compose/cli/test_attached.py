"""Attached ``up`` against containers that exist only as files: ends, aborts, Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from compose.api import lifecycle
from compose.api.follow import ProjectFollower
from compose.api.hooks import HookLines
from compose.cli.attached import _Attended
from compose.cli.commands.up import Options
from compose.cli.options import Globals
from compose.cli.session import Session
from compose.plan.desired import Desired, DesiredService
from compose.plan.observed import ObservedContainer
from runtime.logs import timestamp
from tests.compose.api.test_follow import BASE, World

NAMES = ("web", "db")
DESIRED = Desired("p", "/p", (), (), tuple(DesiredService(name, "bb:1", {}, "") for name in NAMES), NAMES)


class Stage:
    """Two running containers; ``stop`` and ``kill`` end them as the engine would."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World(path)
        self.web = self.world.container(1, "web")
        self.db = self.world.container(1 << 4, "db")
        self.calls: list[str] = []
        self.may_stop = threading.Event()
        self.may_stop.set()
        monkeypatch.setattr(lifecycle, "stop", self._stop)
        monkeypatch.setattr(lifecycle, "kill", self._kill)

    def end(self, one: ObservedContainer, code: int, at: int = 5) -> None:
        self.world.state(one.id, "stopped", exit_code=code, finished_at=timestamp(BASE + at))

    def _stop(self, *_args: object) -> None:
        self.calls.append("stop")
        self.may_stop.wait(10)
        for one in (self.web, self.db):
            if self.running(one):
                self.end(one, 143, 9)

    def _kill(self, *_args: object) -> None:
        self.calls.append("kill")
        for one in (self.web, self.db):
            self.end(one, 137, 8)
        self.may_stop.set()

    def running(self, one: ObservedContainer) -> bool:
        from runtime.linux.identity import boot_id
        from runtime.paths import Bundle
        from runtime.state import read_state

        return read_state(Bundle(self.world.roots, one.id), boot_id()).status == "running"

    def attend(self, **options: object) -> int:
        shared = Globals(progress="quiet")
        roots = self.world.roots
        environ = {"PYCOMPOSE_STATE_DIR": roots.state, "PYCOMPOSE_RUN_DIR": roots.run}
        session = Session(shared, environ)
        session._engine = SimpleNamespace()  # type: ignore[assignment]  # stop and kill are ours here
        before = [self.web, self.db]
        wanted = Options(**options)  # type: ignore[arg-type]
        with (
            ProjectFollower(roots, "p", (), before, since_ns=BASE, announce=True) as follower,
            _Attended(session, DESIRED, wanted, follower, before, HookLines("p")) as attended,
        ):
            return attended.run()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    before = signal.getsignal(signal.SIGINT)
    yield Stage(tmp_path, monkeypatch)
    assert signal.getsignal(signal.SIGINT) == before


Press = Callable[..., None]


@pytest.fixture
def press() -> Iterator[Press]:
    """Ctrl-C after so many seconds each; none is left when the test is over."""
    timers: list[threading.Timer] = []

    def later(*after: float) -> None:
        for seconds in after:
            timers.append(threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)))
            timers[-1].start()

    yield later
    for timer in timers:
        timer.cancel()
        timer.join()


def test_ends_when_nothing_runs_any_more(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    stage.world.write(stage.web, "hello\n", 1)
    threading.Timer(0.05, stage.end, (stage.web, 3)).start()
    threading.Timer(0.1, stage.end, (stage.db, 0)).start()
    assert stage.attend() == 0
    assert capfd.readouterr().out.splitlines() == [
        "Attaching to db-16, web-1", "web-1  | hello", "web-1 exited with code 3", "db-16 exited with code 0",
    ]  # fmt: skip
    assert stage.calls == []


@pytest.mark.parametrize(
    ("options", "ended", "code"),
    [
        ({"abort_on_container_exit": True}, ("web", 0), 0),
        ({"abort_on_container_exit": True}, ("db", 3), 3),
        ({"abort_on_container_failure": True}, ("db", 4), 4),
        ({"exit_code_from": "web"}, ("web", 7), 7),
        ({"exit_code_from": "web"}, ("db", 0), 143),
    ],
)
def test_the_first_end_takes_the_others_with_it(
    stage: Stage, options: dict[str, object], ended: tuple[str, int], code: int
) -> None:
    stage.end(getattr(stage, ended[0]), ended[1])
    assert stage.attend(**options) == code
    assert stage.calls == ["stop"]


def test_a_success_is_no_failure(stage: Stage) -> None:
    stage.end(stage.web, 0)
    threading.Timer(0.1, stage.end, (stage.db, 0)).start()
    assert stage.attend(abort_on_container_failure=True) == 0
    assert stage.calls == []


def test_the_first_interrupt_stops_and_the_lines_go_on(
    stage: Stage, press: Press, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.may_stop.clear()
    press(0.05)
    threading.Timer(0.15, stage.world.write, (stage.web, "bye\n", 7)).start()
    threading.Timer(0.25, stage.may_stop.set).start()
    assert stage.attend() == 130
    shown = capfd.readouterr()
    assert "web-1  | bye" in shown.out
    assert "web-1 exited with code 143" in shown.out
    assert "Gracefully Stopping... press Ctrl+C again to force" in shown.out
    assert stage.calls == ["stop"]


def test_the_second_interrupt_kills(stage: Stage, press: Press) -> None:
    stage.may_stop.clear()
    press(0.05, 0.15)
    assert stage.attend() == 130
    assert stage.calls == ["stop", "kill"]


def test_the_third_interrupt_leaves(stage: Stage, press: Press, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.may_stop.clear()
    monkeypatch.setattr(lifecycle, "kill", lambda *_args: stage.calls.append("kill"))
    press(0.05, 0.15, 0.25)
    try:
        assert stage.attend() == 130
        assert stage.running(stage.web)
    finally:
        stage.may_stop.set()
