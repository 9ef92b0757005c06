"""Loading: docker save archives of every age, OCI layouts, and what is wrong with hostile ones."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import BadArchive, NotFound
from runtime.images import builtin, store
from runtime.paths import Roots
from tests.runtime.images.conftest import Body, make_tar, member

pytestmark = pytest.mark.root

OCI = "application/vnd.oci.image"


def digest(data: bytes) -> str:
    return f"sha256:{sha256(data).hexdigest()}"


def config_of(*layers: bytes, **changes: Any) -> bytes:
    plain = {
        "architecture": builtin.architecture(),
        "os": "linux",
        "created": "2024-01-02T03:04:05Z",
        "config": {"Cmd": ["sh"], "Env": None},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        **changes,
    }
    return json.dumps(plain).encode()


LAYERS = (make_tar(member("a", data=b"1"), member("b", data=b"1")), make_tar(member(".wh.a"), member("c", data=b"3")))


def old_form(tags: list[str] | None, layers: tuple[bytes, ...] = LAYERS, config: bytes = b"") -> list[Body]:
    config = config or config_of(*layers)
    name = f"{digest(config)[7:]}.json"
    paths = [f"{number}{'0' * 63}/layer.tar" for number in range(len(layers))]
    listing = [{"Config": name, "RepoTags": tags, "Layers": paths}]
    return [
        *(member(path, data=layer) for path, layer in zip(paths, layers)),
        member(name, data=config),
        member("manifest.json", data=json.dumps(listing).encode()),
        member("repositories", data=b"{}"),
    ]


def layout(*names: str, layers: tuple[bytes, ...] = LAYERS, packed: bool = True, **changes: Any) -> dict[str, bytes]:
    """An OCI layout as file name to content."""
    blobs = [gzip.compress(layer) if packed else layer for layer in layers]
    config = config_of(*layers)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": {"mediaType": f"{OCI}.config.v1+json", "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": f"{OCI}.layer.v1.tar+gzip", "digest": digest(b), "size": len(b)} for b in blobs],
            **changes,
        }
    ).encode()
    row = {"mediaType": f"{OCI}.manifest.v1+json", "digest": digest(manifest), "size": len(manifest)}
    rows = [{**row, "annotations": {"org.opencontainers.image.ref.name": name}} for name in names] or [row]
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps({"manifests": rows}).encode()}
    for blob in (config, manifest, *blobs):
        files[f"blobs/{digest(blob).replace(':', '/')}"] = blob
    return files


def as_tar(files: dict[str, bytes]) -> bytes:
    return make_tar(*(member(name, data=data) for name, data in files.items()))


def as_directory(files: dict[str, bytes], path: Path) -> str:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return str(path)


def load(roots: Roots, tmp_path: Path, data: bytes) -> list[store.Image]:
    path = tmp_path / "archive"
    path.write_bytes(data)
    return store.load_archive(roots, str(path))


def check(roots: Roots, image: store.Image) -> None:
    rootfs = store.rootfs_of(roots, image)
    assert len(rootfs.layers) == 2
    assert sorted(os.listdir(rootfs.layers[0])) == ["a", "c"], "the top layer comes first and hides a"
    assert sorted(os.listdir(rootfs.layers[1])) == ["a", "b"]
    assert image.layers == tuple(digest(layer) for layer in LAYERS)
    assert image.config == {"Cmd": ["sh"], "Env": None}
    assert image.created == "2024-01-02T03:04:05Z"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_the_old_form(roots: Roots, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    images = load(roots, tmp_path, pack(make_tar(*old_form(["app:1", "registry.example/app:2"]))))
    assert [image.reference for image in images] == ["app:1", "registry.example/app:2"]
    assert images[0].digest == digest(config_of(*LAYERS))
    check(roots, store.resolve(roots, "app:1"))
    assert os.listdir(f"{store.store_dir(roots)}/staging") == []


def test_layers_that_are_links_in_the_archive(roots: Roots, tmp_path: Path) -> None:
    """skopeo's docker-archive: the layer's path is a symlink to a member at the top."""
    config = config_of(*LAYERS)
    members = [member(f"{digest(layer)[7:]}.tar", data=layer) for layer in LAYERS]
    members += [
        member(f"v{n}/layer.tar", b"2", link=f"../{digest(layer)[7:]}.tar".encode()) for n, layer in enumerate(LAYERS)
    ]
    listing = [{"Config": "c.json", "RepoTags": ["x"], "Layers": ["v0/layer.tar", "v1/layer.tar"]}]
    members += [member("c.json", data=config), member("manifest.json", data=json.dumps(listing).encode())]
    check(roots, load(roots, tmp_path, make_tar(*members))[0])


@pytest.mark.parametrize("packed", [True, False])
def test_an_oci_layout(roots: Roots, tmp_path: Path, packed: bool) -> None:
    files = layout("app:3", packed=packed)
    check(roots, load(roots, tmp_path, as_tar(files))[0])
    manifest = json.loads(files["index.json"])["manifests"][0]["digest"]
    assert store.resolve(roots, f"app@{manifest}").layers == store.resolve(roots, "app:3").layers
    assert [image.reference for image in store.list_images(roots)] == ["app:3"]
    store.remove_image(roots, "app:3")
    with pytest.raises(NotFound):
        store.resolve(roots, f"app@{manifest}")
    assert os.listdir(f"{store.store_dir(roots)}/layers") == []


def test_an_oci_layout_directory(roots: Roots, tmp_path: Path) -> None:
    images = store.load_archive(roots, as_directory(layout("app:3", "app:4"), tmp_path / "layout"))
    assert [image.reference for image in images] == ["app:3", "app:4"]
    check(roots, images[0])


def test_the_new_form_of_docker_save(roots: Roots, tmp_path: Path) -> None:
    """Docker 25 and later: an OCI layout with a manifest.json that names its blobs."""
    files = layout("latest", packed=False)
    config = f"blobs/{digest(config_of(*LAYERS)).replace(':', '/')}"
    paths = [f"blobs/{digest(layer).replace(':', '/')}" for layer in LAYERS]
    files["manifest.json"] = json.dumps([{"Config": config, "RepoTags": ["app:5"], "Layers": paths}]).encode()
    images = load(roots, tmp_path, as_tar(files))
    assert [image.reference for image in images] == ["app:5"]
    check(roots, images[0])


def test_from_a_pipe_and_without_a_name(roots: Roots) -> None:
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(reader)
        with open(writer, "wb") as file:
            file.write(make_tar(*old_form(None)))
        os._exit(0)
    os.close(writer)
    images = store.load_archive(roots, reader)
    os.close(reader)
    os.waitpid(pid, 0)
    assert [image.reference for image in images] == [""]
    assert store.resolve(roots, images[0].digest[:20]).digest == images[0].digest


def test_the_platform_of_this_machine_is_chosen(roots: Roots, tmp_path: Path) -> None:
    files = layout()
    ours = json.loads(files["index.json"])["manifests"][0]
    other = {"mediaType": f"{OCI}.manifest.v1+json", "digest": f"sha256:{'0' * 64}", "size": 3}
    rows = [
        {**other, "platform": {"os": "linux", "architecture": "s390x"}},
        {**other, "mediaType": "application/vnd.unknown"},
        {**other, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
        {**ours, "platform": {"os": "linux", "architecture": builtin.architecture()}},
    ]
    inner = json.dumps({"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": rows}).encode()
    files[f"blobs/{digest(inner).replace(':', '/')}"] = inner
    row = {"mediaType": f"{OCI}.index.v1+json", "digest": digest(inner), "size": len(inner)}
    row["annotations"] = {"io.containerd.image.name": "docker.io/library/multi:1"}
    files["index.json"] = json.dumps({"manifests": [row]}).encode()
    images = load(roots, tmp_path, as_tar(files))
    assert [image.reference for image in images] == ["multi:1"]
    check(roots, images[0])


def nothing_left(roots: Roots) -> None:
    for directory in ("layers", "refs", "ids", "configs", "staging", "trash"):
        assert os.listdir(f"{store.store_dir(roots)}/{directory}") == [], directory


@pytest.mark.parametrize("what", ["layer", "blob", "config", "size"])
def test_damaged_content(roots: Roots, tmp_path: Path, what: str) -> None:
    if what == "layer":
        data = make_tar(*old_form(["x"], (LAYERS[0], LAYERS[0]), config_of(*LAYERS)))
    else:
        files = layout("x")
        name = max(
            files, key=lambda key: len(files[key]) if key.startswith("blobs") and files[key][:2] == b"\x1f\x8b" else 0
        )
        if what == "config":
            name = f"blobs/{digest(config_of(*LAYERS)).replace(':', '/')}"
        content = files[name]
        files[name] = content + b" " if what == "size" else content[:9] + bytes([content[9] ^ 1]) + content[10:]
        data = as_tar(files)
    with pytest.raises(BadArchive):
        load(roots, tmp_path, data)
    nothing_left(roots)


@pytest.mark.parametrize(
    "change",
    [
        {"rootfs": {"type": "layers", "diff_ids": ["sha256:../../../x", "sha256:../../../y"]}},
        {"rootfs": {"type": "layers", "diff_ids": []}},
        {"rootfs": {"type": "other", "diff_ids": []}},
        {"rootfs": None},
        {"config": ["a"]},
        {"config": {"Env": 5}},
        {"config": {"Cmd": "sh"}},
        {"config": {"Env": ["A=\0"]}},
        {"config": {"Volumes": ["/data"]}},
        {"config": {"Labels": {"a": 1}}},
        {"config": {"Healthcheck": {"Test": ["CMD", "x"], "Interval": -1}}},
        {"created": 7},
    ],
)
def test_hostile_configurations(roots: Roots, tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(BadArchive, match="cannot load "):
        load(roots, tmp_path, make_tar(*old_form(["x"], LAYERS, config_of(*LAYERS, **change))))
    nothing_left(roots)


@pytest.mark.parametrize("field", ["Config", "Layers"])
def test_names_are_no_paths(roots: Roots, tmp_path: Path, canary: str, field: str) -> None:
    config = config_of(LAYERS[0])
    item: dict[str, Any] = {"Config": "c.json", "RepoTags": ["x"], "Layers": ["l.tar"]}
    outside = "../" * 20 + canary + "/victim"
    item[field] = outside if field == "Config" else [outside]
    files = {"c.json": config, "l.tar": LAYERS[0], "manifest.json": json.dumps([item]).encode()}
    with pytest.raises(BadArchive, match="is missing in it"):
        load(roots, tmp_path, as_tar(files))
    with pytest.raises(BadArchive, match="is missing in it"):
        store.load_archive(roots, as_directory(files, tmp_path / "directory"))
    nothing_left(roots)


def test_links_of_a_directory_do_not_lead_out(roots: Roots, tmp_path: Path, canary: str) -> None:
    path = as_directory({"x": b""}, tmp_path / "directory")
    os.symlink(f"{canary}/victim", f"{path}/manifest.json")
    with pytest.raises(Exception, match="cannot load") as caught:
        store.load_archive(roots, path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"manifest.json": b"{}"},
        {"manifest.json": b"[1]"},
        {"manifest.json": b"[" * 100_000},
        {"manifest.json": b'[{"Config": 1}]'},
        {"manifest.json": b'[{"Config": "a", "Layers": [1]}]'},
        {"index.json": b'{"manifests": 3}'},
        {"index.json": b'{"manifests": [], "layers": []}'},
        {"index.json": b'{"manifests": []}'},
        {"index.json": json.dumps({"manifests": [{"mediaType": f"{OCI}.manifest.v1+json", "digest": "sha256:../x", "size": 1}]}).encode()},
    ],
)  # fmt: skip
def test_malformed_archives(roots: Roots, tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(BadArchive, match="cannot load "):
        load(roots, tmp_path, as_tar(files))


def test_one_document_may_not_be_two_types(roots: Roots, tmp_path: Path) -> None:
    for changes in ({"manifests": []}, {"mediaType": f"{OCI}.index.v1+json"}):
        with pytest.raises(BadArchive, match="not of the type"):
            load(roots, tmp_path, as_tar(layout("x", **changes)))


def test_nested_indexes_end(roots: Roots, tmp_path: Path) -> None:
    files = layout("x")
    row = json.loads(files["index.json"])["manifests"][0]
    for _level in range(8):
        inner = json.dumps({"manifests": [row]}).encode()
        files[f"blobs/{digest(inner).replace(':', '/')}"] = inner
        row = {"mediaType": f"{OCI}.index.v1+json", "digest": digest(inner), "size": len(inner)}
    files["index.json"] = json.dumps({"manifests": [row]}).encode()
    with pytest.raises(BadArchive, match="nested too deep"):
        load(roots, tmp_path, as_tar(files))


def test_a_root_file_system_is_not_an_image_archive(roots: Roots) -> None:
    with pytest.raises(BadArchive, match="has neither manifest") as caught:
        _load_bytes(roots, make_tar(member("etc/passwd")))
    assert "pycompose import" in caught.value.hint


def _load_bytes(roots: Roots, data: bytes) -> list[store.Image]:
    from runtime.images.archive import load_archive

    return load_archive(roots, io.BytesIO(data))  # type: ignore[arg-type]


def test_the_built_in_name_is_not_for_loading(roots: Roots, tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="built-in"):
        load(roots, tmp_path, make_tar(*old_form(["host:latest"])))
