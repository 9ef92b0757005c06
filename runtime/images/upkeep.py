"""The store's upkeep: verifying what is in it, removing what nobody needs, saying how much there is."""

from __future__ import annotations

import json
import os

from runtime.errors import RuntimeFault
from runtime.images.ingest import Failing, lock_store, prepare, sweep
from runtime.images.layer_tar import BUILT, checked_chunks
from runtime.images.origins import forget_missing
from runtime.images.removal import collect, delete_image
from runtime.images.store import Image, list_images, read_image, store_dir
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.paths import Roots


@record
class Damage:
    """Something that is not as it was: ``name`` of the image, a sentence."""

    name: str
    text: str


def all_images(roots: Roots) -> list[Image]:
    """Every image of the store once, with one of its names or none; the built-in one left out."""
    found: dict[str, Image] = {}
    for image in list_images(roots):
        if not all(name.startswith("builtin/") for name in image.snapshots):
            found.setdefault(image.digest, image)
    return list(found.values())


def verify(roots: Roots, images: list[Image], tell: Callable[[str], None] = lambda _text: None) -> list[Damage]:
    """Hash the configuration and every layer again; what is wrong. ``tell``: which layer is read now."""
    lock = lock_store(roots, exclusive=False)
    try:
        seen: dict[str, str] = {}
        return [damage for image in images for damage in _verify(roots, image, seen, tell)]
    finally:
        os.close(lock)


def _verify(roots: Roots, image: Image, seen: dict[str, str], tell: Callable[[str], None]) -> Iterator[Damage]:
    name = image.reference or image.digest[:19]
    if not _config_is_good(roots, image):
        yield Damage(name, "its configuration is missing or was changed")
    base = store_dir(roots)
    layers = [one for one in image.snapshots if not one.startswith("builtin/")]
    below = [f"{base}/{one}/diff" for one in image.snapshots[: len(image.snapshots) - len(layers)]]
    for snapshot, diff_id in zip(layers, image.layers):
        if snapshot not in seen:
            tell(f"{name}: {diff_id[7:19]}")
            seen[snapshot] = _layer_problem(roots, snapshot, diff_id, below)
        below.append(f"{base}/{snapshot}/diff")
        if seen[snapshot]:
            yield Damage(name, seen[snapshot])


def _config_is_good(roots: Roots, image: Image) -> bool:
    from hashlib import sha256

    try:
        with open(f"{store_dir(roots)}/configs/{image.digest[7:]}.json", "rb") as file:
            return f"sha256:{sha256(file.read()).hexdigest()}" == image.digest
    except OSError:
        return False


def _layer_problem(roots: Roots, snapshot: str, diff_id: str, below: list[str]) -> str:
    label = f"layer {diff_id[:19]}"
    try:
        if snapshot.endswith(BUILT):  # its tar follows from its files: the digest covers all that they are
            for _chunk in checked_chunks(roots, snapshot, diff_id):
                pass
            return ""
        from runtime.images.compare import layer_problem

        warnings = _meta(roots, snapshot).get("warnings")
        left_out = [str(text) for text in warnings] if isinstance(warnings, list) else []
        text = layer_problem(f"{store_dir(roots)}/{snapshot}", below, diff_id, left_out)
        return text and f"{label}: {text}"
    except RuntimeFault as fault:
        return fault.message.removeprefix("cannot use ")
    except OSError as error:
        return f"{label}: {os.fsdecode(error.filename or snapshot)}: {(error.strerror or '').lower()}"


@record
class Pruned:
    """``lines``: as ``docker image prune`` prints them; ``size``: bytes of content that are free now."""

    lines: tuple[str, ...]
    size: int


