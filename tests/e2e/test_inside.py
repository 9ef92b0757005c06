"""What a process sees from inside its container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Machine, Project, eventually

pytestmark = pytest.mark.root

FILE = """
services:
  box:
    image: IMAGE
    command: ["sleep", "1000"]
    hostname: boxhost
    stop_signal: SIGKILL
    environment: {COLOUR: blue}
    working_dir: /var
    user: "1000"
    tmpfs: ["/scratch:size=1m"]
    ulimits: {nofile: {soft: 100, hard: 200}}
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 50
    extra_hosts: ["oracle:10.9.8.7"]
    volumes: ["./shared:/shared:ro"]
  plain:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
  hard:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    read_only: true
    cap_drop: [ALL]
    cap_add: [CHOWN]
    security_opt: ["no-new-privileges:true"]
"""


@pytest.fixture(scope="module")
def app(module_project: MakeProject) -> Project:
    one = module_project(FILE)
    (one.dir / "shared").mkdir()
    (one.dir / "shared" / "note").write_text("from the host\n")
    one.up()
    return one


def test_the_application_is_pid_1(app: Project) -> None:
    assert app.sh("plain", "cat /proc/1/cmdline | tr '\\0' ' '").split() == ["sleep", "1000"]


def test_proc_shows_only_its_own_processes(app: Project) -> None:
    pids = {int(name) for name in app.sh("plain", "ls /proc").split() if name.isdigit()}
    assert 1 in pids
    assert len(pids) <= 4  # sleep, the shell, ls, and nobody else's


def test_hostname_is_its_own(app: Project) -> None:
    assert app.sh("box", "hostname") == "boxhost"
    assert app.sh("plain", "hostname") == app.ident("plain")[:12]
    assert os.uname().nodename not in ("boxhost", app.ident("plain")[:12])


def test_address_is_its_own(app: Project) -> None:
    shown = {service: app.sh(service, "ip -4 addr show eth0") for service in ("box", "plain")}
    addresses = {service: text.split("inet ")[1].split("/")[0] for service, text in shown.items()}
    assert len(set(addresses.values())) == 2
    assert addresses["plain"] in app.sh("plain", "cat /etc/hosts")
    assert "default via" in app.sh("plain", "ip route")


def test_a_sibling_answers_by_service_name(app: Project) -> None:
    assert "1 packets received" in app.sh("plain", "ping -c 1 -W 2 box")
    assert "nameserver 127.0.0.11" in app.sh("plain", "cat /etc/resolv.conf")


def test_the_outside_of_its_root_is_unreachable(app: Project, machine: Machine, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("secret")
    script = (
        f"cat {outside}; cat /proc/1/root{outside}; cat /../../../../..{outside}; ls {machine.state}; ls /work; true"
    )
    assert "secret" not in app.sh("plain", script)
    mounts = app.sh("plain", "cat /proc/self/mountinfo")
    assert str(tmp_path) not in mounts
    assert set(app.sh("plain", "ls /").split()) >= {"bin", "dev", "etc", "proc", "sys", "tmp"}
    assert app.sh("plain", "ls -a /root /home") != ""  # ours, not the host's
    assert not app.sh("plain", "ls -A /root")


def test_kernel_settings_are_out_of_reach(app: Project) -> None:
    for command in (
        "echo 1 > /proc/sys/kernel/hostname",
        "echo x > /proc/sysrq-trigger",
        "mount -t tmpfs none /mnt",
        "mknod /tmp/disk b 254 0 && cat /tmp/disk",
        "cat /proc/kcore | head -c 1 | grep -q .",
        "ip link set lo down",
        "echo + > /sys/fs/cgroup/cgroup.procs",
    ):
        app.sh("plain", f"{command} 2>/dev/null && exit 0; exit 42", code=42)


def test_writes_land_in_its_upper_layer_only(app: Project, machine: Machine) -> None:
    app.sh("plain", "echo mine > /etc/mine; echo changed > /etc/passwd")
    upper = Path(machine.state, "containers", app.ident("plain"), "upper")
    assert (upper / "etc/mine").read_text() == "mine\n"
    assert "root:x:0:0" in app.sh("hard", "cat /etc/passwd")
    app.sh("hard", "test ! -e /etc/mine")


def test_environment_user_and_working_directory(app: Project) -> None:
    assert app.sh("box", "echo $COLOUR; pwd; id -u; id -g; id -G; echo $HOME").split() == [
        "blue", "/var", "1000", "1000", *app.sh("box", "id -G").split(), "/home/app",
    ]  # fmt: skip
    assert "2000" in app.sh("box", "id -G")  # from the image's /etc/group
    assert app.exec("box", "id", "-u", flags=["-u", "0"]).strip() == "0"
    assert app.exec("box", "pwd", flags=["-w", "/tmp"]).strip() == "/tmp"
    assert app.exec("box", "sh", "-c", "echo $COLOUR", flags=["-e", "COLOUR=red"]).strip() == "red"


def test_limits(app: Project) -> None:
    assert app.sh("box", "ulimit -Sn; ulimit -Hn").split() == ["100", "200"]
    assert "size=1024k" in app.sh("box", "grep ' /scratch ' /proc/mounts")
    positions = Path(f"/proc/{app.state('box')['pid']}/cgroup").read_text()
    assert app.ident("box")[:12] in positions


def test_extra_hosts_and_binds(app: Project) -> None:
    assert "10.9.8.7" in app.sh("box", "grep oracle /etc/hosts")
    assert app.sh("box", "cat /shared/note") == "from the host"
    app.exec("box", "touch", "/shared/new", flags=["-u", "0"], code=1)


def test_devices(app: Project) -> None:
    assert set(app.sh("plain", "ls /dev").split()) >= {"null", "zero", "full", "random", "urandom", "tty", "pts", "shm"}
    assert app.sh("plain", "head -c 4 /dev/zero | wc -c; echo x > /dev/null").split() == ["4"]


def test_hardening(app: Project) -> None:
    status = app.sh("hard", "cat /proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["NoNewPrivs"].strip() == "1"
    assert int(fields["CapEff"], 16) == 1  # CAP_CHOWN is number 0
    assert fields["Seccomp"].strip() == "2"
    app.sh("hard", "touch /file 2>/dev/null && exit 0; exit 42", code=42)
    assert int(dict(app.state("hard"))["pid"]) > 0


def test_default_capabilities_are_dockers(app: Project) -> None:
    status = app.sh("plain", "grep CapEff /proc/1/status")
    assert status.split()[1] == "00000000a80425fb"


def test_init_reaps_orphans(project: MakeProject) -> None:
    app = project("""
