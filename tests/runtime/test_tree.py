"""Removing trees that are deep, mounted upon, or removed by two at once; opening inside a root."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from runtime.copy import copy_from
from runtime.errors import RuntimeFault
from runtime.tree import open_in_root, remove_tree, write_durable

pytestmark = pytest.mark.root


def make_deep(path: Path, depth: int) -> None:
    path.mkdir()
    fd = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        os.close(os.open("f", os.O_CREAT, dir_fd=fd))
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)


def test_a_very_deep_tree(tmp_path: Path) -> None:
    make_deep(tmp_path / "deep", 3000)
    before = len(os.listdir("/proc/self/fd"))
    remove_tree(str(tmp_path / "deep"))
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_copying_a_very_deep_tree_is_one_clear_error(tmp_path: Path) -> None:
    make_deep(tmp_path / "root", 1200)
    root = os.open(tmp_path / "root", os.O_RDONLY)
    try:
        with pytest.raises(RuntimeFault, match="nested more than 200 deep"):
            copy_from(root, "/d", str(tmp_path / "out"))
        with open(os.devnull, "wb") as null, pytest.raises(RuntimeFault, match="nested more than 200 deep"):
            copy_from(root, "/d", null)
    finally:
        os.close(root)
    remove_tree(str(tmp_path / "root"))


def test_symlinks_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep/f").write_text("1")
    (tmp_path / "tree/d").mkdir(parents=True)
    (tmp_path / "tree/d/l").symlink_to(tmp_path / "keep")
    (tmp_path / "l").symlink_to(tmp_path / "keep")
    remove_tree(str(tmp_path / "tree"))
    remove_tree(str(tmp_path / "l"))
    remove_tree(str(tmp_path / "nothing"))
    assert os.listdir(tmp_path) == ["keep"] and os.listdir(tmp_path / "keep") == ["f"]


def test_a_mount_stops_the_removal(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/f").write_text("1")
    (tmp_path / "tree/a/m").mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(tmp_path / "precious"), str(tmp_path / "tree/a/m")], check=True)
    try:
        with pytest.raises(OSError, match="mounted inside"):
            remove_tree(str(tmp_path / "tree"))
    finally:
        subprocess.run(["umount", str(tmp_path / "tree/a/m")], check=True)
    assert (tmp_path / "precious/f").exists()


def test_two_at_once(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"tree/{number % 7}/{number}").mkdir(parents=True)
    problems: list[Exception] = []

    def remove() -> None:
        try:
            remove_tree(str(tmp_path / "tree"))
        except OSError as error:
            problems.append(error)

    threads = [threading.Thread(target=remove) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == [] and os.listdir(tmp_path) == []


def test_open_in_root(tmp_path: Path) -> None:
    (tmp_path / "root/a").mkdir(parents=True)
    (tmp_path / "root/a/f").write_text("in")
    (tmp_path / "f").write_text("out")
    (tmp_path / "root/l").symlink_to("/a/../../f")
    root = os.open(tmp_path / "root", os.O_RDONLY)
    try:
        os.close(open_in_root(root, "/../../a/f", os.O_RDONLY))
        with pytest.raises(FileNotFoundError):
            open_in_root(root, "l", os.O_RDONLY)
    finally:
        os.close(root)


def test_a_durable_write_replaces(tmp_path: Path) -> None:
    write_durable(str(tmp_path / "f"), b"1" * 100)
    write_durable(str(tmp_path / "f"), b"2")
    assert (tmp_path / "f").read_bytes() == b"2" and os.listdir(tmp_path) == ["f"]
