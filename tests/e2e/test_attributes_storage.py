"""Volumes, configs, secrets, devices of vendors and logs, seen from inside."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Machine, Project

pytestmark = pytest.mark.root


# bind mounts


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[Path]:
    """A directory with a tmpfs mounted below it."""
    top = tmp_path / "top"
    (top / "sub").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(top / "sub")], check=True)
    (top / "sub" / "file").write_text("below")
    yield top
    subprocess.run(["umount", "-l", str(top / "sub")], check=True)


def test_bind_recursive(project: MakeProject, nested: Path) -> None:
    services = {
        "enabled": "read_only: true, bind: {recursive: enabled}",
        "disabled": "bind: {recursive: disabled}",
        "writable": "read_only: true, bind: {recursive: writable}",
        "readonly": "read_only: true, bind: {recursive: readonly, propagation: rprivate}",
    }
    text = "services:\n" + "".join(
        f"  {name}: {{image: IMAGE, command: 'sleep 1000', stop_signal: SIGKILL, network_mode: none, "
        f"volumes: [{{type: bind, source: {nested}, target: /x, {words}}}]}}\n"
        for name, words in services.items()
    )
    app = project(text)
    app.up()
    write = "cat /x/sub/file 2>/dev/null; touch /x/top 2>/dev/null; echo $?; touch /x/sub/y 2>/dev/null; echo $?"
    assert app.sh("enabled", write).split() == ["below1", "1"]
    assert app.sh("disabled", write).split() == ["0", "0"]
    assert app.sh("writable", write).split() == ["below1", "0"]
    assert app.sh("readonly", write).split() == ["below1", "1"]


def test_bind_recursive_that_contradicts_itself(project: MakeProject) -> None:
    app = project(
        "services: {a: {image: IMAGE, command: x, volumes: [{type: bind, source: /tmp, target: /x, "
        "bind: {recursive: writable}}]}}"
    )
    assert "bind.recursive: writable is about read-only mounts" in app.up(code=1).stderr


def test_bind_propagation(project: MakeProject, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    app = project(f"""
services:
  a:
    image: IMAGE
    command: sleep 1000
    stop_signal: SIGKILL
    volumes: [{{type: bind, source: {tmp_path}/d, target: /x, bind: {{propagation: rslave}}}}]
""")
    app.up()
    assert "master:" in app.sh("a", "grep ' /x ' /proc/self/mountinfo") or "shared:" not in app.sh(
        "a", "grep ' /x ' /proc/self/mountinfo"
    )


def test_short_and_long_volumes(project: MakeProject) -> None:
    app = project("""
services:
  a:
    image: IMAGE
    command: sleep 1000
    stop_signal: SIGKILL
    volumes:
      - ./made/here:/made
      - ./made/here:/locked:ro
      - named:/etc
      - {type: volume, source: empty, target: /bin2, volume: {nocopy: true}}
      - {type: volume, source: named, target: /sub, volume: {subpath: deep}}
      - {type: tmpfs, target: /mem, tmpfs: {size: 1m, mode: 0700}}
      - /anonymous
volumes: {named: {}, empty: {}}
""")
    app.edit("      - {type: volume, source: named, target: /sub, volume: {subpath: deep}}\n", "")
    app.up()
    assert (app.dir / "made" / "here").is_dir()
    app.sh("a", "touch /made/x; touch /locked/y 2>/dev/null && exit 0; exit 42", code=42)
    assert "root:x:0:0" in app.sh("a", "cat /etc/passwd")  # copied from the image
    assert app.sh("a", "stat -c %a /mem") == "700"
    app.sh("a", "mkdir /etc/deep; echo inside > /etc/deep/file; touch /anonymous/x")
    app.edit(
        "      - /anonymous",
        "      - /anonymous\n      - {type: volume, source: named, target: /sub, volume: {subpath: deep}}",
    )
    app.up()
    assert app.sh("a", "cat /sub/file; ls /anonymous").split() == ["inside", "x"]


# configs and secrets


def test_configs_and_secrets(project: MakeProject) -> None:
    app = project("""
