"""The list of mount operations for a spec."""

import pytest

from runtime.devices import DEFAULT_NODES
from runtime.errors import RuntimeFault
from runtime.linux import mount as m
from runtime.paths import Bundle, Roots
from runtime.rootfs import (
    Bind,
    Content,
    Filesystem,
    SharedMemory,
    describe,
    hidden_paths,
    operation_from_mount,
    plan_mounts,
)
from runtime.spec import File, Mount, Rootfs
from tests.runtime.specs import spec

BUNDLE = Bundle(Roots("/s", "/r"), "a" * 64)
SAFE = m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NODEV | m.MOUNT_ATTR_NOEXEC


def plan(ipc_pid=-1, **changes):
    return plan_mounts(spec(**changes), BUNDLE, DEFAULT_NODES, (("/sys/fs/cgroup", "/sys/fs/cgroup/x"),), ipc_pid)


def test_the_defaults_in_order():
    dir_ = f"/s/containers/{'a' * 64}"
    assert [describe(operation) for operation in plan()] == [
        "mount proc on /proc",
        "mount /dev",
        "mount sysfs on /sys",
        "mount devpts on /dev/pts",
        "mount mqueue on /dev/mqueue",
        "mount tmpfs on /dev/shm",
        f"bind {dir_}/resolv.conf on /etc/resolv.conf",
        f"bind {dir_}/hostname on /etc/hostname",
        f"bind {dir_}/hosts on /etc/hosts",
        "mount /sys/fs/cgroup",
    ]


def test_a_users_mount_replaces_the_default_and_sorts_by_depth():
    wanted = (
        Mount("/a/b/c", "bind", "/deep"),
        Mount("/dev/shm", "tmpfs", options=("size=1m",)),
        Mount("/a/", "bind", "/flat"),
    )
    lines = [describe(operation) for operation in plan(mounts=wanted, network_files=False)]
    assert lines.index("bind /flat on /a") < lines.index("bind /deep on /a/b/c")
    assert lines.count("mount tmpfs on /dev/shm") == 1
    shm = next(o for o in plan(mounts=wanted) if o.destination == "/dev/shm")
    assert shm.options == (("size", "1m"),)


def test_privileged_has_writable_sys():
    sys = next(o for o in plan(privileged=True) if o.destination == "/sys")
    assert sys.attributes == SAFE
    assert hidden_paths(spec(privileged=True)) == ((), ())


def test_shared_ipc_shares_memory():
    assert SharedMemory(7) in plan(ipc_pid=7)


def test_files_and_image_binds():
    rootfs = Rootfs(("/layer",), binds=(("/usr", "/usr"),))
    operations = plan(files=(File("/run/secrets/x", b"s", 1, 2, 0o400),), rootfs=rootfs)
    assert Content("/run/secrets/x", b"s", 1, 2, 0o400) in operations
    assert Bind("/usr", "/usr", set=m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NODEV) in operations


def test_network_files_are_read_only_with_the_root():
    hosts = next(o for o in plan(rootfs=Rootfs(("/l",), readonly=True)) if o.destination == "/etc/hosts")
    assert hosts.set == m.MOUNT_ATTR_RDONLY


def test_bind_options():
    bind = operation_from_mount(Mount("/x", "bind", "/y", ("ro", "noexec", "rshared", "z", "rbind")))
    assert bind == Bind("/y", "/x", m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOEXEC, 0, m.MS_SHARED)
    assert operation_from_mount(Mount("/x", "bind", "/y", ("ro", "rw"))).set == 0


def test_tmpfs_is_safe_unless_told_otherwise():
    tmpfs = operation_from_mount(Mount("/x", "tmpfs", options=("exec", "size=5m", "mode=0700")))
    assert tmpfs == Filesystem("/x", "tmpfs", (("size", "5m"), ("mode", "0700")), SAFE & ~m.MOUNT_ATTR_NOEXEC)


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        (Mount("/", "bind", "/x"), "cannot mount at /: that is the container's root"),
        (Mount("a", "bind", "/x"), "must be an absolute path"),
        (Mount("/a/../b", "bind", "/x"), "must be an absolute path without .."),
        (Mount("/proc", "bind", "/x"), "cannot mount at /proc: it is inside /proc"),
        (Mount("/proc/self/attr", "bind", "/x"), "inside /proc"),
        (Mount("/a", "bind", "/x", ("size=1m",)), "unknown option 'size=1m'"),
        (Mount("/a", "tmpfs", options=("wat",)), "unknown option 'wat'"),
        (Mount("/a", "nfs", "/x"), "unknown type 'nfs'"),
    ],
)
def test_mounts_that_cannot_be(mount, message):
    with pytest.raises(RuntimeFault, match=message):
        operation_from_mount(mount)


def test_lxcfs_may_mount_on_proc_files():
    assert operation_from_mount(Mount("/proc/meminfo", "bind", "/x")).destination == "/proc/meminfo"
