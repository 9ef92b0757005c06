"""Unpacking layers: overlay semantics, and every known way out of the root, with a canary on the host."""

from __future__ import annotations

import errno
import gc
import io
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.errors import BadArchive
from runtime.images.merged import Merged
from runtime.images.tape import NAME as TAPE
from runtime.images.tape import Tape, play
from runtime.images.tar import BLOCKDEV, CHAR, DIRECTORY, FIFO, HARDLINK, SYMLINK, Source, TarReader
from runtime.images.tar_write import END
from runtime.images.unpack import Extractor, Unpacked
from tests.runtime.images.conftest import Body, make_tar, member

pytestmark = pytest.mark.root

Unpack = Callable[..., Unpacked]


class Layers:
    """Directories of layers, made one on the other."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self.paths: list[str] = []
        self._made = 0
        self.last: Unpacked | None = None

    def add(self, *members: Body, raw: bytes = b"") -> Path:
        self._made += 1
        path = self._base / f"layer{self._made}"
        path.mkdir(mode=0o755)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            lower = Merged(reversed(self.paths))
            source = Source(iter([raw or make_tar(*members)]))
            self.last = Extractor(fd, lower).run(TarReader(source))
        finally:
            os.close(fd)
        self.paths.append(str(path))
        return path

    def view(self) -> Merged:
        return Merged(reversed(self.paths))


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[Layers]:
    home = tmp_path / "layers"
    home.mkdir(mode=0o700)
    gc.collect()  # what other tests left may close its descriptors meanwhile
    before = len(os.listdir("/proc/self/fd"))
    yield Layers(home)
    assert len(os.listdir("/proc/self/fd")) == before, "descriptors leaked"


def is_whiteout(path: Path) -> bool:
    info = os.lstat(path)
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


# -- ordinary content --------------------------------------------------------------------------------------------------


def test_attributes_are_exact(layers: Layers) -> None:
    root = layers.add(
        member("./", DIRECTORY, mode=0o711, mtime_ns=5_000_000_007),
        member("d", DIRECTORY, mode=0o1777, uid=3_000_000_000, gid=7, mtime_ns=1_500_000_000_123_456_789),
        member("d/f", data=b"hello", mode=0o4755, uid=33, gid=44, mtime_ns=1_600_000_000_987_654_321),
        member("d/l", SYMLINK, link=b"/etc/passwd", uid=5, gid=6, mtime_ns=42_000_000_000),
        member("d/h", HARDLINK, link=b"./d/f"),
        member("d/hl", HARDLINK, link=b"/d/l"),
        member("p", FIFO, mode=0o622),
        member("c", CHAR, mode=0o666, major=1, minor=3),
        member("b", BLOCKDEV, mode=0o660, major=7, minor=1, gid=6),
        member("ro", DIRECTORY, mode=0o500),
        member("ro/x", data=b"x"),
    )
    info = os.stat(root / "d/f")
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, info.st_nlink) == (0o4755, 33, 44, 2)
    assert info.st_mtime_ns == 1_600_000_000_987_654_321
    assert (root / "d/f").read_bytes() == b"hello"
    info = os.stat(root / "d")
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (0o1777, 3_000_000_000, 7)
    assert info.st_mtime_ns == 1_500_000_000_123_456_789
    info = os.lstat(root / "d/l")
    assert (os.readlink(root / "d/l"), info.st_uid, info.st_gid, info.st_nlink) == ("/etc/passwd", 5, 6, 2)
    assert stat.S_IMODE(os.stat(root / "p").st_mode) == 0o622
    assert os.stat(root / "c").st_rdev == os.makedev(1, 3)
    assert os.stat(root / "b").st_rdev == os.makedev(7, 1)
    assert stat.S_IMODE(os.stat(root / "ro").st_mode) == 0o500
    assert (os.stat(root).st_mtime_ns, stat.S_IMODE(os.stat(root).st_mode)) == (5_000_000_007, 0o711)


def test_extended_attributes(layers: Layers) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    kept = {"user.a": b"\0\n=", "security.capability": capability}
    dropped = {
        "trusted.overlay.opaque": b"y",
        "user.overlay.redirect": b"/x",
        "trusted.x": b"1",
        "security.selinux": b"s",
    }
    root = layers.add(member("f", data=b"1", uid=1, xattrs={**kept, **dropped}), member("d", DIRECTORY, xattrs=dropped))
    assert {name: os.getxattr(root / "f", name) for name in os.listxattr(root / "f")} == kept
    assert os.listxattr(root / "d") == []


@pytest.mark.parametrize(
    "name", [b"new\nline", b"\xff\xfe", b"a" * 255, b" trailing ", "é".encode(), b"d/" * 60 + b"x" * 200]
)
def test_names_are_bytes(layers: Layers, name: bytes) -> None:
    root = layers.add(member(name, data=b"1"))
    assert os.lstat(os.fsencode(root) + b"/" + name).st_size == 1


@pytest.mark.parametrize("dialect", ["v7", "oldgnu", "gnu", "ustar", "pax"])
def test_dialects_of_gnu_tar(layers: Layers, tmp_path: Path, dialect: str) -> None:
    tree = tmp_path / "tree"
    deep = tree / ("d" * 60) / ("e" * 30)
    deep.mkdir(parents=True)
    (deep / "f").write_bytes(b"deep")
    (tree / "link").symlink_to("t" * 90)
    os.link(deep / "f", tree / "hard")
    if dialect in ("oldgnu", "gnu", "pax"):
        (deep / ("n" * 200)).write_bytes(b"long")
        (tree / "longlink").symlink_to("t" * 300)
        with open(tree / "sparse", "wb") as file:
            for number in range(30):
                file.seek(number * (1 << 20) + 4096)
                file.write(b"%04d" % number)
            file.truncate(32 << 20)
    command = ["tar", "-C", str(tree), "--format", dialect, "--numeric-owner", "-cf", "-", "."]
    command[3:3] = ["-S"] if dialect in ("oldgnu", "gnu", "pax") else []
    raw = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    root = layers.add(raw=raw)
    subprocess.run(["diff", "-r", "--no-dereference", str(tree), str(root)], check=True)
    assert os.stat(root / "hard").st_nlink == 2
    if dialect in ("oldgnu", "gnu", "pax"):
        assert len(raw) < 1 << 20
        assert os.stat(root / "sparse").st_blocks * 512 < 1 << 20, "holes stay holes"


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_pax_sparse_versions(layers: Layers, tmp_path: Path, version: str) -> None:
    with open(tmp_path / "s", "wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    command = ["tar", "-C", str(tmp_path), "--format=pax", f"--sparse-version={version}", "-Scf", "-", "s"]
    raw = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    if version == "0.0":
        with pytest.raises(BadArchive, match="this form of sparse file is not supported"):
            layers.add(raw=raw)
        return
    root = layers.add(raw=raw)
    assert (root / "s").read_bytes() == (tmp_path / "s").read_bytes()


def test_duplicates(layers: Layers) -> None:
    root = layers.add(
        member("f", data=b"1"), member("f", data=b"22", mode=0o600),
        member("d", DIRECTORY, mode=0o700), member("d/x", data=b"x"), member("d", DIRECTORY, mode=0o755, uid=9),
        member("e", DIRECTORY), member("e/x", data=b"x"), member("e", data=b"file"),
        member("l", SYMLINK, link=b"a"), member("l", SYMLINK, link=b"b"),
    )  # fmt: skip
    assert (root / "f").read_bytes() == b"22"
    assert (root / "d/x").exists() and os.stat(root / "d").st_uid == 9
    assert (root / "e").read_bytes() == b"file"
    assert os.readlink(root / "l") == "b"


# -- layers on layers --------------------------------------------------------------------------------------------------


def mount_and_list(layers: Layers, tmp_path: Path) -> dict[str, int]:
    """What the kernel's overlayfs shows: path to mode; and Merged must agree."""
    top = tmp_path / "mnt"
    top.mkdir()
    empty = tmp_path / "empty"
    empty.mkdir()
    lower = ":".join([*reversed(layers.paths), str(empty)])
    subprocess.run(["mount", "-t", "overlay", "-o", f"ro,lowerdir={lower}", "none", str(top)], check=True)
    try:
        seen = {}
        for base, directories, files in os.walk(top):
            for name in (*directories, *files):
                path = os.path.join(base, name)
                seen[os.path.relpath(path, top)] = os.lstat(path).st_mode
        view = layers.view()
        for path, mode in seen.items():
            found = view.lookup(tuple(os.fsencode(path).split(b"/")))
            assert found is not None and found.info.st_mode == mode, path
        return seen
    finally:
        subprocess.run(["umount", str(top)], check=True)


