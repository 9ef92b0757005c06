"""cp: docker cp's rules for names, and a container that plays tricks with symlinks."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.copy import copy_from, copy_to
from runtime.errors import NotFound, RuntimeFault

pytestmark = pytest.mark.root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A container's root with /dir/old, /file and links."""
    path = tmp_path / "root"
    (path / "dir").mkdir(parents=True)
    (path / "dir/old").write_text("old")
    (path / "file").write_text("file")
    (path / "to-dir").symlink_to("/dir")
    (path / "to-file").symlink_to("../../../file")
    (path / "dangling").symlink_to("/dir/fresh")
    return path


@pytest.fixture
def fd(root: Path) -> Iterator[int]:
    before = len(os.listdir("/proc/self/fd"))
    number = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    yield number
    os.close(number)
    assert len(os.listdir("/proc/self/fd")) == before, "descriptors leaked"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    path = tmp_path / "host"
    (path / "src/sub").mkdir(parents=True)
    (path / "f").write_text("F")
    os.chown(path / "f", 1234, 1235)
    (path / "f").chmod(0o640)
    (path / "src/sub/deep").write_text("deep")
    (path / "src/l").symlink_to("sub/deep")
    (path / "lf").symlink_to("f")
    return path


def tree(path: Path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*"))


# -- into ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dest", "where"),
    [("/new", "new"), ("new", "new"), ("/dir", "dir/f"), ("/dir/", "dir/f"), ("/dir/.", "dir/f"), ("/file", "file"),
     ("/to-dir", "dir/f"), ("/to-file", "file"), ("/dangling", "dir/fresh"), ("/", "f"), ("/dir/../../..", "f"),
     ("/to-dir/x", "dir/x")],
)  # fmt: skip
def test_a_file_into(fd: int, root: Path, host: Path, dest: str, where: str) -> None:
    copy_to(fd, str(host / "f"), dest)
    assert (root / where).read_text() == "F"
    info = os.stat(root / where)
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (1234, 1235, 0o640)
    assert info.st_mtime_ns == os.stat(host / "f").st_mtime_ns
    assert (root / "to-dir").is_symlink() and (root / "to-file").is_symlink() and (root / "dangling").is_symlink()


@pytest.mark.parametrize(
    ("source", "dest", "message"),
    [("f", "/none/", "it does not exist"), ("f", "/none/x", "there is no directory /none"), ("f", "/file/", "not a directory"),
     ("f/", "/new", "not a directory"), ("none", "/new", "cannot find"), ("src", "/file", "cannot copy a directory"),
     ("f", "/file/x", "there is no directory")],
)  # fmt: skip
def test_what_cannot_be_copied_into(fd: int, root: Path, host: Path, source: str, dest: str, message: str) -> None:
    before = tree(root)
    with pytest.raises(RuntimeFault, match=message):
        copy_to(fd, f"{host}/{source}", dest)
    assert tree(root) == before


@pytest.mark.parametrize(
    ("source", "dest", "where"),
    [("src", "/new", "new"), ("src", "/new/", "new"), ("src", "/dir", "dir/src"), ("src/", "/dir", "dir/src"),
     ("src/.", "/dir", "dir"), ("src/.", "/new", "new"), ("src", "/to-dir", "dir/src")],
)  # fmt: skip
def test_a_directory_into(fd: int, root: Path, host: Path, source: str, dest: str, where: str) -> None:
    copy_to(fd, f"{host}/{source}", dest)
    assert (root / where / "sub/deep").read_text() == "deep"
    assert os.readlink(root / where / "l") == "sub/deep"
    assert (root / "dir/old").exists()


def test_a_directory_merges_and_types_do_not_clash(fd: int, root: Path, host: Path) -> None:
    (root / "dir/src/sub").mkdir(parents=True)
    (root / "dir/src/sub/deep").write_text("before")
    (root / "dir/src/sub/more").write_text("more")
    os.link(root / "dir/src/sub/deep", root / "other-name")
    copy_to(fd, str(host / "src"), "/dir")
    assert (root / "dir/src/sub/deep").read_text() == "deep"
    assert (root / "dir/src/sub/more").read_text() == "more"
    assert (root / "other-name").read_text() == "before", "the file is replaced, not written into"
    (root / "clash/sub/deep").mkdir(parents=True)
    with pytest.raises(RuntimeFault, match="cannot overwrite directory 'deep' with a file"):
        copy_to(fd, f"{host}/src/.", "/clash")
    (root / "clash2").mkdir()
    (root / "clash2/sub").write_text("file")
    with pytest.raises(RuntimeFault, match="cannot overwrite file 'sub' with a directory"):
        copy_to(fd, f"{host}/src/.", "/clash2")


