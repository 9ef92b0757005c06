"""Additional processes in a running container."""

import os
import time

import pytest

from runtime import exec as exec_
from runtime import launch
from runtime.capabilities import DEFAULT
from runtime.cgroups import files
from runtime.cgroups.manager import open_cgroup
from runtime.errors import RuntimeFault, StartFailed
from runtime.exec import spawn_exec
from runtime.linux import process as proc
from runtime.spec import Namespaces, Process, Resources, Rlimit
from tests.runtime.boxes import Boxes, read_all, wait

pytestmark = pytest.mark.root


class Running:
    def __init__(self, boxes, spec):
        self.boxes, self.spec = boxes, spec
        self.spawned = boxes.spawn(spec)
        self.spawned.start()

    def exec(self, *args, stdio=None, privileged=False, **changes):
        process = Process(args=args, capabilities=changes.pop("capabilities", DEFAULT), **changes)
        bundle = self.boxes.bundle(self.spec)
        pid, pidfd = self.spawned.pid, self.spawned.pidfd
        return spawn_exec(pid, pidfd, self.spec, bundle, self.boxes.roots, process, stdio, privileged=privileged)

    def run(self, *args, **changes):
        reader, writer = os.pipe2(os.O_CLOEXEC)
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            done = self.exec(*args, stdio=(null, writer, writer), **changes)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
            os.close(null)
        output = read_all(reader)
        os.close(reader)
        code = wait(done.pidfd)
        os.close(done.pidfd)
        return code, output

    def sh(self, script, **changes):
        return self.run("sh", "-c", script, **changes)[1]


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    boxes = Boxes(tmp_path_factory.mktemp("boxes"))
    yield boxes
    boxes.close()


@pytest.fixture(scope="module")
def box(boxes):
    return Running(boxes, boxes.spec("sleep", "600", resources=Resources(pids=50)))


def test_runs_in_the_container(box):
    assert box.run("sh", "-c", "hostname; exit 4") == (4, "box\n")
    for name in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
        inside = box.sh(f"readlink /proc/self/ns/{name}").strip()
        assert inside == os.readlink(f"/proc/{box.spawned.pid}/ns/{name}")


def test_where_the_container_divides_its_cgroup(boxes, monkeypatch):
    """As Docker and systemd in a container do: then nothing may be beside the cgroups below (EBUSY)."""
    box = Running(boxes, boxes.spec("sleep", "600"))
    cgroup = open_cgroup(boxes.roots, box.spec.id)
    if not cgroup.unified:
        pytest.skip("needs cgroup v2, at least beside v1")
    os.mkdir(f"{cgroup.unified}/init")
    files.write(f"{cgroup.unified}/init/cgroup.procs", str(box.spawned.pid))
    controllers = files.read(f"{cgroup.unified}/cgroup.controllers").split()
    if controllers:
        files.write(f"{cgroup.unified}/cgroup.subtree_control", f"+{controllers[-1]}")
    else:  # v1 has them all: this kernel would allow it
        tries = iter([OSError(16, "busy")])

        def busy(*words):
            for error in tries:
                raise error
            return launch.born(*words)

        monkeypatch.setattr(exec_, "born", busy)
    null = os.open("/dev/null", os.O_RDWR)
    done = box.exec("sleep", "9", stdio=(null, null, null))
    os.close(null)
    assert f"/{box.spec.id}/init\n" in files.read(f"/proc/{done.pid}/cgroup")
    proc.pidfd_send_signal(done.pidfd, 9)
    wait(done.pidfd)
    os.close(done.pidfd)
    boxes.end(box.spawned)


def test_is_in_the_cgroup(box):
    assert {line.split(":")[2] for line in box.sh("cat /proc/self/cgroup").split()} == {"/"}
    null = os.open("/dev/null", os.O_RDWR)
    done = box.exec("sleep", "9", stdio=(null, null, null))
    os.close(null)
    with open(f"/proc/{done.pid}/cgroup") as file:
        positions = file.read().splitlines()
    assert len(positions) > 0
    assert all(box.spec.id in line for line in positions)
    proc.pidfd_send_signal(done.pidfd, proc.SIGKILL)
    assert wait(done.pidfd) == 137
    os.close(done.pidfd)