def test_whiteouts_and_opaque_directories(layers: Layers, tmp_path: Path) -> None:
    layers.add(
        member("gone", data=b"1"), member("d/a", data=b"1"), member("d/b", data=b"1"),
        member("o/old", data=b"1"), member("o/sub/deep", data=b"1"), member("dir/x", data=b"1"),
    )  # fmt: skip
    top = layers.add(
        member("o/new", data=b"2"), member("o/.wh..wh..opq"), member("o/.wh.old"), member(".wh.gone"), member("d/.wh.a"),
        member(".wh.dir"), member("nowhere/.wh.thing"), member(".wh..wh.plnk", DIRECTORY), member(".wh..wh.aufs"),
    )  # fmt: skip
    seen = mount_and_list(layers, tmp_path)
    assert sorted(seen) == ["d", "d/b", "o", "o/new"]
    assert is_whiteout(top / "gone") and is_whiteout(top / "d/a") and is_whiteout(top / "dir")
    assert not os.path.lexists(top / "nowhere"), "a whiteout that hides nothing would be seen as a phantom"
    assert not os.path.lexists(top / "o/old")
    assert layers.last and layers.last.used_lower
    assert len(layers.last.warnings) == 2


def test_whiteouts_in_the_layer_of_the_file(layers: Layers, tmp_path: Path) -> None:
    layers.add(member("a", data=b"1"), member("b", data=b"1"))
    layers.add(member("a", data=b"2"), member(".wh.a"), member(".wh.b"), member("b", data=b"2"))
    assert sorted(mount_and_list(layers, tmp_path)) == ["a", "b"]
    assert Path(layers.paths[1], "a").read_bytes() == b"2"


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh.."])
def test_invalid_whiteouts(layers: Layers, name: str) -> None:
    with pytest.raises(BadArchive, match="not a valid whiteout"):
        layers.add(member(name))


