"""Limits as files, per controller and version."""

import os

import pytest

from runtime.cgroups.files import write_settings
from runtime.cgroups.quota import weight_from_shares
from runtime.cgroups.v1 import blkio, cpu, cpuset, memory, pids
from runtime.cgroups.v2 import cpu as cpu2
from runtime.cgroups.v2 import devices as devices2
from runtime.cgroups.v2 import io as io2
from runtime.cgroups.v2 import memory as memory2
from runtime.errors import RuntimeFault
from runtime.spec import Resources


def pairs(settings):
    return [(name, value) for name, value, _what in settings]


def test_cpu():
    wanted = Resources(cpus_nano=1_500_000_000, cpu_shares=512)
    assert pairs(cpu.settings(wanted)) == [
        ("cpu.shares", "512"),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "150000"),
    ]
    assert pairs(cpu2.settings(wanted)) == [("cpu.weight", "59"), ("cpu.max", "150000 100000")]
    assert pairs(cpu2.settings(Resources(cpu_quota=-1, cpu_period=50_000))) == [("cpu.max", "max 50000")]
    assert cpu.settings(Resources()) == []


@pytest.mark.parametrize(
    ("shares", "weight"),
    [(2, 1), (100, 17), (256, 35), (512, 59), (768, 80), (1024, 100), (2048, 174), (10240, 639), (262144, 10000)],
)
def test_weights(shares, weight):
    assert weight_from_shares(shares) == weight


def write(directory, **files):
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


def test_memory_v1_is_written_in_an_order_that_the_kernel_takes(tmp_path):
    total = "memory.memsw.limit_in_bytes"
    limit = "memory.limit_in_bytes"
    write(tmp_path, memory__limit_in_bytes="9223372036854771712", memory__memsw__limit_in_bytes="9223372036854771712")
    assert pairs(memory.settings(Resources(memory=100), str(tmp_path))) == [(limit, "100"), (total, "200")]
    write(tmp_path, memory__limit_in_bytes="100", memory__memsw__limit_in_bytes="200")
    raised = pairs(memory.settings(Resources(memory=1000, memory_swap=3000), str(tmp_path)))
    assert raised == [(total, "3000"), (limit, "1000")]
    lowered = pairs(memory.settings(Resources(memory=50, memory_swap=60), str(tmp_path)))
    assert lowered == [(limit, "50"), (total, "60")]


def test_memory_v1_without_swap_accounting(tmp_path):
    write(tmp_path, memory__limit_in_bytes="1000")
    assert pairs(memory.settings(Resources(memory=100), str(tmp_path))) == [("memory.limit_in_bytes", "100")]


def test_memory_v1_rest(tmp_path):
    wanted = Resources(memory_reservation=5, memory_swappiness=0, oom_kill_disable=True)
    assert pairs(memory.settings(wanted, str(tmp_path))) == [
        ("memory.soft_limit_in_bytes", "5"),
        ("memory.swappiness", "0"),
        ("memory.oom_control", "1"),
    ]


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (Resources(memory=100), [("memory.max", "100"), ("memory.swap.max", "100")]),
        (Resources(memory=100, memory_swap=100), [("memory.max", "100"), ("memory.swap.max", "0")]),
        (Resources(memory=100, memory_swap=-1), [("memory.max", "100"), ("memory.swap.max", "max")]),
        (Resources(memory=-1), [("memory.max", "max"), ("memory.swap.max", "max")]),
        (Resources(memory_reservation=7), [("memory.low", "7")]),
    ],
)
def test_memory_v2(tmp_path, resources, expected):
    write(tmp_path, memory__swap__max="max")
    assert pairs(memory2.settings(resources, str(tmp_path))) == expected


@pytest.mark.parametrize("resources", [Resources(memory_swap=100), Resources(memory=100, memory_swap=50)])
def test_memory_v2_refuses(tmp_path, resources):
    with pytest.raises(RuntimeFault, match="cannot limit memory and swap"):
        memory2.settings(resources, str(tmp_path))


def test_the_rest(tmp_path):
    assert pairs(pids.settings(Resources(pids=-1))) == [("pids.max", "max")]
    assert pairs(cpuset.settings(Resources(cpuset_cpus="0", cpuset_mems="0"))) == [
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
    ]
    assert pairs(blkio.settings(Resources(blkio_weight=10), str(tmp_path))) == [("blkio.bfq.weight", "10")]
    assert pairs(blkio.settings(Resources(), str(tmp_path))) == []
    assert [io2.weight_from_blkio(weight) for weight in (10, 100, 500, 1000)] == [1, 910, 4950, 10000]


