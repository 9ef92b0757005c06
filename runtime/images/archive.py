"""Loading images: ``docker save`` archives of any age and OCI layouts, as a file or as a directory.

Names inside an archive are keys of a table, never paths of the host; every digest is checked before it names anything,
and every byte against its digest. Media types: the OCI image specification and Docker's image manifest version 2.
"""

from __future__ import annotations

import json
import os

from runtime.errors import BadArchive, RuntimeFault
from runtime.images import builtin
from runtime.images.compression import decompress
from runtime.images.image_config import check_config
from runtime.images.importing import open_source
from runtime.images.ingest import MAX_LAYERS, Failing, Layer, Staging, add_image, write_reference
from runtime.images.members import Blob, Members, open_members
from runtime.images.reference import Reference, is_digest, parse
from runtime.images.store import Image
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from runtime.paths import Roots

    Plain = dict[str, Any]

_MAX_JSON = 8 << 20
_MAX_NESTING = 4
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@record
class Found:
    """An image in an archive: its configuration's bytes, its layers lowest first, its names."""

    config: bytes
    layers: tuple[Blob, ...]
    references: tuple[Reference, ...]
    by_digest: tuple[Reference, ...] = ()


def load_archive(roots: Roots, source: str | int) -> list[Image]:
    """See :func:`runtime.images.store.load_archive`."""
    shown = source if isinstance(source, str) and source != "-" else "standard input"
    with Failing(roots, f"load images from {shown}", shown), Staging(roots) as staging:
        if isinstance(source, str) and os.path.isdir(source):
            with open_members(source, staging.path) as members:
                return _load(staging, members)
        file, close = open_source(source)
        try:
            with open_members(file, staging.path) as members:
                return _load(staging, members)
        finally:
            if close:
                close.close()


def _load(staging: Staging, members: Members) -> list[Image]:
    """All images of the archive, or none if one of them is bad in its description."""
    found = list(_find(members))
    if not found:
        raise BadArchive("cannot load archive: it holds no image for this platform")
    images: list[Image] = []
    for item in found:
        images += _add(staging, item)
    return images


def _find(members: Members) -> Iterator[Found]:
    if members.get("manifest.json") is not None:
        return _find_saved(members)
    if members.get("index.json") is not None:
        return _find_layout(members)
    hint = "a root file system tarball is taken by `pycompose import FILE NAME`"
    raise BadArchive("cannot load archive: it has neither manifest.json nor index.json", hint)


def _add(staging: Staging, found: Found) -> list[Image]:
    config = _object(found.config, "image configuration")
    check_config(config)
    diff_ids = diff_ids_of(config, len(found.layers))
    layers: list[Layer] = []
    for blob, diff_id in zip(found.layers, diff_ids):
        layers.append(staging.add_layer(decompress(blob.chunks()), tuple(layers), diff_id))
    image = add_image(staging, found.config, layers, ())
    for reference in found.by_digest:
        write_reference(staging.roots, image, reference)
    named = [write_reference(staging.roots, image, reference) for reference in found.references]
    return named or [image]


def diff_ids_of(config: Plain, count: int) -> list[str]:
    """The layer ids of a configuration, lowest first. Raises BadArchive unless there are ``count`` good ones."""
    rootfs = config.get("rootfs")
    if not isinstance(rootfs, dict) or rootfs.get("type") != "layers" or not isinstance(rootfs.get("diff_ids"), list):
        raise BadArchive("cannot load archive: an image configuration has no list of layers")
    diff_ids = rootfs["diff_ids"]
    if len(diff_ids) != count or count > MAX_LAYERS:
        raise BadArchive(f"cannot load archive: {count} layers, but {len(diff_ids)} layer ids (at most {MAX_LAYERS})")
    for diff_id in diff_ids:
        if not is_digest(diff_id) or not diff_id.startswith("sha256:"):
            raise BadArchive(f"cannot load archive: {diff_id!r} is not a layer id")
    return list(diff_ids)


def _json(members: Members, name: str) -> Any:
    return _parse(_read(members, name), name)


def _read(members: Members, name: str) -> bytes:
    blob = members.get(name)
    if blob is None:
        raise BadArchive(f"cannot load archive: {name!r} is missing in it")
    return blob.read(_MAX_JSON)