def test_implied_parents_keep_the_attributes_below(layers: Layers, tmp_path: Path) -> None:
    layers.add(member("tmp", DIRECTORY, mode=0o1777, uid=5, gid=6, mtime_ns=77_000_000_000))
    top = layers.add(member("tmp/x", data=b"1"), member("other/y", data=b"1"))
    assert (os.stat(top / "tmp").st_mode & 0o7777, os.stat(top / "tmp").st_uid) == (0o1777, 5)
    assert os.stat(top / "tmp").st_mtime_ns == 77_000_000_000
    assert (os.stat(top / "other").st_mode & 0o7777, os.stat(top / "other").st_uid) == (0o755, 0)
    assert mount_and_list(layers, tmp_path)["tmp"] & 0o7777 == 0o1777


def test_a_symlink_below_is_followed(layers: Layers, tmp_path: Path) -> None:
    """The merged /usr: an entry lib/x must not hide the link lib -> usr/lib."""
    layers.add(
        member("usr/lib/a", data=b"1"), member("lib", SYMLINK, link=b"usr/lib"), member("abs", SYMLINK, link=b"/usr")
    )
    layers.add(member("lib/x", data=b"2"), member("abs/lib/y", data=b"2"), member("lib/.wh.a"))
    assert sorted(mount_and_list(layers, tmp_path)) == ["abs", "lib", "usr", "usr/lib", "usr/lib/x", "usr/lib/y"]


