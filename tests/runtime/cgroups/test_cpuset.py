"""What a new v1 cpuset starts with."""

from __future__ import annotations

from pathlib import Path

from runtime.cgroups.v1 import cpuset


def make(path: Path, cpus: str, mems: str) -> Path:
    path.mkdir()
    (path / "cpuset.cpus").write_text(cpus)
    (path / "cpuset.mems").write_text(mems)
    return path


def test_it_starts_with_the_parents(tmp_path: Path) -> None:
    top = make(tmp_path / "top", "0-1\n", "0\n")
    child = make(top / "child", "", "")
    cpuset.inherit(str(child))
    assert ((child / "cpuset.cpus").read_text(), (child / "cpuset.mems").read_text()) == ("0-1", "0")


def test_a_parent_that_another_process_just_made_is_filled_first(tmp_path: Path) -> None:
    top = make(tmp_path / "top", "0-1\n", "0\n")
    middle = make(top / "middle", "\n", "\n")
    child = make(middle / "child", "", "")
    cpuset.inherit(str(child))
    assert (middle / "cpuset.cpus").read_text() == "0-1"
    assert ((child / "cpuset.cpus").read_text(), (child / "cpuset.mems").read_text()) == ("0-1", "0")
