"""A container's init: what it is, what it sees, how it fails."""

import os
import shutil
import time

import pytest

from runtime import capabilities, launch
from runtime.cgroups.manager import open_cgroup
from runtime.errors import RuntimeFault, StartFailed, Unsupported
from runtime.linux import mount as m
from runtime.linux import process as proc
from runtime.linux.identity import start_time, zombie_status
from runtime.mounts import detached_root, new_filesystem, settle_upper
from runtime.record import replace
from runtime.spec import Device, File, Mount, Namespaces, Resources, Rlimit
from runtime.volatile import upper_is_dirty
from tests.runtime.boxes import Boxes, read_all, wait

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    before = mounts_of_host()
    boxes = Boxes(tmp_path_factory.mktemp("boxes"))
    yield boxes
    boxes.close()
    assert mounts_of_host() == before, "a mount leaked to the host"
    assert not os.path.exists(os.path.dirname(boxes.cgroups[-1].unified or "/nonexistent/x"))


def mounts_of_host():
    with open("/proc/self/mountinfo") as file:
        return [line.split(" ", 5)[4] for line in file]


def test_runs_and_exits(boxes):
    assert boxes.run(boxes.spec("sh", "-c", "echo hello; exit 3")) == (3, "hello\n")
    assert boxes.run(boxes.spec("sh", "-c", "kill -TERM $$; sleep 9", process={"args": ("sleep", "0")}))[0] == 0


def test_created_then_started(boxes):
    reader, writer = os.pipe2(os.O_CLOEXEC)
    spec = boxes.spec("sh", "-c", "echo x >&2; echo $$")
    spawned = boxes.spawn(spec, (writer, writer, writer))
    os.close(writer)
    assert spawned.start_time == start_time(spawned.pid)
    assert os.readlink(f"/proc/self/fd/{spawned.netns_fd}") == os.readlink(f"/proc/{spawned.pid}/ns/net")
    assert not os.get_inheritable(spawned.netns_fd)
    assert spawned.master_fd == -1
    spawned.start()
    assert read_all(reader) == "x\n1\n"
    os.close(reader)
    assert wait(spawned.pidfd) == 0
    boxes.end(spawned)


def test_abort_before_start(boxes):
    spawned = boxes.spawn(boxes.spec("sleep", "9"))
    spawned.abort()
    assert start_time(spawned.pid) == 0
    boxes.end(spawned)


def test_a_created_container_dies_with_its_shim(boxes):
    spec = boxes.spec("sleep", "9")
    boxes.cgroups.append(open_cgroup(boxes.roots, spec.id))
    pid = os.fork()
    if pid == 0:
        spawned = boxes.spawn(spec)
        with open(f"{boxes.base}/pid", "w") as file:
            file.write(str(spawned.pid))
        os._exit(0)
    os.waitpid(pid, 0)
    with open(f"{boxes.base}/pid") as file:
        init = int(file.read())
    end = time.monotonic() + 5
    while start_time(init) and zombie_status(init) is None:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_identity_of_the_box(boxes):
    lines = boxes.sh("hostname; pwd; id; cat /proc/self/cgroup | sort -u").splitlines()
    assert lines[:3] == ["box", "/", "uid=0(root) gid=0(root) groups=0(root)"]
    assert boxes.sh("ls /proc | grep -c '^[0-9]'").strip() in ("2", "3", "4")  # a shell may become its last command


def test_the_environment(boxes):
    output = boxes.sh("env", process={"env": ("A=1", "B=", "A=2", "bare", "=x")})
    variables = set(output.splitlines())
    assert {"A=2", "B=", "HOME=/root", "HOSTNAME=box"} <= variables
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in variables
    assert not any("bare" in word or word.startswith("=") for word in variables)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("app", "uid=1000(app) gid=1001(app) groups=1001(app),2000(extra)"),
        ("1", "uid=1 gid=0(root) groups=0(root)"),
        ("1:2", "uid=1 gid=2 groups=2"),
        ("app:other", "uid=1000(app) gid=3000(other) groups=3000(other)"),
    ],
)
def test_users(boxes, user, expected):
    assert boxes.sh("id", process={"user": user}).strip() == expected


def test_home_and_stdout_of_a_user(boxes):
    assert boxes.sh("echo $HOME > /dev/stdout", process={"user": "app"}) == "/home/app\n"