services:
  a:
    image: IMAGE
    command: sleep 1000
    stop_signal: SIGKILL
    user: "1000"
    tmpfs: [/fresh/one, /home]
    configs:
      - plain
      - script
      - {source: text, target: /etc/app/text.conf, uid: "1000", gid: "2000", mode: 0440}
    secrets:
      - file
      - {source: env, target: renamed, uid: "1000", mode: 0400}
configs:
  plain: {file: ./plain.conf}
  script: {file: ./script.sh}
  text: {content: "value=${COLOUR}\\n"}
secrets:
  file: {file: ./secret.txt}
  env: {environment: TOKEN}
""")
    (app.dir / "plain.conf").write_text("plain")
    (app.dir / "secret.txt").write_text("hidden")
    (app.dir / "script.sh").write_text("#!/bin/sh\necho ran\n")
    (app.dir / "script.sh").chmod(0o700)
    app.env |= {"TOKEN": "from env", "COLOUR": "blue"}
    app.up()
    assert app.sh("a", "cat /plain /etc/app/text.conf /run/secrets/file /run/secrets/renamed") == (
        "plainvalue=blue\nhiddenfrom env"
    )
    stat = "stat -c '%a %u %g' /plain /etc/app/text.conf /run/secrets/renamed"
    assert app.sh("a", stat).splitlines() == ["444 0 0", "440 1000 2000", "400 1000 0"]
    app.exec("a", "sh", "-c", "echo x > /plain", flags=["-u", "0"], code=1)
    assert app.sh("a", "/script") == "ran"
    for _start in range(2):  # a tmpfs on what the image has looks like that, on nothing it is everyone's
        assert app.sh("a", "touch /fresh/one/x; stat -c %a /fresh/one /home").split() == ["1777", "755"]
        app.run("restart", "a")


# devices of vendors


CDI = {
    "cdiVersion": "0.6.0",
    "kind": "nvidia.com/gpu",
    "devices": [
        {
            "name": name,
            "containerEdits": {
                "deviceNodes": [
                    {
                        "path": f"/dev/gpu{name}",
                        "hostPath": "/dev/null",
                        "permissions": "rw",
                        "fileMode": 0o640,
                        "gid": 9,
                    }
                ],
                "env": [f"GPU_{name}=yes"],
            },
        }
        for name in ("0", "1", "2")
    ],
    "containerEdits": {"env": ["ALL_GPUS=here"], "additionalGids": [44]},
}
GPUS = """
x-box: &box {image: IMAGE, command: sleep 1000, stop_signal: SIGKILL, network_mode: none}
services:
  all: {<<: *box, gpus: all}
  one: {<<: *box, deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 1, driver: nvidia}]}}}}
  chosen: {<<: *box, gpus: [{device_ids: ["2", "1"]}]}
  named: {<<: *box, devices: ["nvidia.com/gpu=1", "acme.org/thing=x", "/dev/null:/dev/mine"]}
  yaml: {<<: *box, deploy: {resources: {reservations: {devices: [
          {driver: cdi, device_ids: ["acme.org/thing=x"], capabilities: [any]}]}}}}
"""


@pytest.fixture
def vendors(tmp_path: Path) -> Path:
    """A directory of CDI specifications."""
    directory = tmp_path / "cdi"
    directory.mkdir()
    (directory / "nvidia.json").write_text(json.dumps(CDI))
    (tmp_path / "library").write_text("vendor's")
    (directory / "acme.yaml").write_text(
        f"""
cdiVersion: 0.5.0
kind: acme.org/thing
devices:
  - name: x
    containerEdits:
      env: [THING=x]
      mounts: [{{hostPath: {tmp_path}/library, containerPath: /usr/lib/thing, options: [ro, nosuid, bind]}}]
