"""Overlays as older kernels want them: layers by string, all in one string, many of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime import overlay
from runtime.linux import mount as m

pytestmark = pytest.mark.root


@pytest.fixture
def layers(tmp_path: Path) -> Callable[[int], tuple[str, ...]]:
    """``layers(3)``: directories ``0``, ``1``, ``2``, each with a file of its name."""

    def make(count: int) -> tuple[str, ...]:
        for number in range(count):
            (tmp_path / str(number)).mkdir()
            (tmp_path / str(number) / f"file{number}").write_text(str(number))
        return tuple(str(tmp_path / str(number)) for number in range(count))

    return make


@pytest.fixture
def upper(tmp_path: Path) -> tuple[str, str]:
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    return str(tmp_path / "upper"), str(tmp_path / "work")


@pytest.fixture(params=["descriptors", "one string each", "one string", "legacy"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What kernels of 6.13, 6.8, 6.5 and before answer to the newer forms of the option."""
    real = m.fsconfig_string
    release = tuple(int(word) for word in os.uname().release.split("-")[0].split(".")[:2])
    if request.param == "one string each" and release < (6, 8):
        pytest.skip(f"Linux {os.uname().release} does not know lowerdir+")
    refuses = {"one string each": errno.EBADF, "one string": errno.EBADF, "legacy": errno.EOPNOTSUPP}

    def fd(*_words: object) -> None:
        raise OSError(refuses[request.param], "by descriptor")

    def string(context: int, key: bytes, value: bytes) -> None:
        assert request.param != "legacy" or key != b"lowerdir+", "such a kernel takes it, and fails at the end"
        if request.param == "one string" and key == b"lowerdir+":
            raise OSError(errno.EINVAL, "by string")
        real(context, key, value)

    if request.param in refuses:
        monkeypatch.setattr(m, "fsconfig_fd", fd)
        monkeypatch.setattr(m, "fsconfig_string", string)
    return request.param


@pytest.mark.parametrize("count", [1, 3, 20, 128])
def test_every_layer_is_there(
    kernel: str, layers: Callable[[int], tuple[str, ...]], upper: tuple[str, str], count: int
) -> None:
    before = os.getcwd()
    root = overlay.overlay(layers(count), *upper, volatile=True)
    try:
        assert sorted(os.listdir(f"/proc/self/fd/{root}")) == sorted(f"file{number}" for number in range(count))
        os.mkdir("made", dir_fd=root)
        assert os.path.isdir(f"{upper[0]}/made")
    finally:
        os.close(root)
    assert os.getcwd() == before


def test_the_top_layer_comes_first(kernel: str, layers: Callable[[int], tuple[str, ...]]) -> None:
    every = layers(40)
    for number in (3, 7, 30):
        Path(every[number], "same").write_text(str(number))
    root = overlay.overlay(every, "", "", volatile=False)
    try:
        with open(os.open("same", os.O_RDONLY, dir_fd=root)) as file:
            assert file.read() == "3"
    finally:
        os.close(root)


def test_the_sealed_interpreter_is_the_same_file(kernel: str, tmp_path: Path) -> None:
    program = os.path.realpath("/bin/sh")
    fd = overlay.sealed_executable(program, str(tmp_path))
    try:
        assert os.fstat(fd).st_size == os.stat(program).st_size
        assert os.fstat(fd).st_dev != os.stat(program).st_dev
        with pytest.raises(OSError, match="Read-only"):
            os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
    finally:
        os.close(fd)
