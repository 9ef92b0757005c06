"""The store: import, resolve, list, tag, remove; what a kill leaves behind; a full disk."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import BadArchive, Conflict, NotFound, RuntimeFault
from runtime.images import ingest, store
from runtime.paths import Roots
from tests.runtime.images.conftest import make_tar, member

pytestmark = pytest.mark.root


def files_below(path: str) -> list[str]:
    return sorted(os.path.relpath(os.path.join(base, name), path) for base, _, names in os.walk(path) for name in names)


def test_import_gives_an_image_that_resolves(roots: Roots, tarball: Callable[..., str]) -> None:
    path = tarball(member("./", b"5", mode=0o755), member("etc/passwd", data=b"root:x:0:0::/:/bin/sh\n", mode=0o644))
    image = store.import_rootfs(roots, path, "demo", ['CMD ["sh", "-c", "id"]', "ENV A=1 B='two words'", "USER 33"])
    assert image.reference == "demo:latest"
    assert image.config == {"Cmd": ["sh", "-c", "id"], "Env": ["A=1", "B=two words"], "User": "33"}
    for name in ("demo", "demo:latest", "docker.io/library/demo", "index.docker.io/library/demo:latest"):
        assert store.resolve(roots, name) == image
    assert store.resolve(roots, image.digest).digest == image.digest
    assert store.resolve(roots, image.digest[7:19]).digest == image.digest
    rootfs = store.rootfs_of(roots, image)
    assert Path(rootfs.layers[0], "etc/passwd").read_bytes().startswith(b"root:")
    assert os.stat(store.store_dir(roots)).st_mode & 0o777 == 0o700


def zstd(data: bytes) -> bytes:
    if shutil.which("zstd") is None:
        pytest.skip("no zstd program to compress with")
    return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstd
}  # fmt: skip


@pytest.mark.parametrize("form", PACKERS)
def test_import_reads_every_compression(roots: Roots, form: str) -> None:
    plain = make_tar(member("big", data=os.urandom(300_000) + bytes(2_000_000)))
    packed = PACKERS[form](plain)
    image = store.import_rootfs(roots, io.BytesIO(packed), "c")
    from hashlib import sha256

    assert image.layers == (f"sha256:{sha256(plain).hexdigest()}",)
    assert image.size == 2_300_000


def test_concatenated_gzip_members_and_small_reads(roots: Roots) -> None:
    plain = make_tar(member("a", data=b"x" * 5000))
    packed = gzip.compress(plain[:700]) + gzip.compress(plain[700:]) + bytes(1000)

    class OneByOne(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 1, 7))

    image = store.import_rootfs(roots, OneByOne(packed), "c")
    assert Path(store.rootfs_of(roots, image).layers[0], "a").read_bytes() == b"x" * 5000


def test_importing_the_same_again_changes_nothing(roots: Roots, tarball: Callable[..., str]) -> None:
    path = tarball(member("a", data=b"1"))
    first = store.import_rootfs(roots, path, "demo:1")
    assert store.import_rootfs(roots, path, "demo:1") == first
    assert [image.reference for image in store.list_images(roots)] == ["demo:1"]
    other = store.import_rootfs(roots, path, "demo:1", ["CMD true"])
    assert other.digest != first.digest
    assert store.resolve(roots, first.digest).reference == ""  # the old one stays, without a name
    assert other.config == {"Cmd": ["/bin/sh", "-c", "true"]}


def test_a_missing_image_says_what_would_work(roots: Roots, tarball: Callable[..., str]) -> None:
    store.import_rootfs(roots, tarball(member("a")), "busybox:1.36")
    with pytest.raises(NotFound) as caught:
        store.resolve(roots, "busybx")
    assert caught.value.message == "cannot find image 'busybx:latest' in the local store"
    for part in ("pycompose import", "pycompose load", "image: host", "busybox:1.36"):
        assert part in caught.value.hint


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/../../b", "UPPER", "a:", "a:b:c", "", "a@sha256:../..", "\0"])
def test_names_that_are_none_are_refused(roots: Roots, tarball: Callable[..., str], name: str) -> None:
    with pytest.raises(RuntimeFault, match="cannot use"):
        store.import_rootfs(roots, tarball(member("a")), name)
    with pytest.raises(RuntimeFault, match="cannot use"):
        store.resolve(roots, name)


def test_tag_and_remove(roots: Roots, tarball: Callable[..., str]) -> None:
    image = store.import_rootfs(roots, tarball(member("a", data=b"1")), "one")
    store.tag(roots, "one", "registry.example:5000/team/two:v2")
    assert store.resolve(roots, "registry.example:5000/team/two:v2").digest == image.digest
    with pytest.raises(Conflict, match="2 names"):
        store.remove_image(roots, image.digest)
    assert store.remove_image(roots, "one", in_use=lambda _digest: ["web-1"]) == ["Untagged: one:latest"]
    with pytest.raises(Conflict, match="container web-1 uses it"):
        store.remove_image(roots, "registry.example:5000/team/two:v2", in_use=lambda _digest: ["web-1"])
    lines = store.remove_image(roots, "registry.example:5000/team/two:v2", in_use=lambda _digest: [])
    assert lines[0] == "Untagged: registry.example:5000/team/two:v2"
    assert lines[1:] == [f"Deleted: {image.digest}", f"Deleted: {image.layers[0]}"]
    assert files_below(store.store_dir(roots)) == ["lock"]
    with pytest.raises(NotFound):
        store.remove_image(roots, "one")


def test_forced_removal_keeps_the_layers_of_containers(roots: Roots, tarball: Callable[..., str]) -> None:
    image = store.import_rootfs(roots, tarball(member("a", data=b"1")), "one")
    assert store.remove_image(roots, "one", True, lambda _digest: ["web-1"]) == ["Untagged: one:latest"]
    assert os.path.exists(store.rootfs_of(roots, image).layers[0] + "/a")
    assert store.remove_image(roots, image.digest, False, lambda _digest: [])[0] == f"Deleted: {image.digest}"


def test_a_shared_layer_stays_for_the_other_image(roots: Roots, tarball: Callable[..., str]) -> None:
    path = tarball(member("a", data=b"1"))
    store.import_rootfs(roots, path, "one")
    two = store.import_rootfs(roots, path, "two", ["CMD b"])
    store.remove_image(roots, "one")
    assert os.path.exists(store.rootfs_of(roots, two).layers[0] + "/a")


def test_what_a_killed_import_leaves_is_swept(roots: Roots, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom runtime.paths import Roots\nfrom runtime.images import store\n"
        "store.import_rootfs(Roots(*sys.argv[1:]), '-', 'x')"
    )
    child = subprocess.Popen([sys.executable, "-c", code, roots.state, roots.run], stdin=subprocess.PIPE)
    assert child.stdin
    child.stdin.write(make_tar(member("big", data=bytes(3 << 20)))[: 2 << 20])
    child.stdin.flush()
    staging = Path(store.store_dir(roots), "staging")
    deadline = time.monotonic() + 10
    while not list(staging.glob("*/*/diff/big")) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert list(staging.glob("*/*/diff/big"))
    ingest.sweep(roots)
    assert list(staging.glob("*/*/diff/big")), "the sweep must leave a living import alone"
    child.kill()
    child.wait()
    child.stdin.close()
    store.import_rootfs(roots, io.BytesIO(make_tar(member("a"))), "y")
    assert os.listdir(staging) == []
    assert os.listdir(Path(store.store_dir(roots), "trash")) == []


@pytest.mark.parametrize("step", range(14))
def test_killed_at_any_write_it_converges(roots: Roots, step: int) -> None:
    """Die at the n-th call that changes the store's names; the next import must succeed and leave nothing else."""
    tar = make_tar(member("d", b"5", mode=0o755), member("d/a", data=b"1"))
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

        os.rename, os.fsync, os.mkdir = dying(os.rename), dying(os.fsync), dying(os.mkdir)  # type: ignore[assignment]
        try:
            store.import_rootfs(roots, io.BytesIO(tar), "x")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    image = store.import_rootfs(roots, io.BytesIO(tar), "x")
    assert Path(store.rootfs_of(roots, image).layers[0], "d/a").read_bytes() == b"1"
    assert store.resolve(roots, "x") == image
    for left_over in store.list_images(roots):
        store.remove_image(roots, left_over.reference or left_over.digest)
    rest = [name for name in files_below(store.store_dir(roots)) if not name.endswith(".tmp")]
    assert rest == ["lock"]