services:
  a:
    image: IMAGE
    command: ["sh", "-c", "trap 'exit 42' TERM; while :; do sleep 0.1; done"]
    init: true
""")
    app.up()
    assert app.sh("a", "cat /proc/1/cmdline | tr '\\0' ' '").split()[:1] != ["sh"]
    app.sh("a", "(sleep 0.05 & ) ; true")
    eventually(lambda: app.sh("a", "ps -o stat,args | grep -c '^Z' || true") == "0", 3, "no zombies")
    app.run("stop")  # TERM is passed on, and the program's code is the container's
    assert app.row("a")["ExitCode"] == 42


def test_a_memory_hog_is_killed_by_its_own_limit(project: MakeProject) -> None:
    app = project("""
services:
  hog:
    image: IMAGE
    command: ["sh", "-c", "head -c 200m /dev/zero | tail -c 190m >/dev/null; exec tail /dev/zero"]
    mem_limit: 24m
    memswap_limit: 24m
  neighbour:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
""")
    app.up()
    row = eventually(lambda: (row := app.row("hog"))["State"] == "exited" and row, 15, "the hog ends")
    assert row["ExitCode"] == 137
    assert app.state("hog")["oom_killed"] is True
    assert app.row("neighbour")["State"] == "running"


def test_a_fork_bomb_stops_at_pids_limit(project: MakeProject) -> None:
    app = project("""
services:
  bomb:
    image: IMAGE
    command: ["sleep", "1000"]
    pids_limit: 20
    stop_signal: SIGKILL
""")
    app.up()
    ident = app.ident("bomb")
    result = app.run("exec", "-T", "bomb", "sh", "-c", "while :; do sleep 100 & done", code=None)
    assert "can't fork" in result.stderr
    assert 15 <= tasks_of(ident) <= 20
    assert app.row("bomb")["State"] == "running"
    app.down()
    assert tasks_of(ident) == 0


def tasks_of(ident: str) -> int:
    """How many processes are in a container's cgroup."""
    found = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found += ident in Path("/proc", name, "cgroup").read_text()
            except OSError:
                continue
    return found
