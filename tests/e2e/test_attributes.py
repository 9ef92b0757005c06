"""Service attributes, each seen from inside a container (or in its cgroup), as docker compose carries them out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Machine, Project, eventually

pytestmark = pytest.mark.root

FILE = """
x-box: &box
  image: IMAGE
  command: ["sleep", "1000"]
  stop_signal: SIGKILL
  network_mode: none
services:
  process:
    <<: *box
    entrypoint: ["sh", "-c", "exec sleep 1000", "name"]
    command: ["one", "two words"]
    user: "1000:1000"
    group_add: ["3000", extra]
    working_dir: /var/lib/new
    hostname: box
    domainname: example.org
    environment: {COLOUR: blue, EMPTY: "", GONE: null}
    init: true
    oom_score_adj: 500
    labels: {traefik.enable: "true"}
    ulimits: {nofile: {soft: 100, hard: 200}, nproc: 77, core: 0}
    annotations: {a.b: c}
    sysctls: {net.ipv4.ip_forward: 1, kernel.msgmax: "9000"}
    tty: true
  security:
    <<: *box
    cap_drop: [ALL]
    cap_add: [NET_ADMIN, CAP_CHOWN]
    read_only: true
    security_opt: ["no-new-privileges:true", "seccomp:./seccomp.json", "label:disable", "apparmor:unconfined"]
    tmpfs: ["/scratch:size=1m,mode=700,uid=1000,exec", /plain]
    shm_size: 8m
  open:
    <<: *box
    privileged: true
    security_opt: ["seccomp=unconfined"]
  paths:
    <<: *box
    security_opt: ["systempaths=unconfined"]
  devices:
    <<: *box
    devices: ["/dev/null:/dev/xnull:r", "/dev/zero:/dev/sub/xzero"]
    device_cgroup_rules: ["c 10:200 rw"]
  limits:
    <<: *box
    mem_limit: 64m
    mem_reservation: 32m
    memswap_limit: 128m
    mem_swappiness: 10
    oom_kill_disable: true
    pids_limit: 50
    cpus: 0.5
    cpu_shares: 512
    cpuset: "0"
    blkio_config:
      device_read_bps: [{path: DISK, rate: 12mb}]
      device_write_bps: [{path: DISK, rate: 1024}]
      device_read_iops: [{path: DISK, rate: 100}]
      device_write_iops: [{path: DISK, rate: 30}]
  quota:
    <<: *box
    cpu_period: 50000
    cpu_quota: 25000
    pids_limit: -1
    memswap_limit: -1
    mem_limit: 64m
  deployed:
    <<: *box
    deploy:
      replicas: 2
      resources:
        limits: {cpus: "0.25", memory: 48M, pids: 40}
        reservations: {memory: 24M, cpus: "0.1"}
      restart_policy: {condition: on-failure, max_attempts: 3}
      labels: {swarm: only}
      placement: {constraints: [node.role == manager]}
  parent:
    <<: *box
    cgroup_parent: CGROUP
    cgroup: host
  shared:
    <<: *box
    ipc: shareable
  sharing:
    <<: *box
    ipc: service:shared
    pid: service:shared
    network_mode: service:shared
  silent:
    <<: *box
    ipc: none
  hosted:
    <<: *box
    pid: host
    ipc: host
    uts: host
"""


def disk() -> str:
    """A whole block device of this machine."""
    for name in sorted(os.listdir("/sys/block")):
        if os.path.exists(f"/dev/{name}") and not name.startswith(("loop", "ram", "zram")):
            return f"/dev/{name}"
    pytest.skip("no block device to limit")


def has_rates() -> bool:
    return any(os.path.exists(f"/sys/fs/cgroup/{path}") for path in ("blkio/blkio.throttle.read_bps_device", "io.stat"))


@pytest.fixture(scope="module")
def app(module_project: MakeProject, machine: Machine) -> Project:
    one = module_project(FILE.replace("DISK", disk()).replace("CGROUP", f"/{Path(machine.base).name}/below"))
    (one.dir / "seccomp.json").write_text(
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO",'
        ' "errnoRet": 1}]}'
    )
    one.up()
    return one


@pytest.fixture(scope="module", autouse=True)
def _no_parent_left(machine: Machine) -> object:
    """The user's cgroup parent is the user's: we make it, he removes it."""
    yield
    for directory, _children, _files in os.walk("/sys/fs/cgroup", topdown=False):
        if f"/{Path(machine.base).name}" in directory:
            os.rmdir(directory)


def status(app: Project, service: str) -> dict[str, str]:
    """/proc/1/status of a container."""
    text = app.exec(service, "cat", "/proc/1/status", flags=["-u", "0"])
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def cgroup_file(app: Project, service: str, v1: str, v2: str) -> str:
    """A file of the container's cgroup, in whichever version it is."""
    controller = v1.partition(".")[0]
    for line in Path(f"/proc/{app.state(service)['pid']}/cgroup").read_text().splitlines():
        _number, names, path = line.split(":", 2)
        if controller in names.split(",") or (controller == "cpu" and "cpu" in names.split(",")):
            return Path(f"/sys/fs/cgroup/{controller}{path}/{v1}").read_text().strip()
    path = Path(f"/proc/{app.state(service)['pid']}/cgroup").read_text().strip().rpartition("::")[2]
    return Path(f"/sys/fs/cgroup{path}/{v2}").read_text().strip()