def test_a_hard_link_to_a_lower_file(layers: Layers) -> None:
    layers.add(member("d/f", data=b"content", mode=0o4711, uid=9, xattrs={"user.k": b"v"}))
    top = layers.add(member("h", HARDLINK, link=b"d/f"))
    info = os.stat(top / "h")
    assert (info.st_nlink, stat.S_IMODE(info.st_mode), info.st_uid) == (2, 0o4711, 9)
    assert (top / "d/f").read_bytes() == b"content" and os.getxattr(top / "h", "user.k") == b"v"


def test_a_zero_device_is_left_out(layers: Layers, tmp_path: Path) -> None:
    layers.add(member("f", data=b"1"))
    layers.add(member("f", CHAR, major=0, minor=0))
    assert list(mount_and_list(layers, tmp_path)) == ["f"]
    assert layers.last and "0:0 device" in layers.last.warnings[0]


# -- attacks -----------------------------------------------------------------------------------------------------------


def test_names_are_clamped_into_the_root(layers: Layers, canary: str) -> None:
    up = "../" * 30
    root = layers.add(
        member(f"{up}{canary}/pwn", data=b"1"), member(f"{canary}/pwn2", data=b"2"), member("../x", data=b"3")
    )
    assert sorted(os.listdir(f"{root}/{canary}")) == ["pwn", "pwn2"]
    assert (root / "x").read_bytes() == b"3"


@pytest.mark.parametrize("form", ["absolute", "dots"])
def test_through_a_symlink_of_the_same_layer(layers: Layers, canary: str, form: str) -> None:
    target = canary if form == "absolute" else "../" * 30 + canary
    root = layers.add(member("x", SYMLINK, link=target.encode()), member("x/pwn", data=b"1"), member("x/d", DIRECTORY))
    assert sorted(os.listdir(f"{root}/{canary}")) == ["d", "pwn"]


def test_through_a_symlink_of_a_lower_layer(layers: Layers, canary: str) -> None:
    layers.add(member("x", SYMLINK, link=canary.encode()))
    root = layers.add(member("x/pwn", data=b"1"), member("x/.wh.victim"), member("x/h", HARDLINK, link=b"x/pwn"))
    assert sorted(os.listdir(f"{root}/{canary}")) == ["h", "pwn"]


@pytest.mark.parametrize("form", ["{0}/victim", "../../../../../../../../../../..{0}/victim", "x/victim"])
def test_hard_links_to_the_host(layers: Layers, canary: str, form: str) -> None:
    with pytest.raises(BadArchive, match="which is missing"):
        layers.add(
            member("x", SYMLINK, link=canary.encode()),
            member("h", HARDLINK, link=form.format(canary).encode(), mode=0o777, uid=9),
        )


def test_a_hard_link_to_a_symlink_changes_nothing_behind_it(layers: Layers, canary: str) -> None:
    root = layers.add(
        member("l", SYMLINK, link=f"{canary}/victim".encode()),
        member("h", HARDLINK, link=b"l", mode=0o777, uid=99, mtime_ns=1, xattrs={"user.x": b"1"}),
    )
    assert os.path.islink(root / "h")


@pytest.mark.parametrize("name", [".", "./", "..", "/", "a/.."])
@pytest.mark.parametrize("kind", [SYMLINK, b"0"])
def test_the_root_stays_a_directory(layers: Layers, canary: str, name: str, kind: bytes) -> None:
    with pytest.raises(BadArchive):
        layers.add(
            member(name, kind, link=canary.encode() if kind == SYMLINK else b"", data=b""), member("../pwn", data=b"1")
        )