"""
    )
    return directory


def test_gpus_and_cdi_devices(project: MakeProject, vendors: Path) -> None:
    app = project(GPUS)
    app.env["PYCOMPOSE_CDI_DIRS"] = str(vendors)
    app.up()
    look = "ls /dev | grep gpu; env | grep -E '^(GPU_|ALL_GPUS|THING)' | sort"
    assert app.sh("all", look).split() == [
        "gpu0",
        "gpu1",
        "gpu2",
        "ALL_GPUS=here",
        "GPU_0=yes",
        "GPU_1=yes",
        "GPU_2=yes",
    ]
    assert app.sh("one", look).split() == ["gpu0", "ALL_GPUS=here", "GPU_0=yes"]
    assert app.sh("chosen", look).split() == ["gpu1", "gpu2", "ALL_GPUS=here", "GPU_1=yes", "GPU_2=yes"]
    assert app.sh("named", look).split() == ["gpu1", "ALL_GPUS=here", "GPU_1=yes", "THING=x"]
    assert app.sh("yaml", f"{look}; cat /usr/lib/thing").split("\n") == ["THING=x", "vendor's"]
    app.sh("yaml", "echo x > /usr/lib/thing 2>/dev/null && exit 0; exit 42", code=42)
    assert (
        app.sh("one", "stat -c '%a %g %t:%T' /dev/gpu0; id -G").split() == ["640", "9", "1:3", "0", "44"]
        or app.sh("one", "stat -c '%a %g %t:%T' /dev/gpu0") == "640 9 1:3"
    )
    app.sh("named", "test -c /dev/mine")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("gpus: [{count: 9}]", "cannot reserve 9 of nvidia.com/gpu for a: there are 3"),
        ("devices: ['nvidia.com/gpu=7']", "cannot find device nvidia.com/gpu=7: of nvidia.com/gpu there is 0, 1, 2"),
        ("devices: ['other.com/x=1']", "no CDI specification of other.com/x in"),
        ("deploy: {resources: {reservations: {devices: [{capabilities: [tpu]}]}}}", "serves tpu"),
        ("devices: ['hooked.com/x=1']", "runs programs of the host as hooks (/usr/bin/evil)"),
    ],
)
def test_devices_that_cannot_be(project: MakeProject, vendors: Path, words: str, expected: str) -> None:
    hooks = {"hooks": [{"hookName": "createContainer", "path": "/usr/bin/evil"}]}
    plain = {"cdiVersion": "0.5.0", "kind": "hooked.com/x", "devices": [{"name": "1", "containerEdits": hooks}]}
    (vendors / "hooked.json").write_text(json.dumps(plain))
    app = project(f"services: {{a: {{image: IMAGE, command: x, {words}}}}}")
    app.env["PYCOMPOSE_CDI_DIRS"] = str(vendors)
    assert expected in app.up(code=1).stderr
    assert app.names() == []


def test_no_specification_at_all(project: MakeProject, tmp_path: Path) -> None:
    app = project("services: {a: {image: IMAGE, command: x, gpus: all}}")
    app.env["PYCOMPOSE_CDI_DIRS"] = str(tmp_path / "nothing")
    error = app.up(code=1).stderr
    assert "cannot reserve a device for a: no CDI specification in" in error
    assert "nvidia-ctk cdi generate" in error


# sharing of one's image's directories between containers


def test_volumes_from_a_service(project: MakeProject, machine: Machine) -> None:
    app = project("""
services:
  a: {image: IMAGE, command: sleep 1000, stop_signal: SIGKILL, volumes: [/own, data:/data]}
  b: {image: IMAGE, command: sleep 1000, stop_signal: SIGKILL, volumes_from: ["a:ro"]}
volumes: {data: {}}
""")
    app.up()
    app.sh("a", "echo x > /own/file; echo y > /data/file")
    assert app.sh("b", "cat /own/file /data/file").split() == ["x", "y"]
    app.sh("b", "touch /own/z 2>/dev/null && exit 0; exit 42", code=42)
    app.down("-v")
    assert not [name for name in os.listdir(f"{machine.state}/volumes") if app.name in name]


def test_platforms(project: MakeProject) -> None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    app: Project = project(f"""
services:
  a: {{image: IMAGE, command: sleep 1000, stop_signal: SIGKILL, platform: linux/{machine}}}
  b: {{image: IMAGE, command: sleep 1000, stop_signal: SIGKILL, platform: {os.uname().machine}}}
""")
    app.up()
    assert app.names() == ["a-1", "b-1"]
    app.edit(f"linux/{machine}", "linux/sparc64")
    error = app.up(code=1).stderr
    assert 'platform "linux/sparc64" is not supported: its programs do not run here' in error
    app.edit("linux/sparc64", f"linux/{machine}")
