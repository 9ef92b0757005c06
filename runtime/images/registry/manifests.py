"""From a reference to the one manifest for a machine: indexes, checks, the configuration."""

from __future__ import annotations

import json

from runtime.errors import BadArchive
from runtime.images.ingest import MAX_LAYERS
from runtime.images.reference import is_digest
from runtime.images.registry import platforms
from runtime.images.registry.client import INDEXES, MANIFESTS, MAX_MANIFEST
from runtime.images.registry.errors import DigestMismatch, RegistryFault
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.images.registry.client import Client
    from runtime.images.registry.platforms import Platform

    Plain = dict[str, Any]

_MAX_NESTING = 4
_FOREIGN = ("foreign", "nondistributable")


@record
class Descriptor:
    """A blob: its type, digest and size, and foreign addresses of it."""

    media_type: str
    digest: str
    size: int
    urls: tuple[str, ...] = ()


@record
class Resolved:
    """An image at a registry. ``top``: digest of what the reference means itself, often an index."""

    top: str
    digest: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    warnings: tuple[str, ...] = ()


def resolve(client: Client, name: str, wanted: Platform) -> Resolved:
    """The image of a tag or digest for a platform. Raises RegistryFault, BadArchive."""
    kind, top, data = client.manifest(name)
    found = _choose(client, kind, top, data, wanted, 0)
    if found is None:
        offered = ", ".join(str(one) for one in _offered(_parse(data)))
        raise RegistryFault(
            f"cannot use {client.repository} of {client.host}: it has nothing for {wanted}",
            f"it is for {offered}" if offered else "",
            404,
        )
    digest, plain = found
    config = _descriptor(plain.get("config"))
    layers = plain.get("layers")
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        raise BadArchive("cannot load archive: a manifest has no list of layers, or too many")
    return Resolved(top, digest, config, tuple(_descriptor(layer) for layer in layers))


def read_config(client: Client, config: Descriptor) -> bytes:
    """The configuration's bytes, checked against digest and size. Raises RegistryFault."""
    if config.size > MAX_MANIFEST:
        raise RegistryFault(f"cannot accept the configuration of {client.repository}: it has {config.size} bytes")
    answer, data = client.whole(client.path(f"blobs/{config.digest}"), {}, config.size)
    if answer.status != 200:
        from runtime.images.registry.client import fault_of

        raise fault_of(answer, client.host)
    check_digest(client.host, config.digest, data)
    return data


def check_digest(host: str, digest: str, data: bytes) -> None:
    """Raises DigestMismatch unless the bytes are those of the digest."""
    from hashlib import sha256, sha512

    algorithm = digest.partition(":")[0]
    found = f"{algorithm}:{(sha512 if algorithm == 'sha512' else sha256)(data).hexdigest()}"
    if found != digest:
        raise DigestMismatch(f"cannot accept {digest} of {host}: its content is {found}")


def _choose(
    client: Client, kind: str, digest: str, data: bytes, wanted: Platform, depth: int
) -> tuple[str, Plain] | None:
    """(digest, manifest) for the platform, entering nested indexes."""
    plain = _parse(data)
    kind = _kind(plain, kind)
    if kind in MANIFESTS:
        return digest, plain
    if depth >= _MAX_NESTING:
        raise BadArchive("cannot load archive: its indexes are nested too deep")
    rows = [row for row in plain.get("manifests") or () if isinstance(row, dict)]
    rows = [row for row in rows if row.get("mediaType") in (*INDEXES, *MANIFESTS)]
    for row in platforms.choose(rows, wanted):
        one = _descriptor(row)
        child_kind, _digest, child = client.manifest(one.digest)
        if len(child) != one.size:
            raise DigestMismatch(f"cannot accept manifest {one.digest} of {client.host}: its size is {len(child)}")
        found = _choose(client, child_kind or one.media_type, one.digest, child, wanted, depth + 1)
        if found is not None:
            return found
    return None


def _kind(plain: Plain, declared: str) -> str:
    """What a document is. One that could pass as two things is refused (CVE-2021-41190)."""
    own = plain.get("mediaType") or declared
    both = "manifests" in plain and ("layers" in plain or "config" in plain)
    if both or (declared in (*INDEXES, *MANIFESTS) and own != declared):
        raise BadArchive("cannot load archive: a manifest is not of the type that it was sent as")
    if own in (*INDEXES, *MANIFESTS):
        return str(own)
    if "schemaVersion" in plain and plain["schemaVersion"] == 1:
        raise BadArchive("cannot load archive: its manifest is of schema 1, which no tool takes any more")
    if "manifests" in plain:
        return INDEXES[0]
    if "layers" in plain and "config" in plain:
        return MANIFESTS[0]
    raise BadArchive(f"cannot load archive: {declared or 'its manifest'} is not an image")


def _offered(plain: Plain) -> list[Platform]:
    rows = [row for row in plain.get("manifests") or () if isinstance(row, dict) and not platforms.is_attestation(row)]
    return [one for row in rows if (one := platforms.of_descriptor(row)) is not None]


def _parse(data: bytes) -> Plain:
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadArchive("cannot load archive: its manifest is not JSON") from error
    if not isinstance(plain, dict):
        raise BadArchive("cannot load archive: its manifest is not an object")
    return plain


def _descriptor(plain: Any) -> Descriptor:
    """A descriptor, its digest checked before it becomes part of any path (CVE-2024-3727). Raises BadArchive."""
    if not isinstance(plain, dict):
        raise BadArchive("cannot load archive: a manifest has no descriptor where one must be")
    digest, size = plain.get("digest"), plain.get("size")
    if not is_digest(digest) or not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise BadArchive(f"cannot load archive: {digest!r} of size {size!r} is not a descriptor")
    urls = plain.get("urls") or ()
    kind = str(plain.get("mediaType") or "")
    foreign = any(word in kind for word in _FOREIGN)
    return Descriptor(kind, str(digest), size, tuple(str(url) for url in urls) if foreign else ())
