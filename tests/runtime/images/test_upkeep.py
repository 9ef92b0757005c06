"""Verifying, pruning, saving and the history of images."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import RuntimeFault
from runtime.images import replaced, store, tape
from runtime.images.layer_tar import layer_chunks
from runtime.images.save import save, save_to
from runtime.images.tar import CHAR, DIRECTORY, HARDLINK, SYMLINK
from runtime.images.upkeep import all_images, history, layer_sizes, prune, usage, verify
from runtime.paths import Roots
from tests.runtime.images.conftest import Body, member

pytestmark = pytest.mark.root
Tarball = Callable[..., str]
ODD: tuple[Body, ...] = (
    member("d", DIRECTORY, mtime_ns=1_500_000_000_123_456_789),
    member("d/file", data=b"content" * 100_000, xattrs={"user.a": b"b"}),
    member("d/link", SYMLINK, link=b"file"),
    member("d/hard", HARDLINK, link=b"d/file"),
    member("d/null", CHAR, major=1, minor=3),
    member("n" * 200, data=b""),
    member(b"\xff\n", data=b"1"),
)


def test_a_layer_is_its_tar_again(roots: Roots, tarball: Tarball) -> None:
    path = tarball(*ODD)
    image = store.import_rootfs(roots, path, "odd:1")
    assert b"".join(layer_chunks(roots, image.snapshots[0])) == Path(path).read_bytes()
    assert tape.length(f"{store.store_dir(roots)}/{image.snapshots[0]}") == os.path.getsize(path)


@pytest.mark.parametrize("dialect", ["gnu", "posix", "v7", "sparse"])
def test_tars_of_gnu_tar_too(roots: Roots, tmp_path: Path, dialect: str) -> None:
    (tmp_path / "d").mkdir()
    with open(tmp_path / "d/holes", "wb") as file:
        file.write(b"a" * 5000)
        file.truncate(1 << 20)
        file.seek(700_000)
        file.write(b"b" * 5000)
    flags = ["--format=gnu", "--sparse"] if dialect == "sparse" else [f"--format={dialect}"]
    subprocess.run(["tar", "-C", str(tmp_path), *flags, "-cf", str(tmp_path / "x.tar"), "d"], check=True)
    image = store.import_rootfs(roots, str(tmp_path / "x.tar"), "x:1")
    assert b"".join(layer_chunks(roots, image.snapshots[0])) == (tmp_path / "x.tar").read_bytes()


TWICE: tuple[Body, ...] = (
    member("a", data=b"first"),
    member("h", HARDLINK, link=b"a"),
    member("d", DIRECTORY),
    member("d/f", data=b"deep" * 1000),
    member("d/f", data=b"deeper"),
    member("a", data=b"second"),
    member("d", data=b"a file now"),
    member("d", DIRECTORY),
    member("d/f", data=b"again"),
    member("a", data=b""),
    member("a", data=b"third"),
)


def test_a_layer_with_names_twice_is_its_tar_again(roots: Roots, tarball: Tarball, tmp_path: Path) -> None:
    path = tarball(*TWICE)
    image = store.import_rootfs(roots, path, "twice:1")
    place = Path(store.store_dir(roots), image.snapshots[0])
    assert b"".join(layer_chunks(roots, image.snapshots[0])) == Path(path).read_bytes()
    assert [(place / "diff" / name).read_bytes() for name in ("a", "h", "d/f")] == [b"third", b"first", b"again"]
    assert sorted(os.listdir(place / "replaced")) == ["0", "1", "2", "3", "4"]
    assert verify(roots, all_images(roots)) == []
    assert usage(roots, set()).size == sum(len(data) for _entry, data in TWICE)
    save_to(roots, ["twice:1"], str(tmp_path / "out.tar"))
    assert store.load_archive(Roots(str(tmp_path / "other"), str(tmp_path)), str(tmp_path / "out.tar"))
    (place / "replaced/1").write_bytes(b"x" * 4000)
    assert len(verify(roots, all_images(roots))) == 1
    os.unlink(place / "tar.replaced")
    assert "tar.replaced: it is missing" in verify(roots, all_images(roots))[0].text
    store.remove_image(roots, "twice:1")
    assert layer_sizes(roots) == {}
    assert not place.exists()


def test_too_much_that_was_replaced_is_not_kept(
    roots: Roots, tarball: Tarball, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaced, "_MOST", 24)
    image = store.import_rootfs(roots, tarball(*TWICE), "twice:1")
    place = Path(store.store_dir(roots), image.snapshots[0])
    assert sorted(os.listdir(place)) == ["diff", "meta.json"]
    with pytest.raises(RuntimeFault, match=r"cannot make layer .* an archive again"):
        list(layer_chunks(roots, image.snapshots[0]))


@pytest.mark.parametrize("damage", ["content", "cut", "gone", "tape", "config"])
def test_verify_finds_damage(roots: Roots, tarball: Tarball, damage: str) -> None:
    image = store.import_rootfs(roots, tarball(*ODD), "odd:1")
    assert verify(roots, all_images(roots)) == []
    base = store.store_dir(roots)
    place = f"{base}/{image.snapshots[0]}"
    if damage == "content":
        with open(f"{place}/diff/d/file", "r+b") as file:
            file.write(b"X")
    elif damage == "cut":
        os.truncate(f"{place}/diff/d/file", 10)
    elif damage == "gone":
        shutil.rmtree(f"{place}/diff")
    elif damage == "tape":
        os.truncate(f"{place}/{tape.NAME}", 60)
    else:
        Path(f"{base}/configs/{image.digest[7:]}.json").write_bytes(b"{}")
    problems = verify(roots, all_images(roots))
    assert [problem.name for problem in problems] == ["odd:1"]


def test_prune(roots: Roots, tarball: Tarball) -> None:
    first = store.import_rootfs(roots, tarball(member("a", data=b"1" * 1000)), "app:1")
    second = store.import_rootfs(roots, tarball(member("a", data=b"2" * 2000)), "app:1")
    assert usage(roots, {second.digest}).free == 1000
    done = prune(roots)
    assert f"Deleted: {first.digest}" in done.lines
    assert done.size == 1000
    assert [image.digest for image in all_images(roots)] == [second.digest]
    assert prune(roots, True, lambda digest: ["web"]).lines == ()
    assert prune(roots, True, keeps=lambda image: True).lines == ()
    assert prune(roots, True).size == 2000
    assert layer_sizes(roots) == {}
    for name in ("refs", "ids", "configs", "trash", "staging"):
        assert os.listdir(f"{store.store_dir(roots)}/{name}") == []


def test_what_is_saved_is_loaded(roots: Roots, tarball: Tarball, tmp_path: Path) -> None:
    image = store.import_rootfs(roots, tarball(*ODD), "odd:1", ["CMD sh"])
    store.tag(roots, "odd:1", "ghcr.io/a/b:2")
    save_to(roots, ["odd:1", "ghcr.io/a/b:2"], str(tmp_path / "out.tar"))
    other = Roots(str(tmp_path / "other"), str(tmp_path / "run"))
    loaded = store.load_archive(other, str(tmp_path / "out.tar"))
    assert sorted(one.reference for one in loaded) == ["ghcr.io/a/b:2", "odd:1"]
    assert {one.digest for one in loaded} == {image.digest}
    assert verify(other, all_images(other)) == []


def test_the_archive_is_docker_s_and_an_oci_layout(roots: Roots, tarball: Tarball) -> None:
    store.import_rootfs(roots, tarball(member("a", data=b"1")), "odd:1")
    out = io.BytesIO()
    save(roots, ["odd:1"], out)
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        rows = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
        assert rows[0]["RepoTags"] == ["odd:1"]
        assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "docker.io/library/odd:1"
        assert all(name in archive.getnames() for name in (rows[0]["Config"], *rows[0]["Layers"], "oci-layout"))


@pytest.mark.skipif(not shutil.which("skopeo"), reason="needs skopeo: make registries")
def test_skopeo_reads_both_forms(roots: Roots, tarball: Tarball, tmp_path: Path) -> None:
    image = store.import_rootfs(roots, tarball(*ODD), "odd:1")
    save_to(roots, ["odd:1"], str(tmp_path / "out.tar"))
    for source in (f"docker-archive:{tmp_path}/out.tar", f"oci-archive:{tmp_path}/out.tar"):
        words = ["skopeo", "inspect", "--config", "--raw", source]
        config = subprocess.run(words, capture_output=True, check=True).stdout
        assert json.loads(config)["rootfs"]["diff_ids"] == list(image.layers)


def test_what_cannot_be_saved(roots: Roots, tmp_path: Path) -> None:
    with pytest.raises(RuntimeFault, match="cannot save host:latest: it is built on `host`"):
        save_to(roots, ["host"], str(tmp_path / "out.tar"))
    assert not any(path.name.startswith("out.tar") for path in tmp_path.iterdir())


def test_history_has_the_latest_first(roots: Roots, tarball: Tarball) -> None:
    image = store.import_rootfs(roots, tarball(member("a", data=b"12345")), "odd:1")
    rows = history(roots, image)
    assert [(row["ID"], row["Size"]) for row in rows] == [(image.digest, 5)]
