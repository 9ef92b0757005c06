"""Probes of a container's walls, one per known hole of container runtimes."""

import ctypes
import mmap
import os
import stat
import sys

import pytest

from runtime.errors import RuntimeFault, StartFailed
from runtime.linux import mount as m
from runtime.linux.identity import start_time
from runtime.mounts import sealed_executable
from runtime.spec import Mount
from tests.runtime.boxes import Boxes, build_image, read_all, wait
from tests.runtime.test_exec import Running

pytestmark = pytest.mark.root

DOCKER = "00000000a80425fb"
NONE = "0000000000000000"


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    boxes = Boxes(tmp_path_factory.mktemp("boxes"))
    yield boxes
    boxes.close()


def status(text):
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def image(boxes, tmp_path):
    return build_image(tmp_path / "image")


def test_rights_of_root(boxes):
    found = status(boxes.run(boxes.spec("cat", "/proc/1/status"))[1])
    assert [found[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")] == [NONE, DOCKER, DOCKER, DOCKER, NONE]
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("0", "2")
    assert (found["SigIgn"], found["SigBlk"]) == (NONE, NONE)


def test_rights_of_a_user(boxes):
    found = status(boxes.sh("cat /proc/1/status", process={"user": "1"}))
    assert [found[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")] == [NONE, NONE, NONE, DOCKER, NONE]
    assert found["Groups"].split() == ["0"]


def test_no_new_privileges(boxes):
    assert status(boxes.sh("cat /proc/1/status", process={"no_new_privileges": True}))["NoNewPrivs"] == "1"


def test_only_the_standard_streams(boxes):
    assert boxes.sh("ls /proc/1/fd; true") == "0\n1\n2\n"


def test_masked_and_read_only_paths(boxes):
    script = """for p in acpi asound interrupts kcore keys latency_stats sched_debug scsi timer_list timer_stats; do
      [ -e /proc/$p ] || continue
      if [ -d /proc/$p ]; then ls /proc/$p | sed 's/^/LEAK /'; touch /proc/$p/x; else head -c 1 /proc/$p; fi
      umount /proc/$p && echo LEAK; mount -o remount,rw /proc/$p && echo LEAK
    done; ls /sys/firmware | sed 's/^/LEAK /'
    echo x > /proc/sys/kernel/core_pattern; echo h > /proc/sysrq-trigger; echo 1 > /proc/irq/default_smp_affinity
    mkdir /sys/fs/cgroup/x /sys/fs/cgroup/*/x; touch /sys/x"""
    output = boxes.sh(script)
    assert "LEAK" not in output
    assert output.count("Read-only file system") >= 5
    assert "can't create /proc/sys/kernel/core_pattern: Read-only file system" in output


def test_what_seccomp_and_capabilities_stop(boxes):
    script = """unshare -U true; unshare -m true; mount -t tmpfs x /tmp; mount -t cgroup x /tmp; mount --bind / /tmp
    hostname other; mknod /tmp/disk b 254 0; cat /tmp/disk; true"""
    output = boxes.sh(script)
    assert len(output.splitlines()) >= 7
    for line in output.splitlines():
        assert "not permitted" in line or "ermission denied" in line or "you must be root" in line, line


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_system_directories_as_links(boxes, tmp_path, name):
    root = image(boxes, tmp_path)
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "ptmx").write_text("mine")
    os.symlink(str(tmp_path / "host"), f"{root}/{name}")
    with pytest.raises(RuntimeFault, match="symbolic link") as fault:
        boxes.sh("true", rootfs={"layers": (root,)})
    assert "the image has a symbolic link where a system directory must be" in fault.value.hint
    assert os.listdir(tmp_path / "host") == ["ptmx"]
    assert (tmp_path / "host" / "ptmx").read_text() == "mine"


def test_links_at_other_destinations_stay_inside(boxes, tmp_path):
    root = image(boxes, tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "hosts").write_text("untouched")
    os.symlink(str(outside), f"{root}/a")
    os.symlink(str(outside / "hosts"), f"{root}/etc/hosts")
    os.makedirs(f"{root}{outside}")
    (tmp_path / "source").mkdir()
    mounts = (Mount("/a/b/c", "bind", str(tmp_path / "source")),)
    boxes.sh("true", rootfs={"layers": (root,)}, mounts=mounts)
    assert (outside / "hosts").read_text() == "untouched"
    assert os.listdir(outside) == ["hosts"]


def test_a_dangling_link_leads_to_nothing_on_the_host(boxes, tmp_path):
    root = image(boxes, tmp_path)
    os.symlink(str(tmp_path / "marker"), f"{root}/a")
    (tmp_path / "in").mkdir()
    mounts = (Mount("/a/b", "bind", str(tmp_path / "in")),)
    assert boxes.sh("ls -d /a/b", rootfs={"layers": (root,)}, mounts=mounts) == "/a/b\n"
    assert not (tmp_path / "marker").exists()


def test_a_path_below_a_volume_stays_below_it(boxes, tmp_path):
    """A container that may write the volume must not choose what of the host the next one mounts."""
    volume = tmp_path / "volume"
    (volume / "real").mkdir(parents=True)
    (volume / "real" / "mine").touch()
    os.symlink("/", volume / "root")
    os.symlink("../../../../etc", volume / "up")
    os.symlink("/real", volume / "link")

    def mounted(name):
        mount = Mount("/data", "bind", f"{volume}/{name}", ("rw",), within=str(volume))
        return boxes.sh("ls /data", mounts=(mount,))

    assert mounted("link") == "mine\n"
    assert mounted("root").split() == ["link", "real", "root", "up"]
    with pytest.raises(RuntimeFault, match="no such file or directory"):
        mounted("up")


def test_links_in_a_circle_are_refused(boxes, tmp_path):
    root = image(boxes, tmp_path)
    os.symlink("two", f"{root}/one")
    os.symlink("one", f"{root}/two")
    with pytest.raises(RuntimeFault, match="too many levels of symbolic links"):
        boxes.sh("true", rootfs={"layers": (root,)}, mounts=(Mount("/one/x", "bind", str(tmp_path)),))


def test_an_images_own_link_for_resolv_conf(boxes, tmp_path):
    root = image(boxes, tmp_path)
    os.symlink("../run/systemd/resolve/stub-resolv.conf", f"{root}/etc/resolv.conf")
    assert boxes.sh("cat /etc/resolv.conf", rootfs={"layers": (root,)}) == "resolv.conf\n"


@pytest.mark.parametrize("number", [*range(0, 24), 100])
def test_a_working_directory_through_descriptors(boxes, number):
    spec = boxes.spec("sh", "-c", "pwd; ls", process={"cwd": f"/proc/self/fd/{number}"})
    spawned = boxes.spawn(spec)
    with pytest.raises(StartFailed, match="working directory"):
        spawned.start()
    boxes.end(spawned)


def test_a_working_directory_through_a_link(boxes, tmp_path):
    root = image(boxes, tmp_path)
    for number in range(3, 12):
        os.symlink(f"/proc/self/fd/{number}", f"{root}/work{number}")
        spawned = boxes.spawn(boxes.spec("true", process={"cwd": f"/work{number}"}, rootfs={"layers": (root,)}))
        with pytest.raises(StartFailed, match="working directory"):
            spawned.start()
        boxes.end(spawned)


@pytest.mark.parametrize(
    "path", ["/proc/self/fd/3", "/proc/self/fd/4", "/proc/1/fd/3", "/proc/self/exe", "/proc/1/exe"]
)
def test_descriptors_and_the_interpreter_as_program(boxes, path):
    spawned = boxes.spawn(boxes.spec(path, "-c", "print('escaped')"))
    with pytest.raises(StartFailed) as failure:
        spawned.start()
    assert failure.value.code in (126, 127)
    boxes.end(spawned)


def test_scripts_interpreted_by_our_own_executable(boxes, tmp_path):
    root = image(boxes, tmp_path)
    script(f"{root}/bin/first", "#!/proc/self/exe\n")
    script(f"{root}/bin/second", "#!/bin/first\n")
    box = Running(boxes, boxes.spec("sleep", "60", rootfs={"layers": (root,)}))
    for name in ("first", "second"):
        spawned = boxes.spawn(boxes.spec(name, rootfs={"layers": (root,)}))
        with pytest.raises(StartFailed, match="it is the interpreter of the host"):
            spawned.start()
        boxes.end(spawned)
        with pytest.raises(StartFailed, match="it is the interpreter of the host"):
            box.run(name)
    boxes.end(box.spawned)


def script(path, text):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o755)


def test_a_sealed_interpreter_cannot_be_written(tmp_path):
    fd = sealed_executable(sys.executable, str(tmp_path))
    with pytest.raises(OSError, match="Read-only"):
        os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writer, 1)
        code = "try: open('/proc/self/exe', 'r+b')\nexcept OSError as e: print(e.errno)"
        os.execve(fd, [sys.executable, "-I", "-S", "-c", code], {})
    os.close(writer)
    assert read_all(reader) == "30\n"  # EROFS
    os.waitpid(pid, 0)
    os.close(reader)
    os.close(fd)


def test_processes_on_their_way_in_cannot_be_looked_into(boxes):
    """A container watches for new processes while others are executed in it: their files must not show."""
    spy = "while [ ! -e /tmp/stop ]; do ls -l /proc/[0-9]*/exe /proc/[0-9]*/cwd /proc/[0-9]*/fd 2>/dev/null; done > /tmp/log"
    box = Running(boxes, boxes.spec("sh", "-c", spy))
    for _ in range(30):
        box.run("true")
    box.run("touch", "/tmp/stop")
    wait(box.spawned.pidfd)
    bundle = boxes.bundle(box.spec)
    with open(f"{bundle.upper}/tmp/log") as file:
        seen = file.read()
    assert "busybox" in seen
    for word in ("python", boxes.base, "socket:", "cgroup", "pidfd"):
        assert word not in seen, word


def test_nothing_is_imported_or_loaded_inside_the_image(tmp_path):
    """From the moment the image is at / our interpreter must load nothing, on failing paths too."""
    log = tmp_path / "log"
    boxes = Boxes(tmp_path / "boxes")
    pid = os.fork()
    if pid == 0:
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        os.set_inheritable(fd, False)
        _audit_init(fd)
        try:
            for changes in ({}, {"cwd": "/etc/passwd"}, {"args": ("nothing",)}, {"user": "ghost"}, {"args": ("/etc",)}):
                spawned = boxes.spawn(boxes.spec("true", process=changes))
                try:
                    spawned.start()
                except StartFailed:
                    pass
                boxes.end(spawned)
        finally:
            boxes.close()
            os._exit(0)
    os.waitpid(pid, 0)
    events = log.read_text().splitlines()
    assert "open b'/etc/passwd'" in events, "the hook saw the inside"
    entered = events.index("open b'/etc/passwd'")
    loads = [event for event in events[entered:] if event.split()[0] in ("import", "ctypes.dlopen", "exec", "compile")]
    assert loads == []


def _audit_init(fd):
    """Log to ``fd`` what a later init (pid 1 of its namespace) does; through shared memory, since it closes all."""
    area = mmap.mmap(-1, 1 << 20)

    def hook(event, args):
        if os.getpid() == 1 and event in ("import", "open", "ctypes.dlopen", "exec", "compile"):
            area.write(f"{event} {args[0]!r}\n".encode())

    original = Boxes.end

    def end(self, spawned):
        original(self, spawned)
        used = area.find(b"\0")
        os.write(fd, area[:used])
        area[:used] = bytes(used)

    Boxes.end = end
    sys.addaudithook(hook)


def test_a_bound_dev_with_a_link_for_the_null_device(boxes, tmp_path):
    """Masks must not be made of what a volume calls /dev/null."""
    dev = tmp_path / "dev"
    for name in ("pts", "mqueue", "shm"):
        (dev / name).mkdir(parents=True)
    os.symlink("/proc/sys/kernel/core_pattern", dev / "null")
    output = boxes.sh("cat /proc/keys; echo x > /proc/keys; cat /proc/sys/kernel/core_pattern; touch /proc/acpi/x",
                      mounts=(Mount("/dev", "bind", str(dev)),))  # fmt: skip
    with open("/proc/sys/kernel/core_pattern") as file:
        pattern = file.read()
    assert output.startswith(pattern), "the masked file is empty"
    assert pattern != "x\n"


def test_a_private_keyring(boxes):
    """The session keyring of the host is not the container's."""
    library = ctypes.CDLL(None)
    ours = library.syscall(250, 0, -3, 0)
    spec = boxes.spec("sleep", "9")
    spawned = boxes.spawn(spec)
    spawned.start()
    with open("/proc/keys") as file:
        keyrings = file.read()
    boxes.end(spawned)
    assert f"_ses.{spec.id}" in keyrings
    assert ours == library.syscall(250, 0, -3, 0)


def test_devices_are_the_expected_ones(boxes):
    spec = boxes.spec("sleep", "9")
    spawned = boxes.spawn(spec)
    base = f"/proc/{spawned.pid}/root/dev"
    found = {}
    for name in os.listdir(base):
        info = os.lstat(f"{base}/{name}")
        if stat.S_ISCHR(info.st_mode):
            found[name] = (os.major(info.st_rdev), os.minor(info.st_rdev), stat.S_IMODE(info.st_mode))
    boxes.end(spawned)
    assert found == {
        "null": (1, 3, 0o666),
        "zero": (1, 5, 0o666),
        "full": (1, 7, 0o666),
        "random": (1, 8, 0o666),
        "urandom": (1, 9, 0o666),
        "tty": (5, 0, 0o666),
    }


def test_a_fifo_for_a_passwd_file_does_not_hang(boxes, tmp_path):
    root = image(boxes, tmp_path)
    os.unlink(f"{root}/etc/passwd")
    os.mkfifo(f"{root}/etc/passwd")
    assert boxes.sh("echo ok", rootfs={"layers": (root,)}) == "ok\n"


def test_openat2_never_leaves_the_root(tmp_path):
    os.symlink("/etc", tmp_path / "link")
    root = os.open(tmp_path, os.O_PATH)
    with pytest.raises(FileNotFoundError):
        m.openat2(root, b"link/passwd", os.O_PATH, m.RESOLVE_IN_ROOT)
    os.close(root)


def test_the_parent_stays_as_it_was(boxes):
    before = (os.readlink("/proc/self/ns/mnt"), os.getcwd(), os.umask(0o022))
    os.umask(before[2])
    boxes.sh("true")
    assert (os.readlink("/proc/self/ns/mnt"), os.getcwd(), os.umask(before[2])) == before
    with open("/proc/self/coredump_filter") as file:
        assert file.read(), "our own /proc files are ours again"
    assert start_time(os.getpid()) > 0
