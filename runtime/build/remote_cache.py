"""A build cache in a registry: an OCI manifest whose configuration says which layer is the result of which step.

The configuration of an image with an inline cache says it in the same words, so that both are read in one way.
"""

from __future__ import annotations

import json
import os
import threading

from runtime.build.local_cache import FOREIGN
from runtime.build.request import Warned
from runtime.errors import RuntimeFault
from runtime.images.compression import decompress
from runtime.images.origins import remember
from runtime.images.reference import parse
from runtime.images.registry import platforms
from runtime.images.registry.client import Client
from runtime.images.registry.credentials import find_login
from runtime.images.registry.fetch import Blob
from runtime.images.registry.manifests import read_config, resolve
from runtime.images.registry.send import LayerSender, manifest_of, put_manifest
from runtime.images.registry.settings import endpoints, read_settings
from runtime.images.registry.transport import Pool
from runtime.images.registry.upload import upload_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from runtime.build.builder import Builder
    from runtime.build.cache import Cache, Piece
    from runtime.build.output import Tell
    from runtime.images.reference import Reference
    from runtime.images.registry.manifests import Descriptor, Resolved
    from runtime.images.registry.settings import Settings

CACHE_CONFIG = "application/vnd.pycompose.build-cache.v1+json"
_BUILDKIT = "application/vnd.buildkit.cacheconfig.v0"  # its configuration, also as a row of an index
_BUILDKIT_INLINE = "moby.buildkit.cache.v0"  # in the configuration of an image
ENTRY = "org.pycompose.build-cache"  # in the configuration: {"version": 1, "records": {KEY: {diff_id, created}}}


def records_of(cache: Cache, used: Mapping[str, Piece]) -> dict[str, Any]:
    """What ENTRY says of results."""
    rows = {key: {"diff_id": cache.diff_id(piece), "created": piece.created} for key, piece in sorted(used.items())}
    return {"version": 1, "records": rows}


def _client(name: Reference, settings: Settings, pool: Pool, actions: str) -> Client:
    login = find_login(name.domain, name.path, settings.environ)
    endpoint = endpoints(settings, name.domain, push=actions != "pull")[-1]
    return Client(pool, settings, endpoint, name.path, login, actions)


def _settings(builder: Builder) -> Settings:
    return read_settings(builder.surroundings.environ if builder.surroundings is not None else os.environ)


class Repository:
    """What a name in a registry holds (runtime.build.exchange.Import); asked at the first step that is not cached here.

    A registry that cannot be asked, or holds no cache, is told of once, and has nothing.
    """

    def __init__(self, builder: Builder, reference: str) -> None:
        self._builder = builder
        self._name = parse(reference)
        self._lock = threading.Lock()
        self._pool: Pool | None = None
        self._records: dict[str, Any] | None = None
        self._blobs: dict[str, Descriptor] = {}

    def find(self, key: str) -> tuple[str, str] | None:
        with self._lock:
            if self._records is None:
                self._records = {}
                try:
                    title = f"[internal] importing cache manifest from {self._name.familiar}"
                    self._builder.aside(title, lambda _tell: self._read())
                except (RuntimeFault, ValueError, KeyError, TypeError, AttributeError) as error:
                    text = getattr(error, "message", "") or "it is damaged"
                    self._builder.reporter.emit(Warned(f"cache {self._name.familiar} is not used: {text}"))
        row = self._records.get(key)
        return None if row is None or row["diff_id"] not in self._blobs else (row["diff_id"], str(row["created"]))

    def _read(self) -> None:
        settings = _settings(self._builder)
        self._pool = Pool(settings)
        self._client = _client(self._name, settings, self._pool, "pull")
        resolved = self._resolve(self._name.digest or self._name.tag)
        plain = json.loads(read_config(self._client, resolved.config))
        entry = plain.get(ENTRY)
        if not entry and (_BUILDKIT_INLINE in plain or resolved.config.media_type == _BUILDKIT):
            raise RuntimeFault(FOREIGN)
        if not entry or entry.get("version") != 1:
            raise RuntimeFault("it holds no cache that pycompose wrote")
        self._blobs = dict(zip(plain["rootfs"]["diff_ids"], resolved.layers, strict=True))
        self._records = dict(entry["records"])

    def _resolve(self, name: str) -> Resolved:
        try:
            return resolve(self._client, name, platforms.of_machine())
        except RuntimeFault:
            if _BUILDKIT.encode() in self._client.manifest(name)[2]:
                raise RuntimeFault(FOREIGN) from None
            raise

    def open(self, diff_id: str) -> Iterator[bytes]:
        blob = iter(Blob(self._client, self._blobs[diff_id]))
        yield from decompress(blob)
        for _piece in blob:  # to the end, where its digest is compared
            pass

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()


def send(builder: Builder, used: Mapping[str, Piece], reference: str, compression: str, tell: Tell) -> None:
    """Write the results that a build used under a name. Raises RuntimeFault."""
    name = parse(reference)
    settings = _settings(builder)
    pool = Pool(settings)
    try:
        client = _client(name, settings, pool, "pull,push")
        pieces = {builder.cache.diff_id(piece): piece for _key, piece in sorted(used.items())}
        rows = [(piece.name, diff_id) for diff_id, piece in pieces.items()]
        layers = LayerSender(builder.roots, name, client, compression, tell).send(rows)
        plain = {"rootfs": {"type": "layers", "diff_ids": list(pieces)}, ENTRY: records_of(builder.cache, used)}
        data = json.dumps(plain, separators=(",", ":"), sort_keys=True).encode()
        digest = _digest(data)
        if client.has_blob(digest) is None:
            upload_bytes(client, digest, data)
        put_manifest(client, name.tag, manifest_of(digest, len(data), layers, CACHE_CONFIG))
        remember(builder.roots, name.domain, name.path, list(pieces), layers)
    except RuntimeFault as fault:
        raise RuntimeFault(f"cannot write the cache to {name.familiar}: {fault.message}", fault.hint) from fault
    finally:
        pool.close()


def _digest(data: bytes) -> str:
    from hashlib import sha256

    return f"sha256:{sha256(data).hexdigest()}"