def run_device_program(rules, kind, major, minor, access):
    """Interpret the BPF program as the kernel would for one access."""
    import struct

    program = devices2.compile_rules(rules)
    context = [access << 16 | {"b": 1, "c": 2}[kind], major, minor]
    registers, at = [0] * 11, 0
    while True:
        code, regs, offset, immediate = struct.unpack_from("<BBhi", program, 8 * at)
        destination, source = regs & 15, regs >> 4
        at += 1
        if code == 0x61:
            registers[destination] = context[offset // 4]
        elif code in (0xB4, 0xBC):
            registers[destination] = immediate if code == 0xB4 else registers[source]
        elif code == 0x54:
            registers[destination] &= immediate
        elif code == 0x74:
            registers[destination] >>= immediate
        elif code in (0x56, 0x5E):
            other = immediate if code == 0x56 else registers[source]
            at += offset if registers[destination] != other else 0
        else:
            return registers[0]


MKNOD, READ, WRITE = 1, 2, 4


def test_the_device_program():
    rules = ("c *:* m", "c 1:3 rwm", "b 8:* r", "c 5:1 rw")
    cases = {
        ("c", 1, 3, READ | WRITE): 1,
        ("c", 9, 9, MKNOD): 1,
        ("c", 9, 9, READ): 0,
        ("b", 9, 9, MKNOD): 0,
        ("b", 8, 77, READ): 1,
        ("b", 8, 77, WRITE): 0,
        ("c", 5, 1, READ | WRITE): 1,
        ("c", 5, 1, READ | MKNOD): 0,
        ("c", 5, 2, READ): 0,
    }
    assert {case: run_device_program(rules, *case) for case in cases} == cases
    assert run_device_program(("a *:* rwm",), "b", 1, 1, 7) == 1


def test_block_io_of_one_device(tmp_path):
    disk = next((f"/dev/{name}" for name in sorted(os.listdir("/sys/block")) if os.path.exists(f"/dev/{name}")), None)
    if disk is None:
        pytest.skip("no block device on this machine")
    info = os.stat(disk)
    number = f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
    wanted = Resources(blkio_devices=(("read_bps", disk, 100), ("write_iops", disk, 7), ("weight", disk, 10)))
    assert pairs(blkio.settings(wanted, str(tmp_path))) == [
        ("blkio.throttle.read_bps_device", f"{number} 100"),
        ("blkio.throttle.write_iops_device", f"{number} 7"),
        ("blkio.bfq.weight_device", f"{number} 10"),
    ]
    assert pairs(io2.settings(wanted, str(tmp_path))) == [
        ("io.max", f"{number} rbps=100"),
        ("io.max", f"{number} wiops=7"),
        ("io.weight", f"{number} 1"),
    ]


@pytest.mark.parametrize("path", ["/dev/null", "/no/such"])
def test_what_is_no_block_device_is_refused(tmp_path, path):
    with pytest.raises(RuntimeFault, match=f"cannot limit block I/O of {path}"):
        blkio.settings(Resources(blkio_devices=(("read_bps", path, 1),)), str(tmp_path))


def test_real_time_bandwidth_and_what_v2_lacks():
    wanted = Resources(cpu_rt_runtime=10, cpu_rt_period=100, memory_swappiness=5, oom_kill_disable=True)
    assert pairs(cpu.settings(wanted)) == [("cpu.rt_period_us", "100"), ("cpu.rt_runtime_us", "10")]
    assert [text.split()[0] for text in memory2.left_out(wanted)] == ["mem_swappiness", "oom_kill_disable"]
    assert memory2.left_out(Resources()) == []


def test_weights_are_left_out_where_there_are_none(tmp_path):
    rows = [("blkio.bfq.weight", "10", "the block I/O weight")]
    assert write_settings(str(tmp_path), rows) == [
        "the block I/O weight is left out: its I/O scheduler knows no weights (bfq does)"
    ]
    with pytest.raises(RuntimeFault, match="cannot set CPU shares to 5"):
        write_settings(str(tmp_path), [("cpu.shares", "5", "CPU shares")])