@pytest.mark.parametrize(
    ("process", "code", "message"),
    [
        ({"args": ("nothing",)}, 127, 'executable "nothing" not found in $PATH'),
        ({"args": ("/bin/nothing",)}, 127, 'executable "/bin/nothing": no such file or directory'),
        ({"args": ("/etc/passwd",)}, 126, 'executable "/etc/passwd": permission denied'),
        ({"args": ("/etc",)}, 126, 'executable "/etc": is a directory'),
        ({"cwd": "/etc/passwd"}, 126, "working directory /etc/passwd: not a directory"),
        ({"user": "ghost"}, 126, "unable to find user ghost"),
        ({"user": "4294967295"}, 126, "id 4294967295 is not between"),
    ],
)
def test_what_cannot_start(boxes, process, code, message):
    spec = boxes.spec(process=process)
    spawned = boxes.spawn(spec)
    with pytest.raises(StartFailed) as failure:
        spawned.start()
    assert failure.value.code == code
    assert message in failure.value.message
    assert failure.value.message.startswith(f"cannot start container {spec.name}: ")
    assert wait(spawned.pidfd) == code
    boxes.end(spawned)


def test_a_missing_working_directory_is_made(boxes):
    assert boxes.sh("pwd", process={"cwd": "/srv/app/x"}) == "/srv/app/x\n"


def test_a_users_own_working_directory(boxes):
    os.makedirs(f"{boxes.image}/private", exist_ok=True)
    os.chmod(f"{boxes.image}/private", 0o700)
    os.chown(f"{boxes.image}/private", 1000, 1001)
    assert boxes.sh("pwd", process={"cwd": "/private", "user": "app"}) == "/private\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"process": {"args": ()}}, "no command"),
        ({"process": {"args": ("a\0b",)}}, "cannot use an argument with a NUL byte"),
        ({"process": {"cwd": "rel"}}, "is not absolute"),
        ({"process": {"capabilities": ("CAP_BOGUS",)}}, "no such capability"),
        ({"sysctls": {"kernel.panic": "1"}}, "cannot set sysctl kernel.panic"),
        (
            {"sysctls": {"net.ipv4.nothing_here": "1"}},
            "could not set a sysctl .sys/net/ipv4/nothing_here.: no such file",
        ),
        ({"mounts": (Mount("/x", "bind", "/nonexistent/y"),)}, "cannot mount /nonexistent/y at /x: no such file"),
        ({"namespaces": Namespaces(network="wat")}, "cannot use the network namespace 'wat'"),
        ({"namespaces": Namespaces(network="container:abc")}, "cannot join the namespaces of container abc"),
        ({"resources": Resources(cpuset_cpus="99999")}, "cannot set the CPU set to 99999"),
        (
            {"mounts": (Mount("/etc", "bind", "/etc/passwd"),)},
            "could not mount .bind /etc/passwd on /etc.: not a directory",
        ),
    ],
)
def test_what_cannot_be_created(boxes, changes, message):
    spec = boxes.spec(**changes)
    if "args" in changes.get("process", {}):
        spec = replace(spec, process=replace(spec.process, **changes["process"]))
    with pytest.raises(RuntimeFault, match=message):
        boxes.spawn(spec)
    assert not any(os.path.exists(path) for path in boxes.cgroups[-1].paths.values())


def test_a_missing_layer(boxes):
    for _ in range(5):  # the child fails before, or after, the shim's first word
        with pytest.raises(RuntimeFault, match=r"could not open the root \(the overlay of .*\): no such file"):
            boxes.spawn(boxes.spec("true", rootfs={"layers": ("/nonexistent/layer",)}))
        assert not any(os.path.exists(path) for path in boxes.cgroups[-1].paths.values())