def test_a_hard_link_to_the_root(layers: Layers) -> None:
    for link in (b".", b"/", b"..", b"d"):
        with pytest.raises(BadArchive):
            layers.add(member("d", DIRECTORY), member("h", HARDLINK, link=link))


def test_whiteouts_outside(layers: Layers, canary: str) -> None:
    root = layers.add(
        member("../" * 30 + canary + "/.wh.victim"), member(f"{canary}/.wh..wh..opq"), member("a", data=b"1")
    )
    assert not os.path.lexists(f"{root}/{canary}/victim")


@pytest.mark.parametrize("order", ["dir-link", "link-dir", "file-link", "link-file"])
def test_a_name_may_not_turn_into_a_symlink_or_back(layers: Layers, canary: str, order: str) -> None:
    makers = {
        "dir": member("d", DIRECTORY),
        "file": member("d", data=b"1"),
        "link": member("d", SYMLINK, link=canary.encode()),
    }
    first, second = order.split("-")
    with pytest.raises(BadArchive, match="comes twice, once as a symbolic link"):
        layers.add(makers[first], member("e"), makers[second], member("d/pwn", data=b"1"))


def test_a_directory_replaced_below_open_descriptors(layers: Layers, canary: str) -> None:
    """The cache of open directories must not lead into a directory that was replaced."""
    root = layers.add(
        member("d/e/f", data=b"1"),
        member("d/e", data=b"now a file"),
        member("d/e", DIRECTORY),
        member("d/e/g", data=b"2"),
    )
    assert os.listdir(root / "d/e") == ["g"]


def test_a_parent_that_is_a_file(layers: Layers) -> None:
    with pytest.raises(BadArchive, match="not a directory"):
        layers.add(member("top", data=b"1"), member("top/child", data=b"1"))
    with pytest.raises(BadArchive, match="not a directory"):
        layers.add(member("pipe", FIFO), member("pipe/x", data=b"1"))


def test_symlink_loops_end(layers: Layers) -> None:
    with pytest.raises(BadArchive, match="too many symbolic links"):
        layers.add(member("a", SYMLINK, link=b"b"), member("b", SYMLINK, link=b"a"), member("a/x", data=b"1"))


def test_more_directories_than_descriptors(layers: Layers) -> None:
    many = [member(f"d{number}/e/f", data=b"1") for number in range(400)]
    root = layers.add(*many, *[member(f"d{number}/e/g", data=b"2") for number in range(400)])
    assert len(os.listdir(root)) == 400
    assert all(sorted(os.listdir(root / f"d{number}/e")) == ["f", "g"] for number in range(400))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"not a tar archive" * 100, "it is no tar archive"),
        (make_tar(member("a", data=b"x" * 2000))[:1500], "ends in the middle"),
        (make_tar(member("a"))[:300], "ends in the middle"),
        (make_tar(member("a", b"Q")), "unknown entry type"),
        (make_tar(member("x" * 300)), "too long"),
        (make_tar(member("d/" * 300 + "x")), "too long"),
        (make_tar(member("a", SYMLINK, link=b"")), "no usable target"),
        (make_tar(member("a", xattrs={"user.x": b"v" * 70_000})), "extended attributes"),
    ],
)
def test_malformed_archives(layers: Layers, raw: bytes, message: str) -> None:
    with pytest.raises(BadArchive, match=message):
        layers.add(raw=raw)


