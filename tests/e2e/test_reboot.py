"""A reboot, faked: another boot id and an empty run directory; the durable files and the volumes are still there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.support import world
from tests.support.cli import Machine, eventually, kill

pytestmark = pytest.mark.root


def reboot(machine: Machine, pids: list[int]) -> None:
    """What a reboot does to us: processes, mounts, links and /run go, /var stays."""
    machine.kill_ours()
    for pid in pids:
        kill(pid)
    for pid in pids:
        eventually(lambda pid=pid: not world.is_running(pid), 5, f"process {pid} ends")
    machine.kill_ours()
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((point for point in points if point.startswith(machine.base)), reverse=True):
        subprocess.run(["umount", "-l", point], check=False)
    forget_kernel_objects(world.instance(machine.run))
    shutil.rmtree(machine.run, ignore_errors=True)


def forget_kernel_objects(instance: str) -> None:
    """Links, rules and cgroups of the boot before."""
    for name in os.listdir("/sys/class/net"):
        alias = Path("/sys/class/net", name, "ifalias")
        if alias.exists() and alias.read_text().startswith(f"{instance}:"):
            subprocess.run(["ip", "link", "del", name], check=False)
    subprocess.run(["nft", "delete", "table", "ip", instance], check=False)
    for directory, _children, _files in os.walk("/sys/fs/cgroup", topdown=False):
        if instance in directory:
            os.rmdir(directory)


@pytest.mark.skipif(not (shutil.which("ip") and shutil.which("nft")), reason="needs ip and nft to fake a reboot")
def test_up_after_a_reboot(other_machine: Machine, project: MakeProject) -> None:
    app = project(
        """
services:
  db:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    volumes: ["data:/data"]
    ports: ["127.0.0.1::80"]
  web:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    volumes: ["/own"]
volumes:
  data:
""",
        on=other_machine,
    )
    app.up()
    app.sh("db", "echo volume > /data/file; echo upper > /root/file")
    app.run("stop", "-t", "0", "db")
    app.sh("web", "echo anonymous > /own/file; echo upper > /root/file")
    ident, web = app.ident("db"), app.ident("web")
    mark = Path(other_machine.state, "containers", ident, "work/work/incompat/volatile")
    eventually(lambda: not mark.exists(), 5, "the stopped container's files are on disk")
    reboot(other_machine, [int(app.state("web")["pid"])])
    app.env["PYCOMPOSE_BOOT_ID"] = "11111111-2222-3333-4444-555555555555"
    assert app.names() == []
    assert {row["State"] for row in app.rows()} == {"exited"}
    planned = {
        step["name"]: step["reason"] for step in app.steps() if step["kind"] == "container" and step["verb"] == "create"
    }
    assert planned == {"web-1": "the machine stopped while it ran, its files are incomplete"}
    said = app.up().stderr
    assert "web-1 is made anew, without what it wrote beside its volumes" in said
    assert app.names() == ["db-1", "web-1"]
    assert app.ident("db") == ident
    assert app.ident("web") != web
    assert app.sh("web", "cat /own/file; test ! -e /root/file") == "anonymous"
    assert app.sh("db", "cat /data/file /root/file") == "volume\nupper"
    assert "1 packets received" in app.sh("web", "ping -c 1 -W 2 db")
    assert app.steps() == []
    app.down("-v")
