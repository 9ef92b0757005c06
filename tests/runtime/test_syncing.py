"""Files written into a tree that a stranger filled: owner, mode, atomicity, and no way out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.errors import RuntimeFault
from runtime.syncing import Tree, Write, Written, apply, owner_in

pytestmark = pytest.mark.root


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Tree]:
    (tmp_path / "root").mkdir()
    fd = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)
    yield Tree(fd, (1000, 2000))
    os.close(fd)


def put(root: Tree, source: Path, target: str) -> Written:
    return apply(root, [Write(str(source), target)])


def test_a_file_has_the_host_s_mode_and_time_and_the_tree_s_owner(root: Tree, tmp_path: Path) -> None:
    source = tmp_path / "f"
    source.write_bytes(b"x" * 3_000_000)
    source.chmod(0o4751)
    os.utime(source, (1_000_000_000, 1_000_000_000))
    assert put(root, source, "/new/deep/f") == Written(written=1)
    made = tmp_path / "root/new/deep/f"
    info = made.stat()
    assert made.read_bytes() == source.read_bytes()
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (1000, 2000, 0o751)  # no set-id bits
    assert info.st_mtime == 1_000_000_000
    assert (made.parent.stat().st_uid, made.parent.stat().st_gid) == (1000, 2000)


def test_whoever_has_the_old_file_open_keeps_it(root: Tree, tmp_path: Path) -> None:
    source, made = tmp_path / "f", tmp_path / "root/f"
    made.write_text("old")
    source.write_text("new, and longer")
    with made.open() as reader:
        put(root, source, "/f")
        assert reader.read() == "old"
    assert made.read_text() == "new, and longer"
    assert os.listdir(tmp_path / "root") == ["f"]


def test_the_same_is_left_alone(root: Tree, tmp_path: Path) -> None:
    source = tmp_path / "f"
    source.write_text("same")
    put(root, source, "/f")
    before = (tmp_path / "root/f").stat()
    os.utime(source, (1, 1))
    assert put(root, source, "/f") == Written(same=1)
    after = (tmp_path / "root/f").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    source.chmod(0o600)
    assert put(root, source, "/f").written == 1


def test_what_is_gone_is_removed_and_twice_is_once(root: Tree, tmp_path: Path) -> None:
    (tmp_path / "root/d/e").mkdir(parents=True)
    (tmp_path / "root/d/e/f").write_text("f")
    assert put(root, tmp_path / "gone", "/d") == Written(removed=1)
    assert put(root, tmp_path / "gone", "/d") == Written()
    assert put(root, tmp_path / "gone", "/not/there") == Written()


def test_kinds_change_into_one_another(root: Tree, tmp_path: Path) -> None:
    source = tmp_path / "x"
    for make in (
        lambda: source.mkdir(),
        lambda: source.write_text("f"),
        lambda: source.symlink_to("a"),
        lambda: source.mkdir(),
    ):
        if source.is_symlink() or source.is_file():
            source.unlink()
        elif source.exists():
            source.rmdir()
        make()
        assert put(root, source, "/x").problems == ()
    made = tmp_path / "root/x"
    assert made.is_symlink()  # a link in the container stays where a directory is meant: it may lead to one
    made.unlink()
    put(root, source, "/x")
    assert made.is_dir() and not made.is_symlink()


def test_links_are_resolved_inside(root: Tree, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    source = tmp_path / "f"
    source.write_text("evil")
    inner = tmp_path / "root"
    (inner / "abs").symlink_to(outside)
    (inner / "rel").symlink_to("../" * 20 + str(outside).lstrip("/"))
    (inner / "f").symlink_to(outside / "f")
    for target in ("/abs/f", "/rel/f", "/f", "/../../f", "/abs/../../../f"):
        put(root, source, target)
    assert os.listdir(outside) == []
    assert (inner / "f").read_text() == "evil" and not (inner / "f").is_symlink()


def test_magic_links_are_refused(root: Tree, tmp_path: Path) -> None:
    (tmp_path / "root/magic").symlink_to(f"/proc/{os.getpid()}/cwd")
    source = tmp_path / "f"
    source.write_text("evil")
    done = put(root, source, "/magic/f")
    assert done.written == 0 and not Path(os.getcwd(), "f").exists()


def test_an_absolute_link_to_a_directory_of_the_image_is_followed_there(root: Tree, tmp_path: Path) -> None:
    (tmp_path / "root/usr/bin").mkdir(parents=True)
    (tmp_path / "root/bin").symlink_to("/usr/bin")
    source = tmp_path / "f"
    source.write_text("f")
    assert put(root, source, "/bin/f").written == 1
    assert (tmp_path / "root/usr/bin/f").read_text() == "f"


def test_what_a_killed_writer_left_is_replaced(root: Tree, tmp_path: Path) -> None:
    source = tmp_path / "f"
    source.write_text("whole")
    (tmp_path / "root/.f.pycompose~").write_text("ha")
    assert put(root, source, "/f").written == 1
    assert os.listdir(tmp_path / "root") == ["f"]


def test_stop_is_asked_before_each(root: Tree, tmp_path: Path) -> None:
    writes = []
    for number in range(10):
        (tmp_path / f"f{number}").write_text("x")
        writes.append(Write(str(tmp_path / f"f{number}"), f"/f{number}"))
    asked = iter([False] * 3 + [True] * 10)
    done = apply(root, writes, lambda: next(asked))
    assert (done.written, done.stopped) == (3, True)
    assert len(os.listdir(tmp_path / "root")) == 3


def test_one_that_fails_is_told_and_hinders_no_other(root: Tree, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "f").write_text("f")
    done = apply(root, [Write(str(tmp_path / "pipe"), "/a"), Write(str(tmp_path / "f"), "/b")])
    assert done.written == 1 and done.problems == (f"cannot copy {tmp_path}/pipe: it is a fifo",)


def test_the_owner_is_looked_up_in_the_tree_s_own_files(root: Tree, tmp_path: Path) -> None:
    etc = tmp_path / "root/etc"
    etc.mkdir()
    (etc / "passwd").write_text("app:x:77:88:::\n")
    (etc / "group").write_text("staff:x:99:\n")
    assert owner_in(root.root, "app") == (77, 88)
    assert owner_in(root.root, "app:staff") == (77, 99)
    assert owner_in(root.root, "5:6") == (5, 6)
    assert owner_in(root.root, "") == (0, 0)
    with pytest.raises(RuntimeFault, match="unable to find user nobody-here"):
        owner_in(root.root, "nobody-here")
