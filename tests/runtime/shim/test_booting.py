"""The init that another process makes for us."""

import os
import signal
import time

import pytest

from runtime import launch
from runtime.cgroups.manager import open_cgroup
from runtime.errors import RuntimeFault, Unsupported
from runtime.shim.booting import boot
from runtime.spec import Mount
from tests.runtime.boxes import Boxes, read_all, wait

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    boxes = Boxes(tmp_path_factory.mktemp("boxes"))
    yield boxes
    boxes.close()


def maker(boxes, spec, stdio=None):
    boxes.cgroups.append(open_cgroup(boxes.roots, spec.id, spec.cgroup_parent))
    return lambda: launch.spawn_init(spec, boxes.bundle(spec), boxes.roots, stdio=stdio, netns_fd=None, sibling=True)


def children():
    """Of this process; the test run has others than ours."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return set(file.read().split())


def test_the_init_is_our_child(boxes):
    before = children()
    reader, writer = os.pipe2(os.O_CLOEXEC)
    spec = boxes.spec("sh", "-c", "echo made; exit 7")
    spawned = boot(spec.name, maker(boxes, spec, (writer, writer, writer)))
    os.close(writer)
    with open(f"/proc/{spawned.pid}/stat") as file:
        assert int(file.read().rpartition(")")[2].split()[1]) == os.getpid()
    assert os.readlink(f"/proc/self/fd/{spawned.netns_fd}") == os.readlink(f"/proc/{spawned.pid}/ns/net")
    assert not os.get_inheritable(spawned.netns_fd) and not os.get_inheritable(spawned.pidfd)
    spawned.start()
    assert read_all(reader) == "made\n"
    assert wait(spawned.pidfd) == 7
    for fd in (reader, spawned.pidfd, spawned.netns_fd):
        os.close(fd)
    assert children() <= before


def test_its_terminal_comes_along(boxes):
    spec = boxes.spec("sh", "-c", "tty", process={"terminal": True})
    spawned = boot(spec.name, maker(boxes, spec))
    spawned.start()
    assert os.read(spawned.master_fd, 100) == b"/dev/pts/0\r\n"
    assert wait(spawned.pidfd) == 0
    for fd in (spawned.pidfd, spawned.netns_fd, spawned.master_fd):
        os.close(fd)


def test_failures_are_those_of_the_maker_and_nothing_is_left(boxes):
    before, others = set(os.listdir("/proc/self/fd")), children()
    spec = boxes.spec("true", mounts=(Mount("/a", "bind", "/nonexistent/x", ()),))
    with pytest.raises(RuntimeFault, match="no such file or directory") as caught:
        boot(spec.name, maker(boxes, spec))
    assert caught.value.hint == "create it on the host, or correct the path"
    spec = boxes.spec("true", mounts=(Mount("/bin/sh", "bind", "/tmp", ()),))
    with pytest.raises(RuntimeFault, match="cannot create container"):  # told by the init itself
        boot(spec.name, maker(boxes, spec))

    def refuse():
        raise Unsupported("cannot do it", "try another machine")

    with pytest.raises(Unsupported, match="cannot do it"):
        boot("x", refuse)

    def fail():
        raise PermissionError(13, "Permission denied", "/x")

    with pytest.raises(PermissionError) as denied:
        boot("x", fail)
    assert denied.value.filename == "/x"
    assert children() <= others
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_maker_that_is_killed_leaves_no_init(boxes):
    spec = boxes.spec("sleep", "60")
    make = maker(boxes, spec)

    def killed():
        spawned = make()
        with open(f"{boxes.base}/init", "w") as file:
            file.write(str(spawned.pid))
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RuntimeFault, match="the process that made it died"):
        boot(spec.name, killed)
    with open(f"{boxes.base}/init") as file:
        pid = int(file.read())
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
        time.sleep(0.01)
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # reaped by boot
            continue
    assert not os.path.exists(f"/proc/{pid}")
