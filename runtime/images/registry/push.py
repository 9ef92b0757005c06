"""``push``: an image of the store to a registry. Only what the registry does not have is compressed and sent."""

from __future__ import annotations

import json
import os
import threading

from runtime.errors import NotFound, RuntimeFault
from runtime.images import builtin
from runtime.images.ingest import write_reference
from runtime.images.layer_tar import checked_chunks, portable_layers
from runtime.images.origins import origins_of, remember
from runtime.images.packing import MEDIA_TYPES, compress
from runtime.images.reference import Reference, parse
from runtime.images.registry.client import OCI_MANIFEST, Client, fault_of
from runtime.images.registry.credentials import find_login
from runtime.images.registry.errors import RegistryFault
from runtime.images.registry.manifests import Descriptor
from runtime.images.registry.progress import Part
from runtime.images.registry.settings import endpoints, read_settings
from runtime.images.registry.transport import Pool
from runtime.images.registry.upload import upload_bytes, upload_stream
from runtime.images.store import is_id, resolve, store_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from runtime.images.origins import Origin
    from runtime.images.registry.settings import Settings
    from runtime.images.store import Image
    from runtime.paths import Roots

    Tell = Callable[[Part], None]

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_WORKERS = 2  # layers at a time


def push(
    roots: Roots,
    reference: str,
    compression: str = "gzip",
    *,
    progress: Tell | None = None,
    environ: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> str:
    """Send an image to the registry that its name says; the digest of its manifest there. Raises RuntimeFault."""
    name = parse(reference)
    if is_id(reference) or name.digest:
        raise RuntimeFault(f"cannot push {reference!r}: only a name with a tag can be pushed", "pycompose image tag")
    if name.full in builtin.FULL_NAMES:
        raise RuntimeFault(f"cannot push {reference!r}: it is the built-in image, this machine's own")
    try:
        image = resolve(roots, reference)
    except NotFound as fault:
        raise NotFound(f"cannot push {name.familiar}: it is not in the store", "pycompose build makes it") from fault
    settings = settings or read_settings(os.environ if environ is None else environ)
    pool = Pool(settings)
    try:
        return _Push(roots, name, image, compression, settings, pool, progress or (lambda _part: None)).run()
    except RegistryFault as fault:
        message = f"cannot push {name.familiar}: {fault.message}"
        raise type(fault)(message, fault.hint, fault.status, fault.code) from fault
    finally:
        pool.close()


class _Push:
    """One push to one endpoint."""

    def __init__(
        self,
        roots: Roots,
        name: Reference,
        image: Image,
        compression: str,
        settings: Settings,
        pool: Pool,
        tell: Tell,
    ) -> None:
        self._roots = roots
        self._name = name
        self._image = image
        self._compression = compression
        self._tell = tell
        self._layers = portable_layers(image, "push")
        self._found: list[Descriptor | None] = [None] * len(self._layers)
        self._errors: list[BaseException] = []
        self._lock = threading.Lock()
        self._next = 0
        endpoint = endpoints(settings, name.domain, push=True)[-1]
        login = find_login(name.domain, name.path, settings.environ)
        self._client = Client(pool, settings, endpoint, name.path, login, "pull,push")

    def run(self) -> str:
        """Layers, then the configuration, then the manifest that names them."""
        layers = self._send_layers()
        with open(f"{store_dir(self._roots)}/configs/{self._image.digest[7:]}.json", "rb") as file:
            config = file.read()
        if self._client.has_blob(self._image.digest) is None:
            upload_bytes(self._client, self._image.digest, config)
        digest = self._put_manifest(_manifest(self._image.digest, len(config), layers))
        remember(self._roots, self._name.domain, self._name.path, self._image.layers, layers)
        write_reference(self._roots, self._image, Reference(self._name.domain, self._name.path, "", digest))
        self._tell(Part("", f"{self._name.tag}: digest: {digest}", done=True))
        return digest

    def _send_layers(self) -> list[Descriptor]:
        count = min(_WORKERS, len(self._layers))
        threads = [threading.Thread(target=self._work, daemon=True) for _each in range(count - 1)]
        for thread in threads:
            thread.start()
        self._work()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]
        return [one for one in self._found if one is not None]

    def _work(self) -> None:
        while True:
            with self._lock:
                number = self._next
                if self._errors or number >= len(self._layers):
                    return
                self._next += 1
            try:
                self._found[number] = self._one(*self._layers[number])
            except BaseException as error:  # noqa: BLE001 -- raised again by _send_layers
                self._errors.append(error)

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

    def _put_manifest(self, data: bytes) -> str:
        from hashlib import sha256

        client = self._client
        headers = {"Content-Type": OCI_MANIFEST, "Content-Length": str(len(data))}
        answer = client.request("PUT", client.path(f"manifests/{self._name.tag}"), headers, lambda: (data,))
        if answer.status not in (200, 201):
            raise fault_of(answer, f"{client.host} does not take the manifest")
        answer.close()
        return f"sha256:{sha256(data).hexdigest()}"


def _manifest(config: str, size: int, layers: list[Descriptor]) -> bytes:
    plain = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": config, "size": size},
        "layers": [{"mediaType": _oci(one.media_type), "digest": one.digest, "size": one.size} for one in layers],
    }
    return json.dumps(plain, separators=(",", ":")).encode()


def _oci(kind: str) -> str:
    """The OCI name of Docker's layer types: a manifest is of one family."""
    prefix = "application/vnd.docker.image.rootfs.diff.tar"
    if kind.startswith(prefix):
        return "application/vnd.oci.image.layer.v1.tar" + kind.removeprefix(prefix).replace(".", "+")
    return kind
