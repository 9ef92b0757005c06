"""``push``: an image of the store to a registry. Only what the registry does not have is compressed and sent."""

from __future__ import annotations

import os

from runtime.errors import NotFound, RuntimeFault
from runtime.images import builtin
from runtime.images.ingest import write_reference
from runtime.images.layer_tar import portable_layers
from runtime.images.origins import remember
from runtime.images.reference import Reference, parse
from runtime.images.registry.client import Client
from runtime.images.registry.credentials import find_login
from runtime.images.registry.errors import RegistryFault
from runtime.images.registry.progress import Part
from runtime.images.registry.send import LayerSender, manifest_of, put_manifest
from runtime.images.registry.settings import endpoints, read_settings
from runtime.images.registry.transport import Pool
from runtime.images.registry.upload import upload_bytes
from runtime.images.store import is_id, resolve, store_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.images.registry.settings import Settings
    from runtime.images.store import Image
    from runtime.paths import Roots

    Tell = Callable[[Part], None]


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
        endpoint = endpoints(settings, name.domain, push=True)[-1]
        login = find_login(name.domain, name.path, settings.environ)
        self._client = Client(pool, settings, endpoint, name.path, login, "pull,push")

    def run(self) -> str:
        """Layers, then the configuration, then the manifest that names them."""
        layers = LayerSender(self._roots, self._name, self._client, self._compression, self._tell).send(self._layers)
        with open(f"{store_dir(self._roots)}/configs/{self._image.digest[7:]}.json", "rb") as file:
            config = file.read()
        if self._client.has_blob(self._image.digest) is None:
            upload_bytes(self._client, self._image.digest, config)
        digest = put_manifest(self._client, self._name.tag, manifest_of(self._image.digest, len(config), layers))
        remember(self._roots, self._name.domain, self._name.path, self._image.layers, layers)
        write_reference(self._roots, self._image, Reference(self._name.domain, self._name.path, "", digest))
        self._tell(Part("", f"{self._name.tag}: digest: {digest}", done=True))
        return digest
