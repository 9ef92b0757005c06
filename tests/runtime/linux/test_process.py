"""Processes: clone3, exit codes, identity, signals by name."""

import os
import select
import signal

import pytest

from runtime.linux import process as proc
from runtime.linux.identity import boot_id, start_time, zombie_status


def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid, os.pidfd_open(pid)


def test_a_parent_learns_codes_and_signals():
    _pid, pidfd = child(lambda: os._exit(7))
    assert proc.exit_status(pidfd, parent=True) == 7
    assert proc.exit_status(pidfd, parent=True) is None, "it was reaped"
    os.close(pidfd)
    _pid, pidfd = child(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert proc.exit_status(pidfd, parent=True) == 143
    os.close(pidfd)


def test_others_learn_the_code_after_it_was_reaped():
    if not proc.knows_exit_of_others():
        pytest.skip("Linux before 6.15")
    pid, pidfd = child(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert proc.exit_status(pidfd, parent=False) is None
    select.select([pidfd], [], [], 5)
    assert zombie_status(pid) == 137
    os.waitpid(pid, 0)
    assert proc.exit_status(pidfd, parent=False) == 137
    assert zombie_status(pid) is None
    os.close(pidfd)


def test_start_time_tells_processes_apart():
    assert start_time(os.getpid()) > 0
    assert start_time((1 << 22) + 1) == 0
    assert len(boot_id()) == 36


def test_signals_reach_through_a_pidfd():
    _pid, pidfd = child(lambda: signal.pause())
    proc.pidfd_send_signal(pidfd, proc.SIGKILL)
    assert proc.exit_status(pidfd, parent=True) == 137
    with pytest.raises(ProcessLookupError):
        proc.pidfd_send_signal(pidfd, proc.SIGKILL)
    os.close(pidfd)


def test_clone3_gives_a_child_and_its_pidfd():
    pid, pidfd = proc.clone3(0)
    if pid == 0:
        os._exit(3)
    assert proc.exit_status(pidfd, parent=True) == 3
    os.close(pidfd)
