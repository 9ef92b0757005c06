"""The files of a container that does not run, volumes included, as newer and as older kernels mount them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import opening
from runtime.spec import Mount
from tests.runtime.boxes import Boxes

pytestmark = pytest.mark.root


@pytest.fixture
def boxes(tmp_path: Path) -> Iterator[Boxes]:
    if not os.path.exists("/bin/busybox"):
        pytest.skip("needs /bin/busybox: apt-get install busybox-static")
    made = Boxes(tmp_path / "boxes")
    yield made
    made.close()


@pytest.mark.parametrize("old", [False, True], ids=["this kernel", "before 6.15"])
def test_volumes_are_there_and_go_with_it(
    boxes: Boxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in").write_text("in\n")
    (tmp_path / "file").write_text("file\n")
    spec = boxes.spec(
        "true",
        mounts=(
            Mount("/data", "bind", str(tmp_path / "data"), ()),
            Mount("/data/deep", "bind", str(tmp_path / "data"), ("ro",)),
            Mount("/etc/file", "bind", str(tmp_path / "file"), ("ro",)),
        ),
    )
    if old:
        real = opening._bind_all
        calls: list[int] = []

        def refuse(root: int, binds: list[Mount]) -> None:
            calls.append(root)
            if len(calls) == 1:
                raise OSError(errno.EINVAL, "a detached target")
            real(root, binds)

        monkeypatch.setattr(opening, "_bind_all", refuse)
    descriptors = sorted(os.listdir("/proc/self/fd"))
    mounts = Path("/proc/self/mountinfo").read_text()
    root = opening.files_with_volumes(spec, boxes.bundle(spec))
    try:
        for path, content in (("data/in", "in\n"), ("data/deep/in", "in\n"), ("etc/file", "file\n")):
            with open(os.open(path, os.O_RDONLY, dir_fd=root)) as file:
                assert file.read() == content
        os.close(os.open("data/out", os.O_WRONLY | os.O_CREAT, dir_fd=root))
        with pytest.raises(OSError, match="Read-only"):
            os.open("data/deep/more", os.O_WRONLY | os.O_CREAT, dir_fd=root)
        assert (tmp_path / "data" / "out").exists()
        assert Path("/proc/self/mountinfo").read_text() == mounts
    finally:
        opening.close_root(root)
    assert sorted(os.listdir("/proc/self/fd")) == descriptors
    assert not opening._namespaces