def _parse(data: bytes, what: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadArchive(f"cannot load archive: {what} is not JSON") from error


def _object(data: bytes, what: str) -> Plain:
    value = _parse(data, what)
    if not isinstance(value, dict):
        raise BadArchive(f"cannot load archive: {what} is not an object")
    return value


# -- docker save ---------------------------------------------------------------------------------------------------


def _find_saved(members: Members) -> Iterator[Found]:
    """``manifest.json``: one entry per image with Config, RepoTags and Layers, which name members of the archive."""
    listing = _json(members, "manifest.json")
    if not isinstance(listing, list):
        raise BadArchive("cannot load archive: manifest.json is not a list")
    for item in listing:
        if not isinstance(item, dict) or not isinstance(item.get("Config"), str):
            raise BadArchive("cannot load archive: an entry of manifest.json has no Config")
        layers = item.get("Layers") or []
        tags = item.get("RepoTags") or []
        if not all(isinstance(value, str) for value in (*layers, *tags)):
            raise BadArchive("cannot load archive: an entry of manifest.json is malformed")
        blobs = [members.get(name) for name in layers]
        missing = [name for name, blob in zip(layers, blobs) if blob is None]
        if missing:
            raise BadArchive(f"cannot load archive: layer {missing[0]!r} is missing in it")
        config = _checked_config(item["Config"], _read(members, item["Config"]))
        yield Found(config, tuple(blob for blob in blobs if blob), tuple(_reference(tag) for tag in tags))


def _checked_config(name: str, data: bytes) -> bytes:
    """A configuration that is named after its digest, as all are, must have it."""
    from hashlib import sha256

    digits = name.rpartition("/")[2].removesuffix(".json")
    if is_digest(f"sha256:{digits}") and sha256(data).hexdigest() != digits:
        raise BadArchive(f"cannot load archive: {name!r} does not have the digest it is named after")
    return data


def _reference(text: str) -> Reference:
    try:
        reference = parse(text)
    except RuntimeFault as error:
        raise BadArchive(f"cannot load archive: {error.message}") from error
    if reference.full in builtin.FULL_NAMES:
        raise BadArchive(f"cannot load archive: {text!r} is the name of the built-in image")
    return reference


# -- OCI layout ----------------------------------------------------------------------------------------------------


def _find_layout(members: Members) -> Iterator[Found]:
    index = _object(_read(members, "index.json"), "index.json")
    by_name: dict[str, list[Plain]] = {}
    for number, descriptor in enumerate(_descriptors(index)):
        name = _name_of(descriptor) or f"\0{number if not _platform_of(descriptor) else ''}"
        by_name.setdefault(name, []).append(descriptor)
    for name, descriptors in by_name.items():
        manifest = _choose(members, descriptors, 0)
        if manifest is None:
            continue
        digest, plain = manifest
        references = _free_reference(name)
        by_digest = tuple(
            Reference(reference.domain, reference.path, "", digest) for reference in references if not reference.digest
        )
        yield _found(members, plain, references, by_digest)


def _free_reference(text: str) -> tuple[Reference, ...]:
    """The annotation is free text; an image with one that is no reference is loaded without a name."""
    try:
        return (_reference(text),)
    except BadArchive:
        return ()


def _found(
    members: Members, manifest: Plain, references: tuple[Reference, ...], by_digest: tuple[Reference, ...]
) -> Found:
    config, layers = manifest.get("config"), manifest.get("layers")
    if not isinstance(config, dict) or not isinstance(layers, list) or not layers:
        raise BadArchive("cannot load archive: a manifest has no config or no layers")
    blobs = tuple(_blob(members, layer) for layer in layers)
    return Found(_blob(members, config).read(_MAX_JSON), blobs, references, by_digest)


def _blob(members: Members, descriptor: Plain) -> Blob:
    """A blob of the layout, to be checked against its descriptor's digest and size while it is read."""
    digest, size = descriptor.get("digest"), descriptor.get("size")
    if not is_digest(digest) or not isinstance(size, int) or size < 0:
        raise BadArchive(f"cannot load archive: {digest!r} of size {size!r} is not a descriptor")
    assert isinstance(digest, str)
    blob = members.get(f"blobs/{digest.replace(':', '/')}")
    if blob is None:
        raise BadArchive(f"cannot load archive: blob {digest} is missing in it")
    return blob.expecting(digest, size)


def _descriptors(index: Plain) -> list[Plain]:
    rows = index.get("manifests")
    if not isinstance(rows, list) or "layers" in index or "config" in index:
        raise BadArchive("cannot load archive: an index must have manifests and nothing of a manifest")
    return [row for row in rows if isinstance(row, dict) and row.get("mediaType") in (*_INDEXES, *_MANIFESTS)]


def _name_of(descriptor: Plain) -> str:
    """The full name that containerd and Docker write, or the plain tag or name of other tools."""
    notes = descriptor.get("annotations") or {}
    return str(notes.get("io.containerd.image.name") or notes.get("org.opencontainers.image.ref.name") or "")


def _platform_of(descriptor: Plain) -> tuple[str, str] | None:
    platform = descriptor.get("platform")
    if not isinstance(platform, dict) or not platform:
        return None
    return str(platform.get("os") or "linux"), str(platform.get("architecture") or "")


def _choose(members: Members, descriptors: list[Plain], depth: int) -> tuple[str, Plain] | None:
    """The manifest for this machine among descriptors, entering nested indexes; those without a platform come last."""
    if depth > _MAX_NESTING:
        raise BadArchive("cannot load archive: its indexes are nested too deep")
    ours = ("linux", builtin.architecture())
    fitting = [row for row in descriptors if _platform_of(row) == ours]
    unknown = [row for row in descriptors if _platform_of(row) is None and not _is_attestation(row)]
    for row in (*fitting, *unknown):
        plain = _object(_blob(members, row).read(_MAX_JSON), "a manifest")
        _check_type(plain, row)
        if row["mediaType"] in _MANIFESTS:
            return str(row["digest"]), plain
        inner = _choose(members, _descriptors(plain), depth + 1)
        if inner is not None:
            return inner
    return None


def _is_attestation(descriptor: Plain) -> bool:
    return "vnd.docker.reference.type" in (descriptor.get("annotations") or {})


def _check_type(plain: Plain, descriptor: Plain) -> None:
    """One document may not pass as two types."""
    declared = plain.get("mediaType", descriptor["mediaType"])
    both = "manifests" in plain and ("layers" in plain or "config" in plain)
    if declared != descriptor["mediaType"] or both:
        raise BadArchive("cannot load archive: a manifest is not of the type that its descriptor says")