# the process


def test_entrypoint_and_command(app: Project) -> None:
    assert app.exec("process", "cat", "/proc/1/cmdline").split("\0")[-5:-1] != []
    assert "sleep\x001000" in app.sh("process", "cat /proc/[0-9]*/cmdline")


def test_user_and_groups(app: Project) -> None:
    assert app.sh("process", "id -u; id -g").split() == ["1000", "1000"]
    assert {"3000", "2000"} <= set(app.sh("process", "id -G").split())


def test_working_dir_is_made(app: Project) -> None:
    assert app.sh("process", "pwd") == "/var/lib/new"


def test_hostname_and_domainname(app: Project) -> None:
    assert app.sh("process", "hostname; cat /proc/sys/kernel/domainname").split() == ["box", "example.org"]


def test_environment(app: Project) -> None:
    text = app.sh("process", "env")
    assert "COLOUR=blue" in text.splitlines()
    assert "EMPTY=" in text.splitlines()
    assert "GONE" not in text


def test_init_is_pid_1(app: Project) -> None:
    assert app.sh("process", "cat /proc/1/comm") not in ("sleep", "sh")


def test_oom_score_adj(app: Project) -> None:
    assert app.sh("process", "cat /proc/1/oom_score_adj") == "500"


def test_ulimits(app: Project) -> None:
    rows = app.sh("process", "cat /proc/1/limits").splitlines()
    found = {line[:26].strip(): line[26:].split()[:2] for line in rows}
    assert found["Max open files"] == ["100", "200"]
    assert found["Max processes"] == ["77", "77"]
    assert found["Max core file size"] == ["0", "0"]


def test_sysctls(app: Project) -> None:
    assert app.sh("process", "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax").split() == ["1", "9000"]


def test_a_sysctl_of_the_host_is_refused(project: MakeProject) -> None:
    app = project("services: {a: {image: IMAGE, command: 'sleep 9', sysctls: {kernel.pid_max: 70000}}}")
    assert "cannot set sysctl kernel.pid_max" in app.up(code=1).stderr


def test_tty(app: Project) -> None:
    assert os.readlink(f"/proc/{app.state('process')['pid']}/fd/0").startswith("/dev/pts/")


def test_labels(app: Project) -> None:
    listed = app.row("process")["Labels"]
    assert "traefik.enable=true" in listed
    assert f"com.docker.compose.project={app.name}" in listed


# security


def test_capabilities(app: Project) -> None:
    assert int(status(app, "security")["CapEff"], 16) == 1 | 1 << 12  # CHOWN, NET_ADMIN
    assert int(status(app, "security")["CapBnd"], 16) == 1 | 1 << 12
    app.sh("security", "chown 1 /scratch")
    app.sh("process", "chown 1 /tmp 2>/dev/null && exit 0; exit 42", code=42)


def test_read_only(app: Project) -> None:
    app.sh("security", "touch /file 2>/dev/null && exit 0; exit 42", code=42)
    app.sh("security", "touch /plain/file /dev/shm/file")


def test_no_new_privileges_and_seccomp_profile(app: Project) -> None:
    fields = status(app, "security")
    assert fields["NoNewPrivs"].strip() == "1"
    assert fields["Seccomp"].strip() == "2"
    app.sh("security", "mkdir /plain/x 2>/dev/null && exit 0; exit 42", code=42)


def test_seccomp_unconfined_and_privileged(app: Project) -> None:
    fields = status(app, "open")
    assert fields["Seccomp"].strip() == "0"
    assert int(fields["CapEff"], 16) & 1 << 21  # SYS_ADMIN
    app.sh("open", "mkdir -p /tmp/m && mount -t tmpfs none /tmp/m && umount /tmp/m")
    assert int(app.sh("open", "ls /dev | wc -l")) > int(app.sh("security", "ls /dev | wc -l"))
    app.sh("paths", "mkdir -p /tmp/m; mount -t tmpfs none /tmp/m 2>/dev/null && exit 0; exit 42", code=42)


