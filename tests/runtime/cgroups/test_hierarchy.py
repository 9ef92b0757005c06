"""Which hierarchies are chosen, from the text of /proc files."""

from runtime.cgroups.hierarchy import Hierarchy, mode, parse_mounts, parse_positions, select_hierarchies

V2 = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = """32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
"""


def choose(positions, mounts):
    return select_hierarchies(parse_positions(positions), parse_mounts(mounts))


def test_unified_containers_go_to_the_top():
    found = choose("0::/user.slice/session-1.scope\n", V2)
    assert found == (Hierarchy("unified", "/sys/fs/cgroup", "/sys/fs/cgroup"),)
    assert mode(found) == "v2"


def test_v1_containers_stay_below_us_but_not_below_a_session():
    found = choose("3:cpu,cpuacct:/a\n2:memory:/b/c\n1:name=systemd:/user.slice/session-1.scope\n", V1)
    assert [h.base for h in found] == [
        "/sys/fs/cgroup/cpu,cpuacct/a",
        "/sys/fs/cgroup/memory/b/c",
        "/sys/fs/cgroup/systemd",
    ]
    assert found[0].has("cpuacct")
    assert mode(found) == "v1"


def test_hybrid():
    mounts = V1 + V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    found = choose("3:cpu,cpuacct:/\n2:memory:/\n1:name=systemd:/\n0::/\n", mounts)
    assert mode(found) == "hybrid"
    assert found[-1].is_v2


def test_an_enclosing_container_of_ours_is_left():
    found = choose("2:memory:/x/pycompose/abc\n", V1)
    assert [h.base for h in found] == ["/sys/fs/cgroup/memory/x"]


def test_a_mount_of_a_subtree():
    mounts = "33 31 0:30 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    assert choose("2:memory:/docker/abc/sub\n", mounts)[0].base == "/sys/fs/cgroup/memory/sub"


def test_blanks_in_mount_points():
    mounts = "33 31 0:30 / /mnt/a\\040b rw - cgroup cgroup rw,memory\n"
    assert choose("2:memory:/\n", mounts)[0].mount == "/mnt/a b"


def test_none():
    assert mode(choose("", "")) == "none"
