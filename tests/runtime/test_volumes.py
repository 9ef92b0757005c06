"""Volumes: create, fill, mount, remove; kills and races."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime import volumes
from runtime.errors import Conflict, NotFound, RuntimeFault
from runtime.paths import Roots
from runtime.spec import Rootfs
from runtime.volume_mount import split_options

pytestmark = pytest.mark.root


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[Roots]:
    yield Roots(str(tmp_path / "state"), str(tmp_path / "run"))
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text(), "a mount was left behind"


@pytest.fixture
def image(tmp_path: Path) -> Rootfs:
    """Two layers: /data and the link /link to it, /data/gone hidden by the upper layer, a symlink to the host."""
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    (lower / "data/sub").mkdir(parents=True)
    (lower / "data/gone").write_text("x")
    (lower / "data/file").write_text("low")
    os.link(lower / "data/file", lower / "data/hard")
    (lower / "data/sub/deep").write_text("deep")
    (lower / "link").symlink_to("/data")
    (lower / "out").symlink_to("/../../../../etc")
    (lower / "empty").mkdir()
    os.chown(lower / "empty", 7, 8)
    (lower / "empty").chmod(0o2770)
    (upper / "data").mkdir(parents=True)
    os.mknod(upper / "data/gone", stat.S_IFCHR, 0)
    (upper / "data/new").write_text("up")
    (upper / "data/sym").symlink_to("/etc/passwd")
    os.chown(upper / "data/new", 33, 44)
    (upper / "data/new").chmod(0o4750)
    os.chown(upper / "data", 999, 998)
    (upper / "data").chmod(0o1730)
    return Rootfs((str(upper), str(lower)))


def data_of(roots: Roots, name: str) -> Path:
    return Path(volumes.mountpoint(roots, volumes.get_volume(roots, name)))


def check_filled(path: Path) -> None:
    assert sorted(os.listdir(path)) == ["file", "hard", "new", "sub", "sym"]
    info = os.stat(path)
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (0o1730, 999, 998)
    info = os.stat(path / "new")
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (0o4750, 33, 44)
    assert os.readlink(path / "sym") == "/etc/passwd"
    assert (path / "sub/deep").read_text() == "deep"
    assert os.stat(path / "hard").st_ino == os.stat(path / "file").st_ino


def test_create_is_idempotent_and_listed(roots: Roots) -> None:
    assert volumes.list_volumes(roots) == []
    made = volumes.create_volume(roots, "p_data", {"com.docker.compose.project": "p"})
    assert volumes.create_volume(roots, "p_data", {"other": "label"}) == made
    anonymous = volumes.create_anonymous(roots, {"a": "b"})
    assert len(anonymous.name) == 64 and anonymous.labels == {volumes.ANONYMOUS_LABEL: "", "a": "b"}
    assert volumes.list_volumes(roots) == sorted([made, anonymous], key=lambda volume: volume.name)
    assert stat.S_IMODE(os.stat(volumes.volumes_dir(roots)).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(data_of(roots, "p_data")).st_mode) == 0o755


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "../x", "+x", "a\n", "é", "x" * 256, ".hidden", "-o"])
def test_bad_names(roots: Roots, name: str) -> None:
    for call in (volumes.create_volume, volumes.get_volume, volumes.remove_volume):
        with pytest.raises(RuntimeFault, match="cannot use volume name"):
            call(roots, name)


def test_the_longest_name_works(roots: Roots) -> None:
    volumes.create_volume(roots, "v" * 255)
    volumes.remove_volume(roots, "v" * 255)
    assert volumes.list_volumes(roots) == []


def test_remove(roots: Roots) -> None:
    volumes.create_volume(roots, "v")
    (data_of(roots, "v") / "d").mkdir()
    (data_of(roots, "v") / "d/f").write_text("x")
    volumes.remove_volume(roots, "v")
    assert os.listdir(volumes.volumes_dir(roots)) == []
    for call in (volumes.get_volume, volumes.remove_volume):
        with pytest.raises(NotFound, match="cannot find volume 'v'"):
            call(roots, "v")


def test_remove_never_enters_a_mount(roots: Roots, tmp_path: Path) -> None:
    volumes.create_volume(roots, "v")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("keep")
    inner = data_of(roots, "v") / "inner"
    inner.mkdir()
    subprocess.run(["mount", "--bind", str(precious), str(inner)], check=True)
    try:
        with pytest.raises(RuntimeFault, match="something is mounted in it"):
            volumes.remove_volume(roots, "v")
        volumes.create_volume(roots, "other")
        volumes.remove_volume(roots, "other")  # sweeps, but not this
        assert (precious / "file").read_text() == "keep"
    finally:
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if line.split()[1].endswith("/inner") and str(tmp_path) in line:
                subprocess.run(["umount", line.split()[1]], check=True)


def test_fill_copies_what_the_image_shows(roots: Roots, image: Rootfs) -> None:
    volume = volumes.create_volume(roots, "v")
    assert volumes.populate(roots, volume, image, "/data") is True
    check_filled(data_of(roots, "v"))
    assert sorted(os.listdir(data_of(roots, "v").parent)) == ["_data", "filled", "volume.json"]
    (data_of(roots, "v") / "file").unlink()
    assert volumes.populate(roots, volume, image, "/data") is False, "only once"
    assert not (data_of(roots, "v") / "file").exists()


def test_fill_follows_links_inside_the_root_only(roots: Roots, image: Rootfs) -> None:
    volume = volumes.create_volume(roots, "v")
    assert volumes.populate(roots, volume, image, "/out") is False, "/etc of the image, which it does not have"
    assert os.listdir(data_of(roots, "v")) == []
    assert volumes.populate(roots, volume, image, "/link/../link") is True
    check_filled(data_of(roots, "v"))


def test_fill_takes_content_of_a_bind_of_the_image(roots: Roots, image: Rootfs, tmp_path: Path) -> None:
    (tmp_path / "usr/share/x").mkdir(parents=True)
    (tmp_path / "usr/share/x/f").write_text("1")
    bound = Rootfs(image.layers, binds=((str(tmp_path / "usr"), "/usr"),))
    volume = volumes.create_volume(roots, "v")
    assert volumes.populate(roots, volume, bound, "/usr/share/x") is True
    assert (data_of(roots, "v") / "f").read_text() == "1"


def test_an_empty_directory_gives_owner_and_mode(roots: Roots, image: Rootfs) -> None:
    volume = volumes.create_volume(roots, "v")
    assert volumes.populate(roots, volume, image, "/empty") is False
    info = os.stat(data_of(roots, "v"))
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (0o2770, 7, 8)
    assert volumes.populate(roots, volume, image, "/missing") is False
    assert volumes.populate(roots, volume, image, "/data") is True, "another container's image may fill it"


def test_content_of_the_user_is_left_alone(roots: Roots, image: Rootfs) -> None:
    volume = volumes.create_volume(roots, "v")
    (data_of(roots, "v") / "mine").write_text("mine")
    assert volumes.populate(roots, volume, image, "/data") is False
    assert os.listdir(data_of(roots, "v")) == ["mine"]


_CALLS = ("mkdir", "rename", "link", "symlink", "fchown", "utime", "rmdir", "unlink", "open")


@pytest.mark.parametrize("step", range(0, 78, 3))
def test_killed_at_any_step_it_converges(roots: Roots, image: Rootfs, step: int) -> None:
    pid = os.fork()
    if pid == 0:
        left = [step]

        def dying(real: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **kwargs: object) -> object:
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1
                return real(*args, **kwargs)

            return call

        for name in _CALLS:
            setattr(os, name, dying(getattr(os, name)))
        try:
            volumes.populate(roots, volumes.create_volume(roots, "v"), image, "/data")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    volumes.populate(roots, volumes.create_volume(roots, "v"), image, "/data")
    check_filled(data_of(roots, "v"))
    assert sorted(os.listdir(data_of(roots, "v").parent)) == ["_data", "filled", "volume.json"]
    volumes.sweep(roots)
    assert os.listdir(volumes.volumes_dir(roots)) == ["v"]


def test_two_at_once_fill_once(roots: Roots, image: Rootfs) -> None:
    results = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            code = 9
            try:
                code = int(volumes.populate(roots, volumes.create_volume(roots, "v"), image, "/data"))
            finally:
                os._exit(code)
        results.append(pid)
    assert sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in results) == [0, 0, 0, 1]
    check_filled(data_of(roots, "v"))


def test_a_full_disk_leaves_the_volume_empty(roots: Roots, image: Rootfs, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (Path(image.layers[0]) / "data/big").write_bytes(os.urandom(2 << 20))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=True)
    try:
        small = Roots(str(disk), roots.run)
        volume = volumes.create_volume(small, "v")
        with pytest.raises(RuntimeFault, match="cannot fill volume 'v' from the image: No space left"):
            volumes.populate(small, volume, image, "/data")
        assert os.listdir(data_of(small, "v")) == []
        (Path(image.layers[0]) / "data/big").unlink()
        assert volumes.populate(small, volume, image, "/data") is True
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_bind_volume_names_a_directory(roots: Roots, image: Rootfs, tmp_path: Path) -> None:
    host = tmp_path / "host"
    options = {"type": "none", "o": "bind,nosuid", "device": str(host)}
    volume = volumes.create_volume(roots, "b", {}, options)
    with pytest.raises(NotFound, match="does not exist"):
        volumes.mount_of(roots, volume, "/data")
    host.mkdir()
    (host / "keep").write_text("x")
    mount = volumes.mount_of(roots, volume, "/data", readonly=True)
    assert (mount.source, mount.type, set(mount.options)) == (str(host), "bind", {"nosuid", "ro"})
    assert volumes.populate(roots, volume, image, "/data") is False
    volumes.remove_volume(roots, "b")
    assert os.listdir(host) == ["keep"]


def test_a_tmpfs_volume(roots: Roots, image: Rootfs) -> None:
    volume = volumes.create_volume(roots, "t", {}, {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,nosuid,mode=700"})
    path = volumes.acquire(roots, volume)
    try:
        assert volumes.acquire(roots, volume) == path
        (line,) = [line for line in Path("/proc/self/mounts").read_text().splitlines() if path in line]
        assert "size=1024k" in line and "nosuid" in line
        assert volumes.populate(roots, volume, image, "/data") is True
        check_filled(Path(path))
        volumes.release(roots, "t")
        assert os.listdir(path) == []
        volumes.acquire(roots, volume)
        assert volumes.populate(roots, volume, image, "/data") is True, "its content went with its mount"
    finally:
        volumes.remove_volume(roots, "t")


def test_a_mount_that_fails_says_so(roots: Roots) -> None:
    volume = volumes.create_volume(roots, "t", {}, {"type": "nosuchfs", "device": "x"})
    with pytest.raises(RuntimeFault, match="cannot mount volume 't'"):
        volumes.acquire(roots, volume)


def test_options(roots: Roots) -> None:
    for options in ({"size": "1"}, {"type": "tmpfs"}, {"device": "x"}):
        with pytest.raises(RuntimeFault, match="cannot create volume"):
            volumes.create_volume(roots, "o", {}, options)
    volumes.create_volume(roots, "o")
    with pytest.raises(Conflict, match="other driver options"):
        volumes.create_volume(roots, "o", {}, {"type": "tmpfs", "device": "tmpfs"})
    assert split_options("size=1m,ro,nosuid,uid=5,rw") == (2, "size=1m,uid=5")


def test_what_killed_commands_left_is_swept(roots: Roots) -> None:
    volumes.sweep(roots)  # nothing there yet
    volumes.create_volume(roots, "v")
    child = subprocess.Popen(["true"])
    child.wait()
    for name in (f"+{child.pid}-dead", f"+{os.getpid()}-alive"):
        os.makedirs(f"{volumes.volumes_dir(roots)}/{name}/_data/x")
    volumes.sweep(roots)
    assert sorted(os.listdir(volumes.volumes_dir(roots))) == [f"+{os.getpid()}-alive", "v"]
    assert [volume.name for volume in volumes.list_volumes(roots)] == ["v"]