def test_systempaths_unconfined(app: Project) -> None:
    hidden = "ls -A /sys/firmware | wc -l; grep -c ' /proc/sys ' /proc/mounts || true"
    assert app.sh("security", hidden).split()[1:] == ["1"]
    assert app.sh("paths", hidden).split()[1:] == ["0"]


def test_an_unknown_security_opt_is_refused(project: MakeProject) -> None:
    app = project("services: {a: {image: IMAGE, command: 'sleep 9', security_opt: ['nonsense=1']}}")
    assert "cannot apply security_opt 'nonsense=1'" in app.up(code=1).stderr


def test_tmpfs_options_and_shm_size(app: Project) -> None:
    rows = {line.split()[1]: line.split() for line in app.sh("security", "cat /proc/mounts").splitlines()}
    options = rows["/scratch"][3].split(",")
    assert {"rw", "size=1024k", "mode=700", "uid=1000", "nosuid", "nodev"} <= set(options)
    assert "noexec" not in options
    assert {"noexec", "nosuid", "nodev"} <= set(rows["/plain"][3].split(","))
    assert "size=8192k" in rows["/dev/shm"][3]
    assert (
        app.sh("security", "stat -c '%a %u' /scratch") == "700 1" or app.sh("security", "stat -c %a /scratch") == "700"
    )


def test_devices_with_permissions(app: Project) -> None:
    assert app.sh("devices", "head -c 3 /dev/sub/xzero | wc -c; stat -c '%t:%T' /dev/xnull").split() == ["3", "1:3"]
    app.sh("devices", "cat /dev/xnull")


def test_a_device_that_is_not_given_is_out_of_reach(app: Project) -> None:
    make = "mknod /tmp/node c 10 {} && (: > /tmp/node) 2>&1 | grep -c 'not permitted' || true; rm -f /tmp/node"
    assert app.sh("devices", make.format(237)) == "1"  # loop-control: by no rule
    assert app.sh("devices", make.format(200)) == "0"  # tun: by device_cgroup_rules


# limits