def test_archive_and_follow(fd: int, root: Path, host: Path) -> None:
    copy_to(fd, str(host / "f"), "/a", archive=True, owner=(33, 34))
    assert (os.stat(root / "a").st_uid, os.stat(root / "a").st_gid) == (33, 34)
    copy_to(fd, str(host / "lf"), "/b")
    assert os.readlink(root / "b") == "f"
    copy_to(fd, str(host / "lf"), "/c", follow=True)
    assert (root / "c").read_text() == "F" and not (root / "c").is_symlink()
    copy_to(fd, str(host / "lf"), "/dir", follow=True)


def test_the_working_directory(fd: int, root: Path, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(host / "src")
    copy_to(fd, ".", "/dir")
    assert (root / "dir/sub/deep").exists()
    copy_to(fd, "..", "/up")
    assert (root / "up/src/sub/deep").exists() or (root / "up/f").exists()
    copy_from(fd, "/file", ".")
    assert (host / "src/file").read_text() == "file"


def test_a_tar_stream_into(fd: int, root: Path, host: Path) -> None:
    raw = subprocess.run(["tar", "-C", str(host), "-czf", "-", "src", "f"], stdout=subprocess.PIPE, check=True).stdout
    copy_to(fd, io.BytesIO(raw), "/to-dir")
    assert (root / "dir/src/sub/deep").read_text() == "deep"
    assert os.stat(root / "dir/f").st_uid == 1234
    copy_to(fd, io.BytesIO(raw), "/dir", archive=True, owner=(0, 0))
    assert os.stat(root / "dir/f").st_uid == 0
    for dest in ("/none", "/file"):
        with pytest.raises(NotFound, match="cannot unpack an archive"):
            copy_to(fd, io.BytesIO(raw), dest)
    (root / "dir/.wh.x").write_text("")  # no layer: such names are ordinary files
    with pytest.raises(RuntimeFault):
        copy_to(fd, io.BytesIO(raw[:100]), "/dir")


# -- out of ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "dest", "where"),
    [("/file", "out", "out"), ("/file", ".", "file"), ("file", "d/", "d/file"), ("/dir", "out", "out/old"),
     ("/dir", "d", "d/dir/old"), ("/dir/.", "d", "d/old"), ("/dir/.", "out", "out/old"), ("/to-dir/.", "d", "d/old"),
     ("/to-dir/old", "out", "out"), ("/dir/../dir", "out", "out/old")],
)  # fmt: skip
def test_out_of(fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, dest: str, where: str) -> None:
    out = tmp_path / "target"
    (out / "d").mkdir(parents=True)
    monkeypatch.chdir(out)
    copy_from(fd, source, dest)
    assert (out / where).read_text() in ("file", "old")


def test_links_out_of(fd: int, tmp_path: Path) -> None:
    copy_from(fd, "/to-file", str(tmp_path / "link"))
    assert os.readlink(tmp_path / "link") == "../../../file"
    copy_from(fd, "/to-file", str(tmp_path / "content"), follow=True)
    assert (tmp_path / "content").read_text() == "file"
    with pytest.raises(NotFound, match="cannot find /dangling in the container"):
        copy_from(fd, "/dangling", str(tmp_path / "x"), follow=True)
    with pytest.raises(NotFound):
        copy_from(fd, "/none", str(tmp_path / "x"))
    with pytest.raises(NotFound):
        copy_from(fd, "/file", str(tmp_path / "none/x"))


