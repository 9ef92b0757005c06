"""SIGTERM to a shim: from systemd at the end of the machine, and from anybody else."""

from __future__ import annotations

import os
import signal
import time

import pytest

from runtime.shim import farewell
from runtime.shim.loop import Loop


def shim(goes_down: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """A child in its loop, with a timer far away: (pid, wait status)."""
    monkeypatch.setattr(farewell, "is_going_down", lambda: goes_down)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        loop = Loop()
        farewell.Farewell(loop, lambda: loop.later(0.01, lambda: os._exit(7)) and None)
        loop.later(60, lambda: os._exit(1))
        os.write(writer, b".")
        loop.run()
        os._exit(2)
    os.read(reader, 1)
    for fd in (reader, writer):
        os.close(fd)
    time.sleep(0.02)
    os.kill(pid, signal.SIGTERM)
    return pid, os.waitpid(pid, 0)[1]


def test_at_the_end_of_the_machine_it_stops_its_container(monkeypatch: pytest.MonkeyPatch) -> None:
    _pid, status = shim(True, monkeypatch)
    assert os.waitstatus_to_exitcode(status) == 7


def test_at_any_other_time_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    _pid, status = shim(False, monkeypatch)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM


def test_this_machine_is_not_going_down() -> None:
    assert not farewell.is_going_down()
