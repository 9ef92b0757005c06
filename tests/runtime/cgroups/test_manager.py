"""Cgroups on this machine: made, limited, joined, frozen, killed, removed."""

import os
import signal
import time

import pytest

from runtime.cgroups.hierarchy import UNIFIED, hierarchies
from runtime.cgroups.manager import open_cgroup
from runtime.cgroups.stats import Stats, cpu_percent, network_bytes
from runtime.cgroups.v2 import devices as devices2
from runtime.devices import DEFAULT_RULES
from runtime.errors import RuntimeFault
from runtime.linux import process as proc
from runtime.paths import Roots
from runtime.spec import Resources

pytestmark = pytest.mark.root


@pytest.fixture
def cgroup(tmp_path):
    cgroup = open_cgroup(Roots(str(tmp_path / "state"), str(tmp_path / "run")), "c" * 64)
    yield cgroup
    cgroup.kill()
    cgroup.remove()
    assert not any(os.path.exists(os.path.dirname(path)) for path in cgroup.paths.values())


def inside(cgroup, work):
    """A child inside the cgroup: (pid, pidfd)."""
    tasks, unified = cgroup.join_fds()
    pid, pidfd = proc.clone3(0, unified)
    if pid == 0:
        try:
            for fd in tasks:
                os.write(fd, b"0")
            work()
        finally:
            os._exit(0)
    for fd in (*tasks, unified):
        os.close(fd)
    return pid, pidfd


def reap(pidfd):
    code = proc.exit_status(pidfd, parent=True)
    os.close(pidfd)
    return code


def read(path):
    with open(path) as file:
        return file.read().strip()


def eventually(check, seconds=5):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_create_and_remove_everywhere(cgroup):
    cgroup.create(Resources())
    assert len(cgroup.paths) == len(hierarchies())
    assert all(os.path.isdir(path) for path in cgroup.paths.values())
    cgroup.remove()
    assert not any(os.path.exists(path) for path in cgroup.paths.values())
    cgroup.remove()


def test_another_process_finds_the_same_paths(cgroup, tmp_path):
    cgroup.create(Resources())
    assert open_cgroup(Roots(str(tmp_path / "state"), str(tmp_path / "run")), "c" * 64).paths == cgroup.paths


def test_a_leftover_is_replaced(cgroup):
    cgroup.create(Resources())
    cgroup.create(Resources())


def test_limits_arrive_in_the_kernel(cgroup):
    cgroup.create(Resources(memory=64 << 20, pids=50, cpus_nano=500_000_000))
    stats = cgroup.stats()
    assert stats.memory_limit == 64 << 20
    assert isinstance(stats, Stats)
    cgroup.update(Resources(memory=128 << 20))
    assert cgroup.stats().memory_limit == 128 << 20


def test_a_refused_limit_names_itself_and_leaves_nothing(cgroup):
    with pytest.raises(RuntimeFault, match=r"cannot set the CPU set to 99999: "):
        cgroup.create(Resources(cpuset_cpus="99999"))
    assert not any(os.path.exists(path) for path in cgroup.paths.values())


def test_a_parent_that_was_there_gets_the_controllers(tmp_path):
    """system.slice has those its units asked for; a limit of the container needs its own."""
    mount = next((one.mount for one in hierarchies() if one.is_v2), "")
    with open(f"{mount}/cgroup.controllers") as file:
        if not mount or "cpu" not in file.read().split():
            pytest.skip("no cpu controller in cgroup v2: v1 has it here")
    parent = f"pytest{os.getpid()}.slice"
    os.makedirs(f"{mount}/{parent}/below")
    cgroup = open_cgroup(Roots(str(tmp_path / "state"), str(tmp_path / "run")), "d" * 64, f"{parent}/below")
    try:
        cgroup.create(Resources(cpu_quota=20000, cpu_period=100000, cpuset_cpus="0"))
        assert read(f"{cgroup.unified}/cpu.max") == "20000 100000"
        assert read(f"{cgroup.unified}/cpuset.cpus") == "0"
    finally:
        cgroup.remove()
        os.rmdir(f"{mount}/{parent}/below")
        os.rmdir(f"{mount}/{parent}")


