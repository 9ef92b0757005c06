"""Layers of the store to a registry, and the manifest that names them. What is there already is not sent again."""

from __future__ import annotations

import json

from runtime.images.layer_tar import checked_chunks
from runtime.images.origins import origins_of
from runtime.images.packing import MEDIA_TYPES, compress
from runtime.images.registry.client import OCI_MANIFEST, fault_of
from runtime.images.registry.manifests import Descriptor
from runtime.images.registry.progress import Part
from runtime.images.registry.upload import upload_stream
from runtime.images.registry.workers import in_turn
from runtime.images.store import store_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runtime.images.origins import Origin
    from runtime.images.reference import Reference
    from runtime.images.registry.client import Client
    from runtime.paths import Roots

    Tell = Callable[[Part], None]

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_WORKERS = 2  # layers at a time


class LayerSender:
    """Sends layers to the repository of a name, two at a time."""

    def __init__(self, roots: Roots, name: Reference, client: Client, compression: str, tell: Tell) -> None:
        self._roots = roots
        self._name = name
        self._client = client
        self._compression = compression
        self._tell = tell

    def send(self, layers: Sequence[tuple[str, str]]) -> list[Descriptor]:
        """(snapshot, diff id) of each; their blobs there, in that order. Raises the first error."""
        return in_turn(len(layers), _WORKERS, lambda number: self._one(*layers[number]))

    def _one(self, snapshot: str, diff_id: str) -> Descriptor:
        part = diff_id[7:19]
        there = self._there(diff_id, part)
        if there is not None:
            return there
        size = self._size(snapshot)
        kind = MEDIA_TYPES[self._compression]

        def stream() -> Iterator[bytes]:
            return compress(
                self._counted(checked_chunks(self._roots, snapshot, diff_id), part, size), self._compression
            )

        digest, length = upload_stream(self._client, stream)
        self._tell(Part(part, "Pushed", size, size, done=True))
        return Descriptor(kind, digest, length)

    def _there(self, diff_id: str, part: str) -> Descriptor | None:
        """The layer as a blob that the repository has, or takes over from another one of the registry."""
        rows = origins_of(self._roots, diff_id)
        ours = [row for row in rows if row.domain == self._name.domain]
        for row in sorted(ours, key=lambda row: row.path != self._name.path) or rows[:1]:
            if self._client.has_blob(row.digest) is not None:
                self._tell(Part(part, "Layer already exists", row.size, row.size, done=True))
            elif row.domain == self._name.domain and row.path != self._name.path and self._mount(row):
                self._tell(Part(part, f"Mounted from {row.path}", row.size, row.size, done=True))
            else:
                continue
            return Descriptor(row.media_type, row.digest, row.size)
        return None

    def _mount(self, row: Origin) -> bool:
        client = self._client
        scopes = (*client.scopes, f"repository:{row.path}:pull")
        path = client.path(f"blobs/uploads/?mount={row.digest}&from={row.path}")
        answer = client.request("POST", path, {"Content-Length": "0"}, lambda: (), scopes=scopes)
        if answer.status == 202:  # it began an upload instead
            target, place = client.location(answer, path)
            answer.close()
            client.request("DELETE", place, {}, target=target, attempts=1).close()
            return False
        answer.close()
        return answer.status == 201

    def _size(self, snapshot: str) -> int:
        try:
            with open(f"{store_dir(self._roots)}/{snapshot}/meta.json", "rb") as file:
                return int(json.load(file)["size"])
        except (OSError, ValueError, KeyError):
            return 0

    def _counted(self, chunks: Iterator[bytes], part: str, size: int) -> Iterator[bytes]:
        count = told = 0
        for chunk in chunks:
            count += len(chunk)
            if count - told >= 1 << 20:
                told = count
                self._tell(Part(part, "Pushing", min(count, size), size))
            yield chunk


def put_manifest(client: Client, tag: str, data: bytes) -> str:
    """Name what was sent; the digest of the manifest. Raises RegistryFault."""
    from hashlib import sha256

    headers = {"Content-Type": OCI_MANIFEST, "Content-Length": str(len(data))}
    answer = client.request("PUT", client.path(f"manifests/{tag}"), headers, lambda: (data,))
    if answer.status not in (200, 201):
        raise fault_of(answer, f"{client.host} does not take the manifest")
    answer.close()
    return f"sha256:{sha256(data).hexdigest()}"


def manifest_of(config: str, size: int, layers: Sequence[Descriptor], kind: str = OCI_CONFIG) -> bytes:
    """An OCI manifest. ``config``, ``size``, ``kind``: digest, length and media type of the configuration."""
    plain = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": kind, "digest": config, "size": size},
        "layers": [{"mediaType": _oci(one.media_type), "digest": one.digest, "size": one.size} for one in layers],
    }
    return json.dumps(plain, separators=(",", ":")).encode()


def _oci(kind: str) -> str:
    """The OCI name of Docker's layer types: a manifest is of one family."""
    prefix = "application/vnd.docker.image.rootfs.diff.tar"
    if kind.startswith(prefix):
        return "application/vnd.oci.image.layer.v1.tar" + kind.removeprefix(prefix).replace(".", "+")
    return kind
