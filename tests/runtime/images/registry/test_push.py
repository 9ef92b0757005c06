"""Pushes: what arrives, what is not sent, and registries that refuse."""

from __future__ import annotations

import gzip
import json
import os
from typing import Any

import pytest

from runtime.errors import BadArchive, NotFound, RuntimeFault
from runtime.images import store
from runtime.images.registry.errors import RegistryFault
from runtime.images.registry.pull import pull
from runtime.images.registry.push import push
from runtime.images.tar import DIRECTORY
from runtime.paths import Roots
from tests.runtime.images.conftest import make_tar, member
from tests.runtime.images.registry.fake import Handler, Registry, digest_of

pytestmark = pytest.mark.root

TAR = make_tar(member("bin", DIRECTORY), member("bin/tool", data=b"tool" * 40_000))


@pytest.fixture
def image(roots: Roots, tmp_path: Any) -> store.Image:
    (tmp_path / "root.tar").write_bytes(TAR)
    return store.import_rootfs(roots, str(tmp_path / "root.tar"), "local:1", ["CMD sh"])


def send(roots: Roots, server: Registry, name: str = "x/y:1", compression: str = "gzip", **settings: Any) -> str:
    store.tag(roots, "local:1", f"{server.host}/{name}")
    return push(roots, f"{server.host}/{name}", compression, settings=server.settings(**settings))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_what_arrives_is_the_image(
    roots: Roots, server: Registry, image: store.Image, tmp_path: Any, compression: str
) -> None:
    digest = send(roots, server, compression=compression)
    manifest = json.loads(server.manifests[digest][1])
    assert manifest["config"]["digest"] == image.digest
    assert [row["mediaType"].rpartition("+")[2] for row in manifest["layers"]] == [compression]
    other = Roots(str(tmp_path / "other"), str(tmp_path / "run"))
    assert pull(other, f"{server.host}/x/y:1", settings=server.settings()).image.digest == image.digest
    assert not server.uploads


def test_the_same_bytes_each_time(roots: Roots, server: Registry, image: store.Image) -> None:
    first = send(roots, server)
    server.blobs.clear()
    assert send(roots, server) == first
    blob = next(data for data in server.blobs.values() if data[:2] == b"\x1f\x8b")
    assert gzip.decompress(blob) == TAR
    assert blob[4:8] == bytes(4)  # no time in its header


def test_nothing_is_sent_twice(roots: Roots, server: Registry, image: store.Image) -> None:
    send(roots, server)
    server.seen.clear()
    send(roots, server, "x/y:2")
    assert not server.paths("POST", "uploads")
    assert not server.paths("PATCH", "uploads")


def test_layers_are_mounted_from_another_repository(roots: Roots, server: Registry, image: store.Image) -> None:
    send(roots, server)

    def elsewhere(handler: Handler) -> bool:
        return handler.command == "HEAD" and "/v2/new/" in handler.path and handler.fail(404) is None

    server.before = elsewhere
    server.seen.clear()
    send(roots, server, "new/one:1")
    assert "from=x/y" in server.paths("POST", "mount=")[0]
    assert not server.paths("PATCH", "uploads")


def test_a_pulled_image_keeps_its_blobs(roots: Roots, server: Registry) -> None:
    server.add_image(TAR)
    pull(roots, f"{server.host}/x/y:1", settings=server.settings())
    store.tag(roots, f"{server.host}/x/y:1", f"{server.host}/x/y:2")
    push(roots, f"{server.host}/x/y:2", settings=server.settings())
    first, second = (json.loads(server.manifests[tag][1])["layers"][0]["digest"] for tag in ("1", "2"))
    assert first == second


def test_a_registry_that_wants_lengths(roots: Roots, server: Registry, image: store.Image) -> None:
    server.streams = False
    digest = send(roots, server)
    assert digest in server.manifests
    assert any(headers.get("Content-Range", "").startswith("0-") for _method, _path, headers in server.seen)
    assert not server.uploads


def test_a_push_that_breaks_off_begins_anew(roots: Roots, server: Registry, image: store.Image) -> None:
    failed: list[int] = []

    def refuse(handler: Handler) -> bool:
        if handler.command == "PATCH" and not failed:
            failed.append(1)
            handler.close_connection = True
            return True
        return False

    server.before = refuse
    assert send(roots, server) in server.manifests


@pytest.mark.parametrize("status", [401, 403, 500])
def test_refusals_are_told(roots: Roots, server: Registry, image: store.Image, status: int) -> None:
    server.before = lambda handler: handler.command == "POST" and handler.fail(status, "DENIED", "No way") is None
    with pytest.raises(RegistryFault, match=r"cannot push .*: no way"):
        send(roots, server, attempts=2)
    assert not server.manifests


def test_changed_files_are_not_sent(roots: Roots, server: Registry, image: store.Image) -> None:
    path = f"{roots.state}/images/{image.snapshots[0]}/diff/bin/tool"
    with open(path, "r+b") as file:
        file.write(b"EVIL")
    with pytest.raises(BadArchive, match="its files were changed"):
        send(roots, server)
    assert not server.manifests
    assert not any(data[:2] == b"\x1f\x8b" for data in server.blobs.values())


def test_what_cannot_be_pushed(roots: Roots, server: Registry, image: store.Image) -> None:
    with pytest.raises(NotFound, match="not in the store"):
        push(roots, f"{server.host}/nothing:1", settings=server.settings())
    for name in ("host", image.digest, f"x@{digest_of(b'')}"):
        with pytest.raises(RuntimeFault, match="cannot"):
            push(roots, name, settings=server.settings())
    assert os.listdir(f"{roots.state}/images/staging") == []
