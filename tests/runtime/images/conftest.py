"""A store of its own for each test, tar streams from entries, and a canary that no archive may touch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.images.tar import FILE, Entry
from runtime.images.tar_write import END, encode_entry
from runtime.paths import Roots

Body = tuple[Entry, bytes]


def member(name: str | bytes, type: bytes = FILE, data: bytes = b"", **fields: object) -> Body:
    """One entry with its content."""
    return Entry(os.fsencode(name), type, size=len(data), **fields), data  # type: ignore[arg-type]


def make_tar(*members: Body) -> bytes:
    """A tar archive of the entries, in order, whatever they are."""
    return b"".join(encode_entry(entry) + data + bytes(-len(data) % 512) for entry, data in members) + END


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(str(tmp_path / "state"), str(tmp_path / "run"))


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[str]:
    """A directory with a file; after the test neither of them may have changed."""
    home = tmp_path / "canary"
    home.mkdir(mode=0o755)
    victim = home / "victim"
    victim.write_bytes(b"secret")
    victim.chmod(0o600)
    before = (os.stat(victim), os.stat(home).st_mode)
    yield str(home)
    after = os.stat(victim)
    fields = ("st_mode", "st_nlink", "st_size", "st_mtime_ns", "st_uid", "st_gid", "st_ino")
    assert [getattr(after, field) for field in fields] == [getattr(before[0], field) for field in fields]
    assert victim.read_bytes() == b"secret"
    assert os.listdir(home) == ["victim"]
    assert os.stat(home).st_mode == before[1]


@pytest.fixture
def tarball(tmp_path: Path) -> Callable[..., str]:
    def write(*members: Body, name: str = "root.tar") -> str:
        path = tmp_path / name
        path.write_bytes(make_tar(*members))
        return str(path)

    return write