def test_a_full_disk_is_one_clear_error(roots: Roots, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=True)
    try:
        small = Roots(str(disk / "state"), roots.run)
        with pytest.raises(RuntimeFault, match="the disk is full") as caught:
            store.import_rootfs(small, io.BytesIO(make_tar(member("big", data=bytes(2 << 20)))), "big")
        assert "PYCOMPOSE_STATE_DIR" in caught.value.hint
        assert files_below(str(disk)) == ["state/images/lock"]
        store.import_rootfs(small, io.BytesIO(make_tar(member("small", data=b"1"))), "small")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_unwritable_state_directory(roots: Roots, tmp_path: Path, tarball: Callable[..., str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeFault, match="cannot make the image store"):
        store.import_rootfs(Roots(str(tmp_path / "file/state"), roots.run), tarball(member("a")), "x")


def test_unreadable_input(roots: Roots, tmp_path: Path) -> None:
    with pytest.raises(RuntimeFault, match=r"cannot read .*No such file"):
        store.import_rootfs(roots, str(tmp_path / "none.tar"), "x")
    (tmp_path / "text").write_text("hello " * 200)
    with pytest.raises(BadArchive):
        store.import_rootfs(roots, str(tmp_path / "text"), "x")
    packed = gzip.compress(make_tar(member("a", data=os.urandom(9000))))
    with pytest.raises(BadArchive, match="ends in the middle"):
        store.import_rootfs(roots, io.BytesIO(packed[:5000]), "x")
    damaged = bytearray(packed)
    damaged[4000] ^= 255
    with pytest.raises(BadArchive):
        store.import_rootfs(roots, io.BytesIO(bytes(damaged)), "x")
    assert store.list_images(roots) == []


def test_unknown_changes(roots: Roots, tarball: Callable[..., str]) -> None:
    for change in ("FROM x", "CMD", "ENV ", "EXPOSE abc", 'CMD ["a", 1]', "HEALTHCHECK --bogus=1 CMD x"):
        with pytest.raises(RuntimeFault, match="cannot apply change"):
            store.import_rootfs(roots, tarball(member("a")), "x", [change])


def test_every_change(roots: Roots, tarball: Callable[..., str]) -> None:
    changes = [
        "ENTRYPOINT [\"/bin/app\"]", "EXPOSE 80 53/udp", "LABEL a=b", "STOPSIGNAL SIGINT", "VOLUME /data /logs",
        "WORKDIR /srv", "WORKDIR app", "SHELL [\"/bin/bash\", \"-c\"]", "ENV OLD the rest",
        "HEALTHCHECK --interval=1m30s --retries=2 CMD curl localhost",
    ]  # fmt: skip
    config = store.import_rootfs(roots, tarball(member("a")), "x", changes).config
    assert config == {
        "Entrypoint": ["/bin/app"],
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Labels": {"a": "b"},
        "StopSignal": "SIGINT",
        "Volumes": {"/data": {}, "/logs": {}},
        "WorkingDir": "/srv/app",
        "Shell": ["/bin/bash", "-c"],
        "Env": ["OLD=the rest"],
        "Healthcheck": {"Test": ["CMD-SHELL", "curl localhost"], "Interval": 90 * 10**9, "Retries": 2},
    }


def test_two_imports_at_once(roots: Roots) -> None:
    tar = make_tar(*(member(f"f{number}", data=b"x" * 1000) for number in range(200)))
    pids = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                store.import_rootfs(roots, io.BytesIO(tar), "x")
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
    assert len(os.listdir(f"{store.store_dir(roots)}/layers")) == 1
    assert os.listdir(f"{store.store_dir(roots)}/staging") == []
    assert len(os.listdir(Path(store.rootfs_of(roots, store.resolve(roots, "x")).layers[0]))) == 200


def test_the_hot_path_is_light_and_quick(roots: Roots, tarball: Callable[..., str]) -> None:
    store.import_rootfs(roots, tarball(member("a")), "busybox")
    code = """
import sys, json, os, re
sys.path.append(sys.argv[1])
from runtime.paths import Roots
before = set(sys.modules)
from runtime.images import store
import runtime.volumes
roots = Roots(sys.argv[2], sys.argv[3])
image = store.resolve(roots, "busybox")
store.rootfs_of(roots, image)
new = sorted(name for name in set(sys.modules) - before if not name.startswith("runtime"))
import time
best = 1.0
for _ in range(50):
    start = time.perf_counter()
    store.rootfs_of(roots, store.resolve(roots, "busybox"))
    best = min(best, time.perf_counter() - start)
print(json.dumps([new, best]))
"""
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-I", "-S", "-c", code, root, roots.state, roots.run]
    new, best = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    assert set(new) <= {"errno", "fcntl", "time"}, new
    assert best < 0.0002


def test_errors_of_the_disk_keep_their_reason(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(ingest, "syncfs", broken)
    with pytest.raises(RuntimeFault, match="cannot import image 'x:latest': Input/output error"):
        store.import_rootfs(roots, io.BytesIO(make_tar(member("a"))), "x")
    assert store.list_images(roots) == []


def test_a_file_that_is_no_archive_is_named(roots: Roots, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, not an archive\n" * 100)
    for call in (lambda: store.import_rootfs(roots, str(path), "x"), lambda: store.load_archive(roots, str(path))):
        with pytest.raises(BadArchive) as caught:
            call()
        assert caught.value.message == f"cannot unpack '{path}': it is no tar archive"
    with pytest.raises(BadArchive, match="cannot unpack 'standard input': it is no tar archive"):
        store.import_rootfs(roots, io.BytesIO(path.read_bytes()), "x")


def test_damaged_files_are_named(roots: Roots, tarball: Callable[..., str]) -> None:
    store.import_rootfs(roots, tarball(member("a")), "x")
    path = store.reference_path(roots, "docker.io/library/x:latest")
    for text in ("", "[]", "{}", '{"version": 1, "layers": []}'):
        Path(path).write_text(text)
        with pytest.raises(RuntimeFault, match="it is damaged"):
            store.resolve(roots, "x")
    Path(path).write_text('{"version":2,"reference":"x","digest":"d","layers":[],"snapshots":[],"binds":[]}')
    with pytest.raises(RuntimeFault, match="another version"):
        store.resolve(roots, "x")


def test_very_long_names(roots: Roots, tarball: Callable[..., str]) -> None:
    long = "registry.example/" + "p" * 230 + ":" + "t" * 128
    image = store.import_rootfs(roots, tarball(member("a")), long)
    assert image.reference == long
    assert store.resolve(roots, long) == image
    with pytest.raises(NotFound):
        store.resolve(roots, long[:-1])
    store.remove_image(roots, long)
    assert files_below(store.store_dir(roots)) == ["lock"]


def test_warnings_are_kept(roots: Roots, tarball: Callable[..., str]) -> None:
    image = store.import_rootfs(roots, tarball(member("a"), member("z", b"3")), "x")
    assert store.warnings_of(roots, image) == ["left out 'z': a 0:0 device would hide files of other layers"]


@pytest.mark.parametrize("form", [form for form in PACKERS if form != "none"])
@pytest.mark.parametrize("damage", ["cut", "flip", "junk"])
def test_damage_in_every_compression(roots: Roots, form: str, damage: str) -> None:
    packed = bytearray(PACKERS[form](make_tar(member("a", data=os.urandom(200_000)))))
    if damage == "cut":
        del packed[len(packed) // 2 :]
    elif damage == "flip":
        packed[len(packed) // 2] ^= 0x55
    else:
        packed += b"junk after the end of the stream"
    with pytest.raises(BadArchive, match="cannot unpack"):
        store.import_rootfs(roots, io.BytesIO(bytes(packed)), "c")
    assert store.list_images(roots) == []


def test_a_python_without_xz(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = lzma.compress(make_tar(member("a")))
    monkeypatch.setitem(sys.modules, "lzma", None)
    with pytest.raises(RuntimeFault, match="this Python was built without"):
        store.import_rootfs(roots, io.BytesIO(packed), "c")
    store.import_rootfs(roots, io.BytesIO(gzip.compress(make_tar(member("a")))), "c")


def test_without_any_zstd(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zstd(make_tar(member("a")))
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setitem(sys.modules, "backports", None)
    monkeypatch.setitem(sys.modules, "compression", None)
    with pytest.raises(RuntimeFault, match="it is compressed with zstd") as caught:
        store.import_rootfs(roots, io.BytesIO(packed), "c")
    assert "gzip" in caught.value.hint