def test_mounts(boxes, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in").write_text("in\n")
    (tmp_path / "file").write_text("file\n")
    mounts = (
        Mount("/data", "bind", str(tmp_path / "data")),
        Mount("/ro/deep", "bind", str(tmp_path / "data"), ("ro",)),
        Mount("/etc/file", "bind", str(tmp_path / "file"), ("ro",)),
        Mount("/scratch", "tmpfs", options=("size=1m", "mode=0700")),
    )
    script = """cat /data/in /etc/file; echo out > /data/out; touch /ro/deep/x /etc/file; stat -c %a /scratch
    grep -E ' /(scratch|ro/deep) ' /proc/self/mounts | cat; touch /scratch/x && echo ok"""
    output = boxes.sh(script, mounts=mounts)
    lines = output.splitlines()
    assert lines[:5] == [
        "in",
        "file",
        "touch: /ro/deep/x: Read-only file system",
        "touch: /etc/file: Read-only file system",
        "700",
    ]
    scratch = next(line for line in lines if line.startswith("tmpfs /scratch"))
    assert scratch.startswith("tmpfs /scratch tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k,mode=700")  # ,inode64
    assert lines[-1] == "ok"
    assert (tmp_path / "data" / "out").read_text() == "out\n"
    assert not (tmp_path / "data" / "x").exists()


def test_propagation(boxes, tmp_path):
    """With rshared, and only with it or rslave, a later mount of the host shows inside."""
    words = ("rshared", "rslave", "rprivate")
    (tmp_path / "source").mkdir()
    mounts = tuple(Mount(f"/{word}", "bind", str(tmp_path / "source"), (word,)) for word in words)
    spec = boxes.spec("sleep", "9", mounts=mounts)
    boxes.cgroups.append(open_cgroup(boxes.roots, spec.id))
    pid = os.fork()
    if pid == 0:  # a mount namespace of our own plays the host
        code = 1
        try:
            proc.unshare(proc.CLONE_NEWNS)
            m.set_propagation(b"/", m.MS_REC | m.MS_PRIVATE)
            source = os.fsencode(tmp_path / "source")
            attach(b"tmpfs", source)
            m.set_propagation(source, m.MS_SHARED)
            os.mkdir(source + b"/sub")
            spawned = boxes.spawn(spec)
            attach(b"tmpfs", source + b"/sub")
            os.close(os.open(source + b"/sub/new", os.O_CREAT))
            seen = [os.path.exists(f"/proc/{spawned.pid}/root/{word}/sub/new") for word in words]
            code = 0 if seen == [True, True, False] else 2
            boxes.end(spawned)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def attach(kind, path):
    mount = new_filesystem(kind, ())
    target = os.open(path, os.O_PATH)
    m.move_mount(mount, target)
    os.close(target)
    os.close(mount)


def test_files_are_private_and_read_only(boxes):
    files = (File("/run/secrets/key", b"top\0secret", 1000, 1001, 0o400), File("/etc/conf", b"c\n"))
    output = boxes.sh("stat -c '%u:%g %a %s' /run/secrets/key; cat /etc/conf; echo x > /etc/conf", files=files)
    assert output.splitlines()[:2] == ["1000:1001 400 10", "c"]
    assert "Read-only file system" in output


def test_network_files(boxes):
    spec = boxes.spec("sh", "-c", "cat /etc/hosts; echo '1.2.3.4 x' >> /etc/hosts")
    assert boxes.run(spec) == (0, "hosts\n")
    with open(boxes.bundle(spec).hosts) as file:
        assert file.read() == "hosts\n1.2.3.4 x\n"


def test_a_read_only_root(boxes):
    output = boxes.sh("touch /x; touch /etc/hosts; touch /dev/shm/ok && echo ok", rootfs={"readonly": True})
    assert output.splitlines() == [
        "touch: /x: Read-only file system",
        "touch: /etc/hosts: Read-only file system",
        "ok",
    ]


def test_shared_memory_size_and_devices(boxes):
    script = "df /dev/shm | tail -1; ls -l /dev/mine; echo x > /dev/mine && echo ok; echo x > /dev/kmsg"
    script = script.replace("df /dev/shm | tail -1", "grep /dev/shm /proc/self/mounts | cut -d' ' -f4")
    output = boxes.sh(script, shm_size=1 << 20, devices=(Device("/dev/mine", "/dev/null", "rw"),))
    assert "size=1024k" in output
    assert "1,   3" in output
    assert "ok" in output.splitlines()


def test_the_devices_controller_denies(boxes):
    output = boxes.sh("mknod /tmp/k c 1 11 && cat /tmp/k")
    assert "Operation not permitted" in output


def test_sysctls(boxes):
    script = "cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax"
    sysctls = {"net.core.somaxconn": "77", "kernel.msgmax": "1234"}
    assert boxes.sh(script, sysctls=sysctls) == "77\n0\n1234\n"
    assert "Read-only" in boxes.sh("echo 1 > /proc/sys/net/core/somaxconn")


def test_loopback_is_up(boxes):
    assert "inet 127.0.0.1/8" in boxes.sh("ip addr")


def test_domainname_and_host_uts(boxes):
    assert boxes.sh("cat /proc/sys/kernel/domainname", domainname="example") == "example\n"
    assert boxes.sh("hostname", namespaces=Namespaces(uts="host")).strip() == os.uname().nodename


def test_limits(boxes):
    limits = (Rlimit("nofile", 64, 128), Rlimit("core", 0, 0))
    output = boxes.sh(
        "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj", process={"rlimits": limits, "oom_score_adj": 5}
    )
    assert output == "64\n128\n5\n"


def test_an_rlimit_lower_than_our_own_descriptors(boxes):
    assert boxes.sh("ulimit -n", process={"rlimits": (Rlimit("nofile", 4, 4),)}).startswith("4")


def test_smallest_memory_limit(boxes):
    assert boxes.sh("echo ok", resources=Resources(memory=6 << 20)) == "ok\n"


def test_too_little_memory_says_so(boxes):
    with pytest.raises(RuntimeFault) as fault:
        boxes.run(boxes.spec("true", resources=Resources(memory=128 << 10)))
    assert "its first process died" in fault.value.message or "cannot set the memory limit" in fault.value.message
    assert "memory limit" in fault.value.hint + fault.value.message


def test_a_lower_oom_score_needs_a_capability(boxes):
    if "CAP_SYS_RESOURCE" in capabilities.names(capabilities.held()):
        pytest.skip("CAP_SYS_RESOURCE is held")
    with pytest.raises(
        RuntimeFault, match=r"could not set the OOM score .oom_score_adj -900.: permission denied"
    ) as fault:
        boxes.run(boxes.spec("true", process={"oom_score_adj": -900}))
    assert fault.value.hint == "lowering it needs CAP_SYS_RESOURCE"


def test_the_host_network(boxes):
    spec = boxes.spec("readlink", "/proc/self/ns/net", namespaces=Namespaces(network="host"))
    assert boxes.run(spec)[1].strip() == os.readlink("/proc/self/ns/net")


def test_the_host_pid_namespace(boxes):
    spec = boxes.spec("readlink", "/proc/self/ns/pid", namespaces=Namespaces(pid="host"))
    assert boxes.run(spec)[1].strip() == os.readlink("/proc/self/ns/pid")


def test_a_restart_keeps_network_and_files(boxes):
    spec = boxes.spec("sh", "-c", "cat /x 2>/dev/null; echo -n a >> /x; readlink /proc/self/ns/net")
    spawned = boxes.spawn(spec)
    network = os.readlink(f"/proc/{spawned.pid}/ns/net")
    netns = os.dup(spawned.netns_fd)
    spawned.start()
    wait(spawned.pidfd)
    boxes.end(spawned)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    again = boxes.spawn(spec, (writer, writer, writer), netns_fd=netns)
    os.close(writer)
    again.start()
    assert read_all(reader) == f"a{network}\n"
    os.close(reader)
    os.close(netns)
    wait(again.pidfd)
    boxes.end(again)


def test_shared_namespaces_of_another_container(boxes):
    first = boxes.spec("sleep", "60")
    one = boxes.spawn(first)
    one.start()
    shared = Namespaces(*(f"container:{first.id}" for _ in range(4)))
    script = "for n in net pid ipc uts; do readlink /proc/self/ns/$n; done; echo shm > /dev/shm/file; ps"
    spec = boxes.spec("sh", "-c", script, namespaces=shared, network_files=False)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    two = boxes.spawn(spec, (writer, writer, writer), resolve=lambda ident: one.pid if ident == first.id else 0)
    os.close(writer)
    two.start()
    lines = read_all(reader).splitlines()
    os.close(reader)
    wait(two.pidfd)
    assert lines[:4] == [os.readlink(f"/proc/{one.pid}/ns/{name}") for name in ("net", "pid", "ipc", "uts")]
    assert any("sleep 60" in line for line in lines)
    with open(f"/proc/{one.pid}/root/dev/shm/file") as file:
        assert file.read() == "shm\n"
    boxes.end(two)
    boxes.end(one)


def test_a_terminal(boxes):
    script = "tty; echo in=$(head -1); test -t 1 && ls -l /dev/console; echo x > /dev/tty"
    spec = boxes.spec("sh", "-c", script, process={"terminal": True})
    spawned = boxes.spawn(spec)
    spawned.start()
    os.write(spawned.master_fd, b"word\n")
    output = b""
    while True:
        try:
            part = os.read(spawned.master_fd, 4096)
        except OSError:
            break
        output += part
    assert wait(spawned.pidfd) == 0
    boxes.end(spawned)
    text = output.decode().replace("\r", "")
    assert "/dev/pts/0\n" in text or "/dev/console\n" in text
    assert "in=word\n" in text
    assert "136,   0" in text
    assert text.endswith("x\n")


def test_layers_are_top_first(boxes, tmp_path):
    for name in ("top", "middle"):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc" / "which").write_text(name)
    (tmp_path / "middle" / "only").write_text("only")
    layers = (str(tmp_path / "top"), str(tmp_path / "middle"), boxes.image)
    assert boxes.sh("cat /etc/which /only", rootfs={"layers": layers}) == "toponly"


def test_an_image_without_mount_points_costs_no_writes(boxes, tmp_path):
    (tmp_path / "bin").mkdir()
    shutil.copy("/bin/busybox", tmp_path / "bin" / "cat")
    spec = boxes.spec("cat", "/etc/hosts", rootfs={"layers": (str(tmp_path),)})
    assert boxes.run(spec) == (0, "hosts\n")
    assert os.listdir(boxes.bundle(spec).upper) == []


def test_binds_of_the_image_itself(boxes, tmp_path):
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr" / "tool").write_text("tool")
    output = boxes.sh("cat /usr/tool; touch /usr/x", rootfs={"binds": ((str(tmp_path / "usr"), "/usr"),)})
    assert output.startswith("tooltouch: /usr/x: Read-only file system")


def test_privileged(boxes):
    output = boxes.sh(
        "grep -E 'CapEff|^Seccomp:' /proc/self/status; touch /sys/x; mount -t tmpfs x /tmp && echo mounted",
        privileged=True,
    )
    with open("/proc/self/status") as file:
        ours = next(line for line in file if line.startswith("CapPrm")).split()[1]
    assert f"CapEff:\t{ours}" in output
    assert "Seccomp:\t0" in output
    assert "mounted" in output


def test_init_needs_a_static_program_or_a_sealed_interpreter(boxes, monkeypatch, tmp_path):
    from runtime import entry

    monkeypatch.setattr(entry, "INIT_PROGRAMS", ("/bin/ls", str(tmp_path / "none")))
    monkeypatch.setattr(entry.reaper, "is_sealed", lambda: False)
    with pytest.raises(Unsupported, match="no static init program") as fault:
        boxes.spawn(boxes.spec("true", init=True))
    assert "tini" in fault.value.hint


def test_init_is_bound_and_runs_first(boxes, monkeypatch, tmp_path):
    from runtime import entry

    monkeypatch.setattr(entry, "INIT_PROGRAMS", ("/bin/busybox",))
    monkeypatch.setattr(entry, "INIT_PATH", "/sbin/env")
    output = boxes.sh("cat /proc/self/comm; ls -l /sbin/env | cut -c1-10", init=True)
    assert output.splitlines() == ["cat", "-rwxr-xr-x"]


# -- the overlay's upper directory


def test_settling_the_upper(boxes):
    spec = boxes.spec("sh", "-c", "echo data > /kept")
    boxes.run(spec)
    bundle = boxes.bundle(spec)
    marker = f"{bundle.work}/work/incompat/volatile"
    assert os.path.isdir(marker)
    assert not upper_is_dirty(bundle)
    with open(f"{bundle.dir}/mounted", "w") as file:
        file.write("another boot")
    assert upper_is_dirty(bundle)
    with pytest.raises(RuntimeFault, match="before its files were written to disk"):
        boxes.run(spec)
    os.unlink(f"{bundle.dir}/mounted")
    assert upper_is_dirty(bundle), "without the record it cannot be known"
    settle_upper(bundle)
    settle_upper(bundle)
    assert not upper_is_dirty(bundle)
    assert not os.path.exists(marker)
    assert boxes.run(spec)[0] == 0


def test_the_root_of_a_stopped_container(boxes):
    spec = boxes.spec("sh", "-c", "echo data > /kept")
    boxes.run(spec)
    root = detached_root(spec, boxes.bundle(spec))
    with open(os.open("kept", os.O_RDONLY, dir_fd=root)) as file:
        assert file.read() == "data\n"
    assert "bin" in os.listdir(os.open(".", os.O_RDONLY, dir_fd=root))
    os.close(root)


def test_no_descriptor_is_left_in_the_parent(boxes):
    def open_fds():
        return sorted(os.listdir("/proc/self/fd"))

    boxes.run(boxes.spec("true"))
    before = open_fds()
    boxes.run(boxes.spec("true"))
    with pytest.raises(RuntimeFault):
        boxes.spawn(boxes.spec("true", sysctls={"net.ipv4.nothing_here": "1"}))
    assert open_fds() == before


def test_launch_end_is_final(boxes):
    spawned = boxes.spawn(boxes.spec("sleep", "9"))
    spawned.start()
    launch.end(spawned.pidfd)
    assert start_time(spawned.pid) == 0
    boxes.end(spawned)