def prune(
    roots: Roots,
    everything: bool = False,
    in_use: Callable[[str], list[str]] = lambda _digest: [],
    keeps: Callable[[Image], bool] = lambda _image: False,
) -> Pruned:
    """Remove images without a name, or with ``everything`` all that no container is made from; and what kills left.

    ``keeps``: images to spare.
    """
    prepare(roots)
    with Failing(roots, "prune images"):
        lock = lock_store(roots, exclusive=True)
        try:
            sweep(roots)
            before = layer_sizes(roots)
            lines: list[str] = []
            for image in all_images(roots):
                if (image.reference and not everything) or in_use(image.digest) or keeps(image):
                    continue
                lines += delete_image(roots, image)
            lines += collect(roots)
            after = layer_sizes(roots)
            forget_missing(roots, {_diff_hex(roots, name) for name in after})
            return Pruned(tuple(lines), sum(before.values()) - sum(after.values()))
        finally:
            os.close(lock)


def layer_sizes(roots: Roots) -> dict[str, int]:
    """Name below the store of each layer → bytes of content."""
    base = store_dir(roots)
    found = {}
    for name in _names(f"{base}/layers"):
        found[f"layers/{name}"] = _layer_size(roots, f"layers/{name}")
    return found


def _layer_size(roots: Roots, snapshot: str) -> int:
    size = _meta(roots, snapshot).get("size")
    return size if isinstance(size, int) else 0


def _diff_hex(roots: Roots, snapshot: str) -> str:
    return str(_meta(roots, snapshot).get("diff_id") or "").partition(":")[2]


def _meta(roots: Roots, snapshot: str) -> dict[str, object]:
    try:
        with open(f"{store_dir(roots)}/{snapshot}/meta.json", "rb") as file:
            plain = json.load(file)
        return plain if isinstance(plain, dict) else {}
    except (OSError, ValueError):
        return {}


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


@record
class Usage:
    """``total`` things of which ``active`` are used, ``size`` bytes of which ``free`` could be freed."""

    total: int
    active: int
    size: int
    free: int


def usage(roots: Roots, used: set[str]) -> Usage:
    """Of images; ``used``: ids that containers are made from. A layer of several images counts once."""
    images = all_images(roots)
    sizes = layer_sizes(roots)
    mine = {name for image in images for name in image.snapshots}
    needed = {name for image in images if image.digest in used for name in image.snapshots}
    size = sum(sizes.get(name, 0) for name in mine)
    return Usage(
        len(images),
        sum(image.digest in used for image in images),
        size,
        size - sum(sizes.get(name, 0) for name in needed),
    )


def cache_usage(roots: Roots) -> Usage:
    """Of the build cache: layers that it alone keeps."""
    from runtime.build.cache import kept_layers

    sizes = layer_sizes(roots)
    mine = {name for image in all_images(roots) for name in image.snapshots}
    kept = kept_layers(roots)
    size = sum(sizes.get(name, 0) for name in kept - mine)
    return Usage(len(kept), len(kept & mine), size, size)


def history(roots: Roots, image: Image) -> list[dict[str, object]]:
    """The rows of the configuration's history, the latest first, with docker's field names and sizes in bytes."""
    with open(f"{store_dir(roots)}/configs/{image.digest[7:]}.json", "rb") as file:
        plain = json.load(file)
    layers = list(image.snapshots)
    rows: list[dict[str, object]] = []
    for entry in plain.get("history") or ():
        size = 0
        if not entry.get("empty_layer") and layers:
            size = _layer_size(roots, layers.pop(0))
        rows.append(
            {
                "ID": "<missing>",
                "CreatedAt": entry.get("created") or "",
                "CreatedBy": entry.get("created_by") or "",
                "Size": size,
                "Comment": entry.get("comment") or "",
            }
        )
    rows.reverse()
    if rows:
        rows[0]["ID"] = image.digest
    return rows


def repo_digests(roots: Roots, digest: str) -> list[str]:
    """The names by digest under which registries have the image."""
    return sorted(name for ident, name in all_repo_digests(roots) if ident == digest)


def all_repo_digests(roots: Roots) -> list[tuple[str, str]]:
    """(image id, name by digest) of all images that registries have."""
    base = f"{store_dir(roots)}/refs"
    images = [read_image(f"{base}/{name}") for name in _names(base) if "@" in name and name.endswith(".json")]
    return [(image.digest, image.reference) for image in images]
