"""The built-in image: what is in it, what never is, and that it runs programs, for everybody."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.errors import Conflict, NotFound, RuntimeFault
from runtime.images import builtin, busybox, skeleton, store
from runtime.paths import Bundle, Roots
from tests.runtime.images.conftest import make_tar, member
from tests.support.rootfs import busybox_is_static

pytestmark = pytest.mark.root


@pytest.fixture
def root(roots: Roots, tmp_path: Path) -> Iterator[str]:
    """The image mounted as a container would have it, in a mount namespace of the commands that use it."""
    rootfs = store.rootfs_of(roots, store.resolve(roots, "host"))
    assert len(rootfs.layers) == 1
    yield rootfs.layers[0]


def run_inside(roots: Roots, tmp_path: Path, script: str, user: str = "0:0") -> str:
    """Run a shell command in the image: overlay, binds read-only, chroot; all in a private mount namespace."""
    image = store.resolve(roots, "host")
    rootfs = store.rootfs_of(roots, image)
    for name in ("upper", "work", "merged"):
        (tmp_path / name).mkdir(exist_ok=True)
    merged = tmp_path / "merged"
    steps = [
        f"mount -t tmpfs none {tmp_path}/upper && mkdir {tmp_path}/upper/u {tmp_path}/upper/w",
        f"mount -t overlay -o lowerdir={rootfs.layers[0]},upperdir={tmp_path}/upper/u,workdir={tmp_path}/upper/w none {merged}",
    ]
    for source, destination in rootfs.binds:
        steps += [f"mount --rbind {source} {merged}{destination}"]
        steps += [f"mount -o remount,bind,ro,nosuid {merged}{destination}"]
    environment = " ".join(f"'{entry}'" for entry in image.config["Env"])
    steps += [f"exec chroot --userspec={user} {merged} /usr/bin/env -i {environment} /bin/sh -c '{script}'"]
    command = ["unshare", "-m", "--propagation", "private", "/bin/sh", "-ec", "\n".join(steps)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def test_python_and_the_shell_run_for_root_and_for_others(roots: Roots, tmp_path: Path) -> None:
    script = 'python3 -c "import ssl, sqlite3, sys; print(sys.version_info[:2])"; id -un; echo $0'
    version = f"{sys.version_info[:2]}"
    assert run_inside(roots, tmp_path, script).splitlines() == [version, "root", "/bin/sh"]
    assert run_inside(roots, tmp_path, script, "1000:1000").splitlines()[:2] == [version, "app"]


def test_usr_is_read_only_and_the_rest_is_its_own(roots: Roots, tmp_path: Path) -> None:
    out = run_inside(
        roots, tmp_path, "touch /usr/x 2>&1; touch /etc/x /tmp/x /x && echo written; ls /home /root /var/lib"
    )
    assert "Read-only file system" in out and "written" in out
    assert not os.path.exists("/usr/x") and not os.path.exists("/etc/x")


def test_it_exposes_no_secret(root: str) -> None:
    forbidden = ["etc/shadow", "etc/shadow-", "etc/gshadow", "etc/ssh", "etc/sudoers", "etc/ssl/private", "etc/docker",
                 "etc/kubernetes", "etc/krb5.keytab", "boot", "work"]  # fmt: skip
    for name in forbidden:
        assert not os.path.lexists(f"{root}/{name}"), name
    for name in ("var/lib", "var/log", "run", "srv", "mnt", "tmp", "proc", "sys", "usr", "dev"):
        assert set(os.listdir(f"{root}/{name}")) <= {"lock"}, name
    assert set(os.listdir(f"{root}/home")) == {"app"}
    prefix = os.path.realpath(sys.base_prefix)
    shown = prefix.startswith("/root/") and not os.access(skeleton.SYSTEM_PYTHON, os.X_OK)
    inside_root = {prefix.split("/")[2]} if shown else set()
    assert set(os.listdir(f"{root}/root")) == inside_root
    for base, _directories, files in os.walk(root):
        for name in files:
            path = os.path.join(base, name)
            if not os.path.islink(path):
                assert os.stat(path).st_nlink == 1, f"{path} is shared with the host"
                with open(path, "rb") as file:
                    assert b"PRIVATE KEY-----" not in file.read(), path


def test_the_python_bind_is_exactly_the_prefix(roots: Roots) -> None:
    binds = store.rootfs_of(roots, store.resolve(roots, "host")).binds
    assert binds[0] == ("/usr", "/usr")
    assert all(source == destination for source, destination in binds)
    allowed = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", os.path.realpath(sys.base_prefix)}
    assert {source for source, _destination in binds} <= allowed


@pytest.mark.parametrize("prefix", ["/", "/opt", "/root", "/home/someone"])
def test_a_home_directory_is_never_bound(tmp_path: Path, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.path.isdir
    monkeypatch.setattr(os.path, "isdir", lambda path: True if "python3.99" in str(path) else real(path))
    if prefix.startswith("/home"):
        with open("/etc/passwd", "rb") as file:
            homes = [line.split(b":")[5].decode() for line in file if b"/home/" in line]
        if not homes:
            pytest.skip("no user has a home below /home")
        prefix = homes[0]
    assert not skeleton._is_own_directory(prefix, "python3.99")
    assert skeleton._is_own_directory("/opt/hosted/Python/3.99.1/x64", "python3.99")


def test_modes_and_users(root: str) -> None:
    assert stat.S_IMODE(os.stat(f"{root}/tmp").st_mode) == 0o1777
    assert stat.S_IMODE(os.stat(root).st_mode) == 0o755
    assert os.stat(f"{root}/home/app").st_uid == 1000
    passwd = Path(root, "etc/passwd").read_text()
    for line in ("root:x:0:0:", "www-data:x:33:33:", "app:x:1000:1000:", "nobody:x:65534:65534:"):
        assert line in passwd
    assert "nogroup:x:65534:" in Path(root, "etc/group").read_text()
    if os.path.islink("/bin"):
        assert os.readlink(f"{root}/bin") == os.readlink("/bin")


def test_private_files_of_copied_directories_are_left_out(tmp_path: Path) -> None:
    source = tmp_path / "ssl"
    source.mkdir(mode=0o755)
    (source / "cert.pem").write_text("public")
    (source / "mode.pem").write_text("private")
    (source / "mode.pem").chmod(0o640)
    (source / "site.key").write_text("private")
    (source / "content.pem").write_text("-----BEGIN RSA PRIVATE KEY-----")
    (source / "closed").mkdir(mode=0o750)
    (source / "closed" / "x").write_text("private")
    for path in (source, source / "cert.pem", source / "site.key", source / "content.pem"):
        path.chmod(path.stat().st_mode | 0o044)
    target = tmp_path / "etc"
    target.mkdir()
    skeleton._copy_public(str(source), str(target / "ssl"), str(target))
    copied = {path.name: path.read_text() for path in (target / "ssl").iterdir()}
    assert copied == {"cert.pem": "public", "content.pem": ""}


def test_one_skeleton_per_state_of_the_host(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    first = store.resolve(roots, "host")
    assert store.resolve(roots, "pycompose/host") == first == store.resolve(roots, "host:latest")
    assert store.resolve(roots, first.digest[:25]) == first
    made = [first]
    for number in range(3):
        monkeypatch.setattr(builtin, "_SKELETON", 100 + number)
        if number == 0:
            bundle = Bundle(roots, "a" * 64)
            os.makedirs(bundle.dir)
            Path(bundle.spec).write_text(f'{{"rootfs":{{"layers":["{store.rootfs_of(roots, first).layers[0]}"]}}}}')
        made.append(store.resolve(roots, "host"))
    assert len({image.digest for image in made}) == 4
    kept = [os.path.isdir(store.rootfs_of(roots, image).layers[0]) for image in made]
    assert kept == [True, False, True, True], "used by a container; unused; the one before; the current one"


def test_two_at_once_make_one(roots: Roots) -> None:
    pids = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                store.resolve(roots, "host")
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    assert len(os.listdir(f"{store.store_dir(roots)}/builtin")) == 1
    assert os.listdir(f"{store.store_dir(roots)}/staging") == []


def test_it_cannot_be_removed_or_replaced(roots: Roots, tmp_path: Path) -> None:
    image = store.resolve(roots, "host")
    for name in ("host", image.digest):
        with pytest.raises(Conflict, match="built in"):
            store.remove_image(roots, name)
    with pytest.raises(Conflict, match="built-in"):
        store.import_rootfs(roots, "/dev/null", "host")
    with pytest.raises(Conflict, match="built-in"):
        store.tag(roots, "host", "pycompose/host:latest")
    with pytest.raises((Conflict, RuntimeFault)):
        store.import_rootfs(roots, "/dev/null", "docker.io/library/host:latest")


def test_a_python_that_needs_its_library_path(roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skeleton, "SYSTEM_PYTHON", "")
    assert skeleton._runs_alone(sys.executable) and not skeleton._runs_alone("/bin/false")
    monkeypatch.setattr(skeleton, "_runs_alone", lambda _program: False)
    out = run_inside(roots, tmp_path, 'head -c 9 $(command -v python3); echo; python3 -c "print(6 * 7)"', "33:33")
    assert out.splitlines() == ["#!/bin/sh", "42"]


@pytest.mark.skipif(not busybox_is_static(), reason="needs a static busybox: apt-get install busybox-static")
def test_busybox_is_made_when_it_is_asked_for(roots: Roots, tmp_path: Path) -> None:
    image = store.resolve(roots, "busybox")
    assert store.resolve(roots, "busybox:latest").digest == image.digest
    assert [one.reference for one in store.list_images(roots)] == ["pycompose/busybox:latest"]
    place = f"{store.store_dir(roots)}/{image.snapshots[0]}/diff"
    assert os.readlink(f"{place}/bin/sh") == "busybox"
    assert subprocess.run(["chroot", place, "/bin/sh", "-c", "id -un"], capture_output=True).stdout == b"root\n"
    with pytest.raises(NotFound):
        store.resolve(roots, "busybox:1.36")


@pytest.mark.skipif(not busybox_is_static(), reason="needs a static busybox: apt-get install busybox-static")
def test_a_busybox_of_ones_own_goes_first(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(make_tar(member("a")))
    own = store.import_rootfs(roots, str(tmp_path / "x.tar"), "busybox")
    assert store.resolve(roots, "busybox").digest == own.digest


def test_without_a_static_busybox_the_hint_says_so(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busybox, "_PLACES", ("/bin/ls",))
    with pytest.raises(NotFound) as caught:
        store.resolve(roots, "busybox")
    assert "busybox-static" in caught.value.hint