def header(**fields: bytes) -> bytes:
    """A header with some raw fields replaced and the checksum made right."""
    places = {"name": (0, 100), "uid": (108, 116), "size": (124, 136), "type": (156, 157), "mtime": (136, 148)}
    block = bytearray(make_tar(member("a"))[:512])
    for key, value in fields.items():
        start, end = places[key]
        block[start:end] = value.ljust(end - start, b"\0")
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (header(size=b"\xff" * 12), "negative"),
        (header(size=b"\x80" + b"\xff" * 11), "more than any file system holds"),
        (header(size=b"\x80" + b"\0" * 4 + b"\x7f" * 7), "ends in the middle"),
        (header(type=b"L", size=b"77777777777"), "over the limit"),
        (header(type=b"x", size=b"77777777777"), "over the limit"),
        (header(type=b"x", size=b"%o" % 20) + b"99999 path=../../x\n\0\0".ljust(512, b"\0"), "malformed"),
        (header(type=b"x", size=b"%o" % 12) + b"12 path=a\0b\n".ljust(512, b"\0") + header(), "not a file name"),
        (header(type=b"x", size=b"%o" % 11) + b"11 size=-1\n".ljust(512, b"\0") + header(), "not a number"),
        (header(uid=b"\x80\0\0\1\0\0\0\0"), "not a user or group id"),
        (header(name=b""), "not a file name"),
        (header(size=b"9x"), "not an octal number"),
    ],
)
def test_hostile_headers(layers: Layers, raw: bytes, message: str) -> None:
    with pytest.raises(BadArchive, match=message):
        layers.add(raw=raw + END)


def test_negative_times_become_zero(layers: Layers) -> None:
    root = layers.add(raw=header(mtime=b"\xff" * 12) + END)
    assert os.stat(root / "a").st_mtime_ns == 0


def test_data_after_the_end_is_part_of_the_digest() -> None:
    from hashlib import sha256

    raw = make_tar(member("a")) + b"trailing"
    digest = sha256()
    list(TarReader(Source(iter([raw]), digest)))
    assert digest.hexdigest() == sha256(raw).hexdigest()


@pytest.mark.parametrize("size", [1, 7, 511, 512, 513, 1000])
def test_chunks_may_end_anywhere(tmp_path: Path, size: int) -> None:
    """Whatever the pieces of the stream, the entries are the same, and the tape gives the stream again."""
    long = "d/" + "n" * 150
    content = os.urandom(1300)
    raw = make_tar(member("a", data=content), member(long, data=b"x"), member("empty")) + bytes(700) + b"trailing"
    os.mkdir(tmp_path / "diff")
    tape = Tape(f"{tmp_path}/{TAPE}")
    fd = os.open(tmp_path / "diff", os.O_RDONLY)
    try:
        source = Source((raw[at : at + size] for at in range(0, len(raw), size)), None, tape)
        Extractor(fd, Merged(())).run(TarReader(source))
    finally:
        os.close(fd)
        tape.close()
    assert source.count == len(raw)
    assert (tmp_path / "diff/a").read_bytes() == content
    assert (tmp_path / "diff" / long).read_bytes() == b"x"
    assert b"".join(play(str(tmp_path))) == raw


def test_a_bomb_is_refused() -> None:
    import gzip

    from runtime.images.compression import PIECE, chunks_of, decompress

    bomb = gzip.compress(bytes(50 << 20))
    made = 0
    with pytest.raises(BadArchive, match="200 times"):
        for chunk in decompress(chunks_of(io.BytesIO(bomb)), floor=8 << 20):
            made += len(chunk)
            assert len(chunk) <= PIECE
    assert made <= 11 << 20


def test_a_disk_that_runs_full_is_left_with_room(layers: Layers, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fstatvfs

    class Full:
        f_bavail, f_blocks = 4, 100

    monkeypatch.setattr(os, "fstatvfs", lambda fd: Full() if real(fd) else None)
    monkeypatch.setattr("runtime.images.unpack._CHECK_EVERY", 1000)
    with pytest.raises(OSError) as caught:
        layers.add(member("a", data=bytes(5000)))
    assert caught.value.errno == errno.ENOSPC