def test_memory(app: Project) -> None:
    assert cgroup_file(app, "limits", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert cgroup_file(app, "limits", "memory.soft_limit_in_bytes", "memory.low") == str(32 << 20)


@pytest.mark.skipif(not os.path.exists("/sys/fs/cgroup/memory/memory.swappiness"), reason="cgroup v1's memory only")
def test_swap_swappiness_and_oom_kill_disable(app: Project) -> None:
    if os.path.exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"):
        assert cgroup_file(app, "limits", "memory.memsw.limit_in_bytes", "") == str(128 << 20)
    assert cgroup_file(app, "limits", "memory.swappiness", "") == "10"
    assert "oom_kill_disable 1" in cgroup_file(app, "limits", "memory.oom_control", "")


def test_pids(app: Project) -> None:
    assert cgroup_file(app, "limits", "pids.max", "pids.max") == "50"
    assert cgroup_file(app, "quota", "pids.max", "pids.max") == "max"


@pytest.mark.skipif(not os.path.exists("/sys/fs/cgroup/cpu/cpu.shares"), reason="cgroup v1's cpu only")
def test_cpu(app: Project) -> None:
    assert cgroup_file(app, "limits", "cpu.cfs_quota_us", "") == "50000"
    assert cgroup_file(app, "limits", "cpu.shares", "") == "512"
    assert cgroup_file(app, "quota", "cpu.cfs_period_us", "") == "50000"
    assert cgroup_file(app, "quota", "cpu.cfs_quota_us", "") == "25000"


def test_cpuset(app: Project) -> None:
    assert app.sh("limits", "grep Cpus_allowed_list /proc/1/status").split()[1] == "0"


@pytest.mark.skipif(not has_rates(), reason="this kernel limits no block I/O")
def test_block_io_rates(app: Project) -> None:
    info = os.stat(disk())
    number = f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
    rows = {"read_bps": 12 << 20, "write_bps": 1024, "read_iops": 100, "write_iops": 30}
    for what, rate in rows.items():
        set_ = cgroup_file(app, "limits", f"blkio.throttle.{what}_device", "io.max")
        key = {"read_bps": "rbps", "write_bps": "wbps", "read_iops": "riops", "write_iops": "wiops"}[what]
        assert f"{number} {rate}" in set_ or (set_.startswith(number) and f"{key}={rate}" in set_.split())


def test_block_io_weights(project: MakeProject) -> None:
    app = project(f"""
services:
  a:
    image: IMAGE
    command: sleep 1000
    stop_signal: SIGKILL
    blkio_config: {{weight: 300, weight_device: [{{path: {disk()}, weight: 400}}]}}
""")
    said = app.up().stderr
    try:
        weight = cgroup_file(app, "a", "blkio.bfq.weight", "io.weight")
        devices = cgroup_file(app, "a", "blkio.bfq.weight_device", "io.weight")
    except FileNotFoundError:
        assert "the block I/O weight is left out" in said
        return
    assert "300" in weight or "2930" in weight  # of v2's 1..10000
    assert "400" in devices or f"the block I/O weight of {disk()} is left out" in said


def test_deploy_resources_and_replicas(app: Project) -> None:
    assert {"deployed-1", "deployed-2"} <= set(app.names())
    assert cgroup_file(app, "deployed", "memory.limit_in_bytes", "memory.max") == str(48 << 20)
    assert cgroup_file(app, "deployed", "memory.soft_limit_in_bytes", "memory.low") == str(24 << 20)
    assert cgroup_file(app, "deployed", "pids.max", "pids.max") == "40"
    assert "swarm" not in app.row("deployed")["Labels"]


def test_cgroup_parent_and_namespace(app: Project, machine: Machine) -> None:
    positions = Path(f"/proc/{app.state('parent')['pid']}/cgroup").read_text()
    assert f"/{Path(machine.base).name}/below/" in positions
    assert os.readlink(f"/proc/{app.state('parent')['pid']}/ns/cgroup") == os.readlink("/proc/self/ns/cgroup")
    assert app.sh("limits", "cut -d: -f3 /proc/1/cgroup | sort -u") == "/"


@pytest.mark.skipif(not os.path.exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"), reason="no real-time group scheduling")
def test_real_time_bandwidth(project: MakeProject) -> None:
    app = project("""
services:
  a: {image: IMAGE, command: "sleep 1000", stop_signal: SIGKILL, cpu_rt_runtime: 20000, cpu_rt_period: 500000}
""")
    app.up()
    assert cgroup_file(app, "a", "cpu.rt_runtime_us", "") == "20000"
    assert cgroup_file(app, "a", "cpu.rt_period_us", "") == "500000"


# namespaces


def namespace(app: Project, service: str, kind: str) -> str:
    return os.readlink(f"/proc/{app.state(service)['pid']}/ns/{kind}")


def test_namespaces_of_another_service(app: Project) -> None:
    for kind in ("ipc", "net", "pid"):
        assert namespace(app, "sharing", kind) == namespace(app, "shared", kind)
        assert namespace(app, "shared", kind) != namespace(app, "limits", kind)
    app.sh("shared", "echo together > /dev/shm/file")
    assert app.sh("sharing", "cat /dev/shm/file") == "together"


def test_namespaces_of_the_host(app: Project) -> None:
    for kind in ("ipc", "pid", "uts"):
        assert namespace(app, "hosted", kind) == os.readlink(f"/proc/self/ns/{kind}")
    assert app.sh("hosted", "hostname") == os.uname().nodename


def test_ipc_none_has_no_shared_memory(app: Project) -> None:
    assert namespace(app, "silent", "ipc") != os.readlink("/proc/self/ns/ipc")
    assert "/dev/shm" not in app.sh("silent", "cat /proc/mounts")
    assert "/dev/shm" in app.sh("limits", "cat /proc/mounts")


def test_network_mode_none(app: Project) -> None:
    assert app.sh("limits", "ls /sys/class/net").split() == ["lo"]


def test_namespaces_and_volumes_of_a_container_by_name(project: MakeProject) -> None:
    first = project("""
services:
  a:
    image: IMAGE
    command: "sleep 1000"
    stop_signal: SIGKILL
    volumes: [data:/data, /own, "./files:/files:ro"]
volumes: {data: {}}
""")
    (first.dir / "files").mkdir()
    (first.dir / "files" / "x").write_text("bound")
    first.up()
    first.sh("a", "echo named > /data/x; echo anonymous > /own/x")
    name = f"{first.name}-a-1"
    second = project(f"""
services:
  b:
    image: IMAGE
    command: "sleep 1000"
    stop_signal: SIGKILL
    network_mode: container:{name}
    pid: container:{name}
    volumes_from: ["container:{name}"]
  c:
    image: IMAGE
    command: "sleep 1000"
    stop_signal: SIGKILL
    volumes_from: ["container:{name}:ro"]
""")
    second.up()
    assert second.sh("b", "cat /data/x /own/x /files/x") == "named\nanonymous\nbound"
    second.sh("b", "touch /data/y; touch /files/y 2>/dev/null && exit 0; exit 42", code=42)
    second.sh("c", "touch /data/z 2>/dev/null && exit 0; exit 42", code=42)
    for kind in ("net", "pid"):
        assert namespace(second, "b", kind) == namespace(first, "a", kind)
    second.down("-v")
    assert first.sh("a", "cat /data/x /own/x") == "named\nanonymous"


def test_a_container_that_is_not_there_is_named(project: MakeProject) -> None:
    app = project("services: {a: {image: IMAGE, command: 'sleep 9', volumes_from: ['container:nobody']}}")
    assert "container nobody: there is no such container" in app.up(code=1).stderr


# stopping


def test_stop_signal_and_grace_period(project: MakeProject) -> None:
    app = project("""
services:
  polite:
    image: IMAGE
    command: ["sh", "-c", "trap 'echo usr1; exit 7' USR1; trap '' TERM; while :; do sleep 0.05; done"]
    stop_signal: SIGUSR1
  deaf:
    image: IMAGE
    command: ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"]
    stop_grace_period: 200ms
""")
    app.up()
    eventually(lambda: "sleep" in app.sh("deaf", "cat /proc/[0-9]*/comm"), 5, "the trap is set")
    result = app.run("stop")
    assert app.row("polite")["ExitCode"] == 7
    assert app.logs("polite") == ["usr1"]
    assert app.row("deaf")["ExitCode"] == 137
    assert 0.2 <= result.seconds < 5


def test_restart_on_failure_counts(project: MakeProject) -> None:
    app = project("""
services:
  a: {image: IMAGE, command: "sh -c 'echo run; exit 3'", restart: "on-failure:2"}
  b: {image: IMAGE, command: "true", restart: on-failure}
  c: {image: IMAGE, command: "sh -c 'exit 1'", deploy: {restart_policy: {condition: on-failure, max_attempts: 1}}}
""")
    app.up()
    eventually(lambda: app.row("a")["State"] == "exited" and len(app.logs("a")) == 3, 10, "two restarts")
    eventually(lambda: app.row("b")["State"] == "exited", 5, "no restart of what succeeded")
    eventually(lambda: app.row("c")["State"] == "exited" and app.state("c")["restart_count"] == 1, 10, "one restart")


def test_stdin_open(project: MakeProject) -> None:
    app = project("""
services:
  open: {image: IMAGE, command: "cat", stdin_open: true, stop_signal: SIGKILL}
  shut: {image: IMAGE, command: "cat", stop_signal: SIGKILL}
""")
    app.up()
    eventually(lambda: app.row("shut")["State"] == "exited", 5, "end of input")
    assert app.row("open")["State"] == "running"


# health


def test_health_checks_of_every_form(project: MakeProject) -> None:
    app = project("""
services:
  cmd: {image: IMAGE, command: "sleep 100", stop_signal: SIGKILL,
        healthcheck: {test: [CMD, "test", "-d", "/"], interval: 100ms}}
  shell: {image: IMAGE, command: "sleep 100", stop_signal: SIGKILL,
          healthcheck: {test: [CMD-SHELL, "exit 1"], interval: 50ms, retries: 2}}
  text: {image: IMAGE, command: "sleep 100", stop_signal: SIGKILL,
         healthcheck: {test: "test -e /ready", interval: 1h, start_period: 1h, start_interval: 100ms}}
  slow: {image: IMAGE, command: "sleep 100", stop_signal: SIGKILL,
         healthcheck: {test: "sleep 9", interval: 50ms, timeout: 100ms, retries: 1}}
  off: {image: IMAGE, command: "sleep 100", stop_signal: SIGKILL, healthcheck: {disable: true}}
  none: {image: IMAGE, command: "sleep 100", stop_signal: SIGKILL, healthcheck: {test: [NONE]}}
""")
    app.up()
    for service, expected in (("cmd", "healthy"), ("shell", "unhealthy"), ("slow", "unhealthy"), ("text", "starting")):
        eventually(lambda s=service, e=expected: app.row(s)["Health"] == e, 5, f"{service} is {expected}")
    app.sh("text", "touch /ready")
    eventually(lambda: app.row("text")["Health"] == "healthy", 5, "start_interval finds it")
    assert {app.row("off")["Health"], app.row("none")["Health"]} == {""}
