"""Artifacts that are no images: small files in a registry, each a layer with annotations (image-spec, "Guidelines for
Artifact Usage")."""

from __future__ import annotations

import json
import os

from runtime.errors import RuntimeFault
from runtime.images.reference import is_digest, parse
from runtime.images.registry.client import Client
from runtime.images.registry.credentials import find_login
from runtime.images.registry.manifests import check_digest
from runtime.images.registry.settings import endpoints, read_settings
from runtime.images.registry.transport import Pool
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MOST = 8 << 20  # bytes of one file


@record
class ArtifactFile:
    """A layer of an artifact. ``media_type`` and ``annotations`` say what it is."""

    media_type: str
    annotations: Mapping[str, str]
    data: bytes


@record
class Artifact:
    """``digest`` of the manifest; ``kind``: its artifactType, or the media type of its config."""

    digest: str
    kind: str
    files: tuple[ArtifactFile, ...]


def fetch_artifact(reference: str, environ: Mapping[str, str] | None = None) -> Artifact:
    """Read a whole artifact, every digest checked. Raises RuntimeFault."""
    name = parse(reference)
    settings = read_settings(os.environ if environ is None else environ)
    pool = Pool(settings)
    try:
        endpoint = endpoints(settings, name.domain)[-1]  # mirrors hold images
        login = find_login(name.domain, name.path, settings.environ)
        client = Client(pool, settings, endpoint, name.path, login)
        _kind, digest, data = client.manifest(name.digest or name.tag)
        plain = _manifest(reference, data)
        kind = str(plain.get("artifactType") or (plain.get("config") or {}).get("mediaType") or "")
        files = tuple(_file(client, reference, layer) for layer in plain.get("layers") or ())
        return Artifact(digest, kind, files)
    finally:
        pool.close()


def _manifest(reference: str, data: bytes) -> dict[str, Any]:
    try:
        plain = json.loads(data)
    except ValueError:
        plain = None
    if not isinstance(plain, dict) or "layers" not in plain:
        raise RuntimeFault(f"cannot use {reference}: it is no artifact, or an index of several")
    return plain


def _file(client: Client, reference: str, layer: object) -> ArtifactFile:
    if not isinstance(layer, dict) or not is_digest(layer.get("digest")) or int(layer.get("size") or 0) > MOST:
        raise RuntimeFault(f"cannot use {reference}: it has a layer that is no small file")
    digest = layer["digest"]
    answer, data = client.whole(client.path(f"blobs/{digest}"), {}, MOST)
    if answer.status != 200:
        raise RuntimeFault(f"cannot use {reference}: the registry does not have its file {digest[:19]}")
    check_digest(client.host, digest, data)
    notes = layer.get("annotations") or {}
    return ArtifactFile(str(layer.get("mediaType") or ""), {str(k): str(v) for k, v in notes.items()}, data)