def test_rights_are_those_of_the_process(box):
    status = box.sh("grep -E 'Cap|^Seccomp:|NoNewPrivs|SigIgn|SigBlk' /proc/self/status")
    assert status.count("00000000a80425fb") == 3
    assert "Seccomp:\t2" in status
    status = box.sh("grep -E 'Cap' /proc/self/status", user="1")
    assert status.count("0000000000000000") == 4
    assert "CapBnd:\t00000000a80425fb" in status
    assert "NoNewPrivs:\t1" in box.sh("cat /proc/self/status", no_new_privileges=True)


def test_privileged_has_all_capabilities(box):
    with open("/proc/self/status") as file:
        ours = next(line for line in file if line.startswith("CapPrm")).split()[1]
    status = box.sh("cat /proc/self/status", privileged=True)
    assert f"CapEff:\t{ours}" in status
    assert "Seccomp:\t0" in status


def test_user_environment_directory_limits(box):
    output = box.sh("id -u; echo $HOME $A; pwd; ulimit -n", user="app", env=("A=b",), cwd="/tmp",
                    rlimits=(Rlimit("nofile", 77, 77),))  # fmt: skip
    assert output == "1000\n/home/app b\n/tmp\n77\n"


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"args": ("nothing",)}, 127, 'executable "nothing" not found in $PATH'),
        ({"args": ("/etc/passwd",)}, 126, "permission denied"),
        ({"args": ("true",), "cwd": "/nowhere"}, 127, "working directory /nowhere: no such file or directory"),
        ({"args": ("true",), "user": "ghost"}, 126, "unable to find user ghost"),
    ],
)
def test_what_cannot_be_executed(box, changes, code, message):
    with pytest.raises(StartFailed) as failure:
        box.run(*changes.pop("args"), **changes)
    assert failure.value.code == code
    assert message in failure.value.message
    assert failure.value.message.startswith("cannot exec in container box-")


def test_only_the_standard_streams(box):
    assert sorted(box.sh("ls /proc/self/fd").split()) == ["0", "1", "2", "3"]  # 3 is ls's own


def test_without_streams_it_has_the_null_device(box):
    done = box.exec("sh", "-c", "echo x; readlink /proc/self/fd/2 > /tmp/where")
    assert wait(done.pidfd) == 0
    os.close(done.pidfd)
    assert box.sh("cat /tmp/where") == "/dev/null\n"


def test_a_terminal(box):
    done = box.exec("sh", "-c", "tty; echo in=$(head -1)", terminal=True)
    os.write(done.master_fd, b"word\n")
    output = b""
    while True:
        try:
            output += os.read(done.master_fd, 4096)
        except OSError:
            break
    assert wait(done.pidfd) == 0
    for fd in (done.pidfd, done.master_fd):
        os.close(fd)
    assert output.decode().replace("\r", "").splitlines()[-1] == "in=word"
    assert "/dev/pts/" in output.decode()


def test_host_namespaces(boxes):
    box = Running(boxes, boxes.spec("sleep", "600", namespaces=Namespaces("host", "host", "host", "host", "host")))
    assert box.sh("readlink /proc/self/ns/net").strip() == os.readlink("/proc/self/ns/net")
    assert box.sh("readlink /proc/self/ns/pid").strip() == os.readlink("/proc/self/ns/pid")


def test_our_own_pid_namespace_is_restored(box):
    box.run("true")
    assert os.readlink("/proc/self/ns/pid_for_children") == os.readlink("/proc/self/ns/pid")


def test_an_ended_container(boxes):
    box = Running(boxes, boxes.spec("true"))
    wait(box.spawned.pidfd)
    with pytest.raises(RuntimeFault, match="it is not running"):
        box.exec("true")


def test_no_descriptor_is_left(box):
    box.run("true")
    before = sorted(os.listdir("/proc/self/fd"))
    box.run("true")
    with pytest.raises(StartFailed):
        box.run("nothing")
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_it_is_quick(box):
    times = []
    for _ in range(20):
        began = time.perf_counter()
        done = box.exec("true")
        times.append(time.perf_counter() - began)
        wait(done.pidfd)
        os.close(done.pidfd)
    assert min(times) < 0.02