def test_privileges_stay_inside(fd: int, root: Path, tmp_path: Path) -> None:
    """A container's root must not place a set-uid program or a device on the host by being copied."""
    (root / "dir/suid").write_text("x")
    os.chown(root / "dir/suid", 55, 56)
    (root / "dir/suid").chmod(0o4755)
    os.mknod(root / "dir/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    copy_from(fd, "/dir", str(tmp_path / "plain"))
    assert sorted(os.listdir(tmp_path / "plain")) == ["old", "suid"]
    info = os.stat(tmp_path / "plain/suid")
    assert (info.st_uid, stat.S_IMODE(info.st_mode)) == (0, 0o755)
    copy_from(fd, "/dir", str(tmp_path / "exact"), archive=True)
    info = os.stat(tmp_path / "exact/suid")
    assert (info.st_uid, stat.S_IMODE(info.st_mode)) == (55, 0o4755)
    assert os.stat(tmp_path / "exact/null").st_rdev == os.makedev(1, 3)


@pytest.mark.parametrize(("source", "top"), [("/dir", "dir"), ("/dir/.", "."), ("/", ".")])
def test_a_tar_stream_out(fd: int, root: Path, tmp_path: Path, source: str, top: str) -> None:
    name = "n" * 150 + "\xe9"
    (root / "dir" / name).write_text("long")
    os.link(root / "dir/old", root / "dir/hard")
    os.chown(root / "dir/old", 3_000_000, 12)
    os.utime(root / "dir/old", ns=(1, 1_234_567_890_123_456_789))
    (root / "dir/sym").symlink_to("/etc/" + "x" * 120)
    os.mkfifo(root / "dir/fifo")
    out = io.BytesIO()
    copy_from(fd, source, out)
    target = tmp_path / "untar"
    target.mkdir()
    subprocess.run(["tar", "--numeric-owner", "-C", str(target), "-xf", "-"], input=out.getvalue(), check=True)
    base = target / top / ("dir" if source == "/" else "")
    subprocess.run(["rm", str(base / "fifo"), str(root / "dir/fifo")], check=True)
    subprocess.run(["diff", "-r", "--no-dereference", str(root / "dir"), str(base)], check=True)
    info = os.stat(base / "old")
    assert (info.st_uid, info.st_gid, info.st_mtime_ns, info.st_nlink) == (3_000_000, 12, 1_234_567_890_123_456_789, 2)


def test_round_trip(fd: int, root: Path, tmp_path: Path) -> None:
    out = io.BytesIO()
    copy_from(fd, "/dir", out)
    (root / "again").mkdir()
    copy_to(fd, io.BytesIO(out.getvalue()), "/again")
    assert (root / "again/dir/old").read_text() == "old"


# -- a hostile container ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["{0}", "../../../../../../../..{0}"])
def test_links_to_the_host_stay_inside(fd: int, root: Path, host: Path, tmp_path: Path, link: str) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (root / "out").symlink_to(link.format(secret))
    with pytest.raises(NotFound):
        copy_from(fd, "/out/key", str(tmp_path / "stolen"))
    with pytest.raises(NotFound):
        copy_to(fd, str(host / "f"), "/out/f")
    with pytest.raises(NotFound):
        copy_to(fd, str(host / "f"), "/out/")
    (root / "dir/key").symlink_to(f"{secret}/key")
    copy_from(fd, "/dir", str(tmp_path / "tree"))
    assert (tmp_path / "tree/key").is_symlink()
    assert os.listdir(secret) == ["key"]


def test_magic_links_are_refused(root: Path, tmp_path: Path, host: Path) -> None:
    os.mkdir(root / "proc")
    subprocess.run(["mount", "--bind", "/proc", str(root / "proc")], check=True)
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for path in (
            "/proc/self/root/etc/passwd",
            f"/proc/{os.getpid()}/cwd/x",
            f"/proc/{os.getpid()}/fd/{fd}/../host/f",
        ):
            with pytest.raises(RuntimeFault):
                copy_from(fd, path, str(tmp_path / "stolen"))
            with pytest.raises(RuntimeFault):
                copy_to(fd, str(host / "f"), path)
        assert not (tmp_path / "stolen").exists()
    finally:
        os.close(fd)
        subprocess.run(["umount", str(root / "proc")], check=True)


def test_a_race_with_renamed_symlinks(fd: int, root: Path, host: Path, tmp_path: Path) -> None:
    """Another process swaps a directory and a symlink to the host while files are copied both ways."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (root / "swap").mkdir()
    (root / "swap/key").write_text("inside")
    (root / "evil").symlink_to(secret)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for old, new in (("swap", "real"), ("evil", "swap"), ("swap", "evil"), ("real", "swap")):
                os.rename(root / old, root / new)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for number in range(300):
            target = tmp_path / f"got{number}"
            try:
                copy_from(fd, "/swap/key", str(target))
                seen.add(target.read_text())
            except RuntimeFault:
                pass
            try:
                copy_to(fd, str(host / "f"), "/swap/planted")
            except RuntimeFault:
                pass
    finally:
        stop.set()
        thread.join()
    assert seen <= {"inside"}
    assert os.listdir(secret) == ["key"]


def test_files_that_are_no_files_do_not_block(fd: int, root: Path, tmp_path: Path) -> None:
    os.mkfifo(root / "dir/pipe")
    copy_from(fd, "/dir", str(tmp_path / "out"))
    assert stat.S_ISFIFO(os.stat(tmp_path / "out/pipe").st_mode)
    copy_from(fd, "/dir", io.BytesIO())
