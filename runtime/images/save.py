"""``save``: images as one archive that docker (old and new), podman, skopeo and we ourselves can load.

An OCI layout with Docker's ``manifest.json`` beside it; layers uncompressed, so that each blob's digest is its diff id.
"""

from __future__ import annotations

import json
import os

from runtime.errors import RuntimeFault
from runtime.images import tape
from runtime.images.layer_tar import BUILT, checked_chunks, layer_chunks, portable_layers
from runtime.images.reference import parse
from runtime.images.registry.client import OCI_INDEX, OCI_MANIFEST
from runtime.images.store import is_id, resolve, store_dir
from runtime.images.tar import DIRECTORY, FILE, Entry
from runtime.images.tar_write import END, encode_entry
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, Protocol

    from runtime.images.store import Image
    from runtime.paths import Roots

    class Writable(Protocol):
        def write(self, data: bytes, /) -> Any: ...


OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"


@record
class _Saved:
    """An image with all its names, its configuration's bytes and its manifest's."""

    image: Image
    names: tuple[str, ...]
    config: bytes
    manifest: bytes


def save(roots: Roots, references: Sequence[str], output: Writable) -> None:
    """Write the images to a binary stream. Raises RuntimeFault, mostly before anything is written."""
    sizes: dict[str, int] = {}  # diff id -> bytes of its tar
    snapshots: dict[str, str] = {}
    images = _gather(roots, references, sizes, snapshots)
    for piece in _archive(roots, images, sizes, snapshots):
        output.write(piece)


def save_to(roots: Roots, references: Sequence[str], path: str) -> None:
    """The same to a file, which appears when it is whole."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            save(roots, references, file)
        os.rename(temporary, path)
    except OSError as error:
        raise RuntimeFault(f"cannot write {path}: {error.strerror}") from error
    finally:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass


def _gather(roots: Roots, references: Sequence[str], sizes: dict[str, int], snapshots: dict[str, str]) -> list[_Saved]:
    names: dict[str, list[str]] = {}
    images: dict[str, Image] = {}
    for text in references:
        image = resolve(roots, text)
        images[image.digest] = image
        named = names.setdefault(image.digest, [])
        if not is_id(text) and image.reference and "@" not in text and not image.digest[7:].startswith(text):
            named.append(text)
    found = []
    for digest, image in images.items():
        for snapshot, diff_id in portable_layers(image, "save"):
            snapshots.setdefault(diff_id, snapshot)
            if diff_id not in sizes:
                sizes[diff_id] = _size(roots, snapshot)
        with open(f"{store_dir(roots)}/configs/{digest[7:]}.json", "rb") as file:
            config = file.read()
        found.append(_Saved(image, tuple(names[digest]), config, _manifest(image, len(config), sizes)))
    return found


def _size(roots: Roots, snapshot: str) -> int:
    if snapshot.endswith(BUILT):
        return sum(len(chunk) for chunk in layer_chunks(roots, snapshot))
    return tape.length(f"{store_dir(roots)}/{snapshot}")


def _manifest(image: Image, size: int, sizes: dict[str, int]) -> bytes:
    layers = [{"mediaType": OCI_LAYER, "digest": one, "size": sizes[one]} for one in image.layers]
    config = {"mediaType": OCI_CONFIG, "digest": image.digest, "size": size}
    plain = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
    return json.dumps(plain, separators=(",", ":")).encode()


def _archive(roots: Roots, images: list[_Saved], sizes: dict[str, int], snapshots: dict[str, str]) -> Iterator[bytes]:
    for name in ("blobs/", "blobs/sha256/"):
        yield encode_entry(Entry(name.encode(), DIRECTORY, 0o755))
    for one in images:
        yield from _member(f"blobs/sha256/{one.image.digest[7:]}", one.config)
        yield from _member(f"blobs/sha256/{_hex(one.manifest)}", one.manifest)
    for diff_id, size in sizes.items():
        yield encode_entry(Entry(f"blobs/sha256/{diff_id[7:]}".encode(), FILE, 0o644, size=size))
        yield from checked_chunks(roots, snapshots[diff_id], diff_id)
        yield bytes(-size % 512)
    yield from _member("index.json", _json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": _rows(images)}))
    yield from _member("manifest.json", _json([_docker_row(one) for one in images]))
    yield from _member("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
    yield END


def _rows(images: list[_Saved]) -> Iterable[dict[str, Any]]:
    rows = []
    for one in images:
        plain = {
            "mediaType": OCI_MANIFEST,
            "digest": f"sha256:{_hex(one.manifest)}",
            "size": len(one.manifest),
            "platform": {"architecture": one.image.architecture, "os": one.image.os},
        }
        for name in one.names:
            full = parse(name)
            notes = {"io.containerd.image.name": full.full, "org.opencontainers.image.ref.name": full.tag}
            rows.append({**plain, "annotations": notes})
        if not one.names:
            rows.append(plain)
    return rows


def _docker_row(one: _Saved) -> dict[str, Any]:
    return {
        "Config": f"blobs/sha256/{one.image.digest[7:]}",
        "RepoTags": [parse(name).familiar for name in one.names] or None,
        "Layers": [f"blobs/sha256/{diff_id[7:]}" for diff_id in one.image.layers],
    }


def _member(name: str, data: bytes) -> Iterator[bytes]:
    yield encode_entry(Entry(name.encode(), FILE, 0o644, size=len(data)))
    yield data
    yield bytes(-len(data) % 512)


def _json(plain: Any) -> bytes:
    return json.dumps(plain, separators=(",", ":")).encode()


def _hex(data: bytes) -> str:
    from hashlib import sha256

    return sha256(data).hexdigest()
