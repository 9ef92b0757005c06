"""``import``: a root file system in a tar, as an image."""

from __future__ import annotations

import os
import time

from runtime import plain_json as json
from runtime.errors import Conflict, RuntimeFault
from runtime.images import builtin
from runtime.images.changes import apply_changes
from runtime.images.compression import chunks_of, decompress
from runtime.images.ingest import Failing, Layer, Staging, add_image
from runtime.images.reference import Reference, parse
from runtime.images.store import Image, read_image, reference_path, store_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from runtime.images.compression import Readable
    from runtime.paths import Roots


def import_rootfs(roots: Roots, source: Readable | str | int, reference: str, changes: Sequence[str]) -> Image:
    """See :func:`runtime.images.store.import_rootfs`."""
    name = parse(reference)
    if name.full in builtin.FULL_NAMES or name.digest:
        reason = "a name has no digest" if name.digest else "that is the name of the built-in image"
        raise Conflict(f"cannot import an image as {reference!r}: {reason}")
    config: dict[str, Any] = apply_changes({}, changes)
    file, close = open_source(source)
    try:
        with Failing(roots, f"import image {name.familiar!r}", _shown(source)), Staging(roots) as staging:
            layer = staging.add_layer(decompress(chunks_of(file)), ())
            same = _same_image(roots, name, layer, config)
            if same is not None:
                return same
            return add_image(staging, _import_config(config, layer, source), (layer,), (name,))
    finally:
        if close:
            close.close()


def _shown(source: object) -> str:
    return source if isinstance(source, str) and source != "-" else "standard input"


def _same_image(roots: Roots, name: Reference, layer: Layer, config: dict[str, Any]) -> Image | None:
    """The image of this name, if the import would only change its date: its containers then stay as they are."""
    try:
        image = read_image(reference_path(roots, name.full))
    except FileNotFoundError:
        return None
    known = os.path.exists(f"{store_dir(roots)}/{layer.name}")
    return image if known and image.layers == (layer.diff_id,) and image.config == config else None


def _import_config(config: dict[str, Any], layer: Layer, source: object) -> bytes:
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    comment = f"imported from {source}" if isinstance(source, str) else "imported"
    plain = {
        "created": created,
        "architecture": builtin.architecture(),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [{"created": created, "comment": comment}],
    }
    return json.dumps(plain, separators=(",", ":")).encode()


def open_source(source: Readable | str | int) -> tuple[Readable, Any]:
    """A source as a binary file, and what to close afterwards. Raises RuntimeFault when it cannot be read."""
    if isinstance(source, int) or source == "-":
        return open(0 if source == "-" else int(str(source)), "rb", buffering=0, closefd=False), None
    if not isinstance(source, str):
        return source, None
    try:
        file = open(source, "rb", buffering=0)
    except OSError as error:
        raise RuntimeFault(f"cannot read {source!r}: {error.strerror}") from error
    return file, file
