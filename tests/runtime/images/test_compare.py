"""``image verify``: a change of anything that a layer says of its files is found, and told with its path."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.images import ingest, store
from runtime.images.tar import CHAR, DIRECTORY, HARDLINK, SYMLINK
from runtime.images.upkeep import all_images, verify
from runtime.paths import Roots
from tests.runtime.images.conftest import Body, make_tar, member

pytestmark = pytest.mark.root
SECOND = 1_000_000_000
LOWER: tuple[Body, ...] = (
    member("lib", SYMLINK, link=b"usr/lib"),
    member("usr/lib/old", data=b"old", mode=0o600, uid=3, mtime_ns=7 * SECOND),
    member("usr/lib/dir/x", data=b"1"),
    member("etc", DIRECTORY, mode=0o711, gid=4, mtime_ns=9 * SECOND, xattrs={"user.d": b"1"}),
    member("etc/gone", data=b"1"),
)
UPPER: tuple[Body, ...] = (
    member("etc/conf", data=b"conf", mode=0o640, uid=5, gid=6, mtime_ns=11 * SECOND + 3, xattrs={"user.a": b"b"}),
    member("etc/.wh.gone"),
    member("lib/new", data=b"new"),
    member("lib/again", HARDLINK, link=b"usr/lib/old"),
    member("lib/link", SYMLINK, link=b"old", uid=8),
    member("lib/null", CHAR, major=1, minor=3),
    member("lib/twin", HARDLINK, link=b"lib/new"),
    member("lib/dir/.wh..wh..opq"),
    member("bin", DIRECTORY, mtime_ns=SECOND),
    member("bin", DIRECTORY, mode=0o700, mtime_ns=2 * SECOND),
    member("bin/sh", data=b"sh"),
    member("lib/new2", data=b"one"),
    member("lib/new2", data=b"two", mtime_ns=SECOND),
)


@pytest.fixture
def upper(roots: Roots) -> Path:
    """An image of two layers; the files of the upper one."""
    with ingest.Staging(roots) as staging:
        first = staging.add_layer([make_tar(*LOWER)], ())
        second = staging.add_layer([make_tar(*UPPER)], (first,))
        image = ingest.add_image(staging, b'{"os":"linux"}', (first, second), ())
    assert verify(roots, all_images(roots)) == []
    return Path(store.store_dir(roots), image.snapshots[1], "diff")


def swap(path: Path, make: Callable[[], object]) -> None:
    """Another thing of the same name, the directory's time as it was."""
    info = os.stat(path.parent)
    path.unlink()
    make()
    os.utime(path.parent, ns=(info.st_atime_ns, info.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "'etc/conf' has mode 0644, not 0640": lambda top: os.chmod(top / "etc/conf", 0o644),
    "'etc/conf' belongs to 0:6, not 5:6": lambda top: os.chown(top / "etc/conf", 0, 6),
    "'etc/conf' was changed at 1970-01-01T00:00:01": lambda top: os.utime(top / "etc/conf", ns=(0, SECOND)),
    "'etc/conf' has not the extended attribute user.a": lambda top: os.setxattr(top / "etc/conf", "user.a", b"c"),
    "'etc/conf' has the extended attribute user.b": lambda top: os.setxattr(top / "etc/conf", "user.b", b"c"),
    "'etc' belongs to 0:0, not 0:4": lambda top: os.chown(top / "etc", 0, 0),
    "'etc' has not the extended attribute user.d": lambda top: os.removexattr(top / "etc", "user.d"),
    "'etc/gone' is a symbolic link, not a device": lambda top: swap(
        top / "etc/gone", lambda: os.symlink("x", top / "etc/gone")
    ),
    "'etc/gone' is missing": lambda top: swap(top / "etc/gone", lambda: None),
    "'usr/lib/link' leads to 'new', not 'old'": lambda top: swap(
        top / "usr/lib/link",
        lambda: (
            os.symlink("new", top / "usr/lib/link"),
            os.chown(top / "usr/lib/link", 8, 0, follow_symlinks=False),
            os.utime(top / "usr/lib/link", ns=(0, 0), follow_symlinks=False),
        ),
    ),
    "'usr/lib/null' is device 1:5, not 1:3": lambda top: swap(
        top / "usr/lib/null",
        lambda: (os.mknod(top / "usr/lib/null", 0o20644, os.makedev(1, 5)), os.utime(top / "usr/lib/null", ns=(0, 0))),
    ),
    "is not the file any more that its other names are": lambda top: swap(
        top / "usr/lib/twin",
        lambda: ((top / "usr/lib/twin").write_bytes(b"new"), os.utime(top / "usr/lib/twin", ns=(0, 0))),
    ),
    "has another content": lambda top: (
        (top / "usr/lib/old").write_bytes(b"OLD"),
        os.utime(top / "usr/lib/old", ns=(0, 7 * SECOND)),
    ),
    "'usr/lib/dir' is not opaque any more": lambda top: os.removexattr(top / "usr/lib/dir", "trusted.overlay.opaque"),
    "'bin' is opaque, and should not be": lambda top: os.setxattr(top / "bin", "trusted.overlay.opaque", b"y"),
    "'bin/extra' was added": lambda top: ((top / "bin/extra").touch(), os.utime(top / "bin", ns=(0, 2 * SECOND))),
    "its files were changed in the store": lambda top: (
        (top / "bin/sh").write_bytes(b"zz"),
        os.utime(top / "bin/sh", ns=(0, 0)),
    ),
    "bin/sh: no such file or directory": lambda top: swap(top / "bin/sh", lambda: None),
    "'/' has mode 0777, not 0755": lambda top: os.chmod(top, 0o777),
}


@pytest.mark.parametrize("text", CHANGES)
def test_a_change_is_told(roots: Roots, upper: Path, text: str) -> None:
    CHANGES[text](upper)
    problems = verify(roots, all_images(roots))
    assert [text in problem.text for problem in problems] == [True], problems
    assert problems[0].text.startswith("layer sha256:")


def test_what_a_later_name_changes_is_no_damage(roots: Roots, tmp_path: Path) -> None:
    """A symlink that becomes another, a directory that becomes a file, a link to what was replaced afterwards."""
    members = (
        member("one", DIRECTORY, mtime_ns=SECOND),
        member("l", SYMLINK, link=b"one"),
        member("l/x", data=b"x"),
        member("l", SYMLINK, link=b"two"),
        member("l/y", data=b"y"),
        member("f", data=b"f"),
        member("g", HARDLINK, link=b"f"),
        member("f", data=b"other", mode=0o600),
        member("two", data=b"two"),
        member(".wh.nothing"),
    )
    (tmp_path / "x.tar").write_bytes(make_tar(*members))
    image = store.import_rootfs(roots, str(tmp_path / "x.tar"), "x:1")
    assert sorted(os.listdir(Path(store.store_dir(roots), image.snapshots[0], "diff"))) == ["f", "g", "l", "one", "two"]
    assert verify(roots, [image]) == []
