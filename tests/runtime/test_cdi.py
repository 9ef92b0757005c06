"""CDI specifications: which files win, what devices ask for, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.cdi import Registry, apply, is_device_name, open_registry
from runtime.errors import RuntimeFault
from runtime.record import replace
from runtime.spec import ContainerSpec, Device, Mount, Process, Rootfs


def write(directory: Path, name: str, kind: str, **devices: Any) -> None:
    rows = [{"name": key, "containerEdits": edits} for key, edits in devices.items()]
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(json.dumps({"cdiVersion": "0.6.0", "kind": kind, "devices": rows}))


@pytest.mark.parametrize(
    ("word", "is_one"),
    [
        ("vendor.com/class=name", True),
        ("nvidia.com/gpu=GPU-8a:b", False),
        ("/dev/null", False),
        ("./a=b", False),
        ("vendor/class/deep=x", False),
        ("vendor.com/class=", False),
    ],
)
def test_names(word: str, is_one: bool) -> None:
    assert is_device_name(word) is is_one


def test_later_directories_win(tmp_path: Path) -> None:
    write(tmp_path / "a", "x.json", "v.com/c", one={"env": ["FROM=a"]}, two={})
    write(tmp_path / "b", "x.json", "v.com/c", one={"env": ["FROM=b"]})
    registry = Registry((f"{tmp_path}/a", f"{tmp_path}/b", f"{tmp_path}/missing"))
    assert registry.names("v.com/c") == ["one", "two"]
    assert registry.edits(["v.com/c=one"]).env == ("FROM=b",)


def test_everything_a_device_may_ask_for(tmp_path: Path) -> None:
    write(
        tmp_path / "d",
        "x.json",
        "v.com/c",
        one={
            "env": ["A=1"],
            "deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/null", "permissions": "r", "uid": 3, "fileMode": 416}],
            "mounts": [{"hostPath": "/lib/x", "containerPath": "/usr/x", "options": ["ro", "bind", "unheard-of"]}],
            "additionalGids": [44],
        },
    )
    edits = open_registry({"PYCOMPOSE_CDI_DIRS": f"{tmp_path}/d"}).edits(["v.com/c=one"])
    assert edits.devices == (Device("/dev/x", "/dev/null", "r", 3, -1, 0o640),)
    assert edits.mounts == (Mount("/usr/x", "bind", "/lib/x", ("ro", "bind")),)
    own = ContainerSpec(
        "0" * 64, "n", Process(("x",), env=("A=mine",)), Rootfs(("/",)), mounts=(Mount("/usr/x", "tmpfs"),)
    )
    got = apply(own, edits)
    assert got.process.env == ("A=mine",), "the user's own wins"
    assert got.process.groups == ("44",)
    assert got.mounts == own.mounts
    assert apply(replace(own, mounts=()), edits).mounts == edits.mounts


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ({"hooks": [{"hookName": "createContainer", "path": "/bin/x"}]}, "hooks \\(/bin/x\\)"),
        ({"intelRdt": {"closID": "x"}}, "Intel RDT"),
    ],
)
def test_what_is_not_carried_out_is_refused(tmp_path: Path, edits: Any, expected: str) -> None:
    write(tmp_path / "d", "x.json", "v.com/c", one=edits)
    with pytest.raises(RuntimeFault, match=expected):
        Registry((f"{tmp_path}/d",)).edits(["v.com/c=one"])


@pytest.mark.parametrize(("name", "text"), [("x.json", "{"), ("x.yaml", "a: [b"), ("x.yaml", "- 1"), ("x.json", "{}")])
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RuntimeFault, match=f"cannot read the CDI specification {tmp_path}/{name}"):
        Registry((str(tmp_path),))