def test_a_parent_with_dots_is_refused(tmp_path):
    with pytest.raises(RuntimeFault, match=r"it contains \.\."):
        open_cgroup(Roots(str(tmp_path), str(tmp_path)), "a", "../x")


def test_members_kill_and_remove(cgroup):
    cgroup.create(Resources())
    pid, pidfd = inside(cgroup, signal.pause)
    eventually(lambda: cgroup.pids() == [pid])
    with open(f"/proc/{pid}/cgroup") as file:
        eventually(lambda: file.seek(0) or file.read().count("c" * 64) == len(cgroup.paths))
    cgroup.kill()
    assert reap(pidfd) == 137
    cgroup.remove()


@pytest.mark.parametrize("only_unified", [False, True])
def test_freeze_and_thaw(cgroup, only_unified):
    if only_unified:
        if not cgroup.unified:
            pytest.skip("no v2 hierarchy")
        cgroup.paths = {UNIFIED: cgroup.unified}
    cgroup.create(Resources())
    reader, writer = os.pipe()

    def tick():
        while True:
            os.write(writer, b".")
            time.sleep(0.001)

    _pid, pidfd = inside(cgroup, tick)
    os.read(reader, 1)
    cgroup.freeze()
    os.set_blocking(reader, False)
    drained = time.monotonic() + 0.02
    while time.monotonic() < drained:
        try:
            os.read(reader, 65536)
        except BlockingIOError:
            pass
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    cgroup.thaw()
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b"."
    cgroup.freeze()
    cgroup.kill()
    assert reap(pidfd) == 137
    cgroup.remove()
    cgroup.thaw()  # whoever froze it may come after the shim
    os.close(reader)
    os.close(writer)


def test_out_of_memory_is_counted(cgroup):
    cgroup.create(Resources(memory=24 << 20, memory_swap=24 << 20))
    assert cgroup.oom_kills() == 0
    _pid, pidfd = inside(cgroup, lambda: bytearray(64 << 20))
    assert reap(pidfd) == 137
    assert cgroup.oom_kills() == 1


def test_devices_are_restricted(cgroup):
    cgroup.create(Resources(), rules=DEFAULT_RULES)
    if not cgroup.v1("devices"):
        pytest.skip("no v1 devices controller; see the next test")
    _check_devices(cgroup)


def test_devices_are_restricted_by_a_program(cgroup):
    cgroup.create(Resources())
    if not cgroup.unified:
        pytest.skip("no v2 hierarchy")
    devices2.attach(cgroup.unified, DEFAULT_RULES)
    _check_devices(cgroup)


def _check_devices(cgroup):
    def work():
        with open("/dev/null", "wb") as file:
            file.write(b"x")
        try:
            os.open("/dev/kmsg", os.O_RDONLY)
        except PermissionError:
            os._exit(42)

    assert reap(inside(cgroup, work)[1]) == 42


def test_stats_percentages():
    before = Stats(0.0, 0, 0, 2, 0, 0, 0, 0, 0)
    after = Stats(1.0, 500, 2000, 2, 0, 0, 0, 0, 0)
    assert cpu_percent(before, after) == 50.0
    assert cpu_percent(before, before) == 0.0


def test_stats_count_work(cgroup):
    cgroup.create(Resources())

    def work():
        end = time.process_time() + 0.03
        while time.process_time() < end:
            pass
        signal.pause()

    _pid, pidfd = inside(cgroup, work)
    eventually(lambda: cgroup.stats().cpu > 20_000_000)
    stats = cgroup.stats()
    assert stats.pids == 1
    assert stats.memory > 0
    cgroup.kill()
    reap(pidfd)


def test_network_bytes_of_a_process():
    assert all(count >= 0 for count in network_bytes(os.getpid()))
    assert network_bytes(1 << 23) == (0, 0)
