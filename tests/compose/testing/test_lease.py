"""Leases: held, shared, lost with their holder, swept."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from compose.testing.lease import Lease, abandoned, leases_dir
from runtime.paths import Roots


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(str(tmp_path / "s"), str(tmp_path / "r"))


def free(roots: Roots) -> list[str]:
    names = []
    for name, fd in abandoned(roots):
        names.append(name)
        os.close(fd)
    return names


def test_a_held_lease_is_not_abandoned(roots: Roots) -> None:
    lease = Lease(roots, "shop")
    assert free(roots) == []
    lease.release()
    assert free(roots) == ["shop"]


def test_the_end_removes_the_file_and_the_directory(roots: Roots) -> None:
    Lease(roots, "shop").end()
    assert free(roots) == []
    assert not os.path.exists(leases_dir(roots))


def test_two_holders_share(roots: Roots) -> None:
    first, second = Lease(roots, "shop"), Lease(roots, "shop")
    first.release()
    assert free(roots) == []
    second.release()
    assert free(roots) == ["shop"]


def test_a_fork_does_not_inherit_the_lease(roots: Roots) -> None:
    lease = Lease(roots, "shop")
    ready, go = os.pipe()
    if not (child := os.fork()):
        os.write(go, b"x")
        signal.pause()
    try:
        os.read(ready, 1)
        lease.release()
        assert free(roots) == ["shop"]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(go)


def test_a_killed_holder_loses_it(roots: Roots) -> None:
    ready, go = os.pipe()
    if not (child := os.fork()):
        Lease(roots, "shop")  # kept by the fork hook's registration
        os.write(go, b"x")
        signal.pause()
    os.read(ready, 1)
    assert free(roots) == []
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert free(roots) == ["shop"]
    os.close(ready)
    os.close(go)
