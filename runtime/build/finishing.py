"""The last stage as an image: configuration, history, digests of its layers, names."""

from __future__ import annotations

import json
import os
import time

from runtime.build import settings
from runtime.build.platform import native
from runtime.images.ingest import prepare, write_reference
from runtime.images.reference import parse
from runtime.images.store import Image, encode_image, image_path, read_image, reference_path
from runtime.record import EMPTY
from runtime.tree import write_durable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from runtime.build.cache import Cache
    from runtime.build.state import StageState
    from runtime.paths import Roots

_NEVER = "1970-01-01T00:00:00Z"


def write_image(
    roots: Roots,
    cache: Cache,
    state: StageState,
    tags: Sequence[str],
    *,
    labels: Mapping[str, str] = EMPTY,
    platform: str = "",
    epoch: int = -1,
    extra: Mapping[str, Any] = EMPTY,
) -> Image:
    """Store the image under its id and its names. The same build gives the same id, and then writes nothing.

    ``extra``: further entries of the configuration. The caller holds the store's lock, shared.
    """
    references = [parse(tag) for tag in tags]
    config = settings.finish(dict(state.config))
    if labels:
        config["Labels"] = {**(config.get("Labels") or {}), **labels}
    history = _dated(state, epoch)
    diff_ids = [cache.diff_id(piece) for piece in state.pieces if not piece.name.startswith("builtin/")]
    system, machine, *variant = (platform or native()).split("/")
    plain: dict[str, Any] = {
        "architecture": machine,
        "config": config,
        "created": history[-1]["created"] if history else _NEVER,
        "history": history,
        "os": system,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        **({"variant": variant[0]} if variant else {}),
        **({"author": state.author} if state.author else {}),
        **extra,
    }
    data = json.dumps(plain, separators=(",", ":"), sort_keys=True).encode()
    image = _image(state, data, plain, diff_ids)
    base = prepare(roots)
    if not os.path.exists(image_path(roots, image.digest)):
        cache.sync()  # what the record names must be there after a power failure, too
        write_durable(f"{base}/configs/{image.digest[7:]}.json", data)
        write_durable(image_path(roots, image.digest), encode_image(image))
    named = image
    for index, reference in enumerate(references):
        one = _name(roots, image, reference)
        named = one if index == 0 else named
    return named


def _name(roots: Roots, image: Image, reference: Any) -> Image:
    """Give the image a name, unless it has it."""
    try:
        known = read_image(reference_path(roots, reference.full))
        if known.digest == image.digest and known.snapshots == image.snapshots:
            return known
    except FileNotFoundError:
        pass
    return write_reference(roots, image, reference)


def _image(state: StageState, data: bytes, plain: dict[str, Any], diff_ids: list[str]) -> Image:
    from hashlib import sha256

    return Image(
        reference="",
        digest=f"sha256:{sha256(data).hexdigest()}",
        layers=tuple(diff_ids),
        config=plain["config"],
        created=plain["created"],
        size=state.base_size + sum(piece.size for piece in state.pieces),
        architecture=plain["architecture"],
        os=plain["os"],
        snapshots=tuple(piece.name for piece in state.pieces),
        binds=state.binds,
    )


def _dated(state: StageState, epoch: int) -> list[dict[str, Any]]:
    """The history, each row without a time taking that of the next one that has."""
    rows = [dict(row) for row in state.history]
    if epoch >= 0:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
        return [{**row, "created": stamp} for row in rows]
    following = _NEVER
    for row in reversed(rows):
        row["created"] = following = row.get("created") or following
    return rows
