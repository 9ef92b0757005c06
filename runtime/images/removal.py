"""Removing names and images. A layer goes when no image has it any more; files go to the trash first."""

from __future__ import annotations

import os

from runtime.errors import Conflict
from runtime.images import builtin
from runtime.images.ingest import Failing, discard, lock_store, sweep
from runtime.images.reference import normalise
from runtime.images.store import Image, image_path, is_id, list_images, read_image, reference_path, resolve, store_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.paths import Roots


def remove_image(roots: Roots, reference: str, force: bool, in_use: Callable[[str], list[str]] | None) -> list[str]:
    """See :func:`runtime.images.store.remove_image`."""
    if normalise(reference).full in builtin.FULL_NAMES:
        raise Conflict(f"cannot remove image {reference!r}: it is built in")
    with Failing(roots, f"remove image {reference!r}"):
        lock = lock_store(roots, exclusive=True)
        try:
            sweep(roots)
            return _remove(roots, reference, force, in_use)
        finally:
            os.close(lock)


def _remove(roots: Roots, text: str, force: bool, in_use: Callable[[str], list[str]] | None) -> list[str]:
    image = resolve(roots, text)
    if image.snapshots and all(name.startswith("builtin/") for name in image.snapshots):
        raise Conflict(f"cannot remove image {text!r}: it is built in")
    names = [other.reference for other in list_images(roots) if other.digest == image.digest and other.reference]
    by_name = image.reference in names and not is_id(text)
    going = [image.reference] if by_name else names
    if not by_name and len(names) > 1 and not force:
        raise Conflict(f"cannot remove image {text!r}: it has {len(names)} names", "name one of them, or use --force")
    last = len(going) == len(names)
    users = in_use(image.digest) if in_use and last else []
    if users and not force:
        message = f"cannot remove image {text!r}: {_name_users(users)}"
        raise Conflict(message, "remove the containers first, or use --force to remove only the name")
    lines = [_untag(roots, name) for name in going]
    if last and not users:
        lines += [*delete_image(roots, image), *collect(roots)]
    return lines


def _name_users(users: list[str]) -> str:
    more = f" and {len(users) - 3} more" if len(users) > 3 else ""
    return f"container {', '.join(sorted(users)[:3])}{more} uses it"


def _untag(roots: Roots, name: str) -> str:
    os.unlink(reference_path(roots, normalise(name).full))
    return f"Untagged: {name}"


def delete_image(roots: Roots, image: Image) -> list[str]:
    """Names first, then the image itself; what no other image has is left to :func:`collect`."""
    base = store_dir(roots)
    lines = []
    for name in os.listdir(f"{base}/refs"):
        if name.endswith(".json") and (named := read_image(f"{base}/refs/{name}")).digest == image.digest:
            os.unlink(f"{base}/refs/{name}")
            lines.append(f"Untagged: {named.reference}")
    for path in (image_path(roots, image.digest), f"{base}/configs/{image.digest[7:]}.json"):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
    return [*sorted(lines), f"Deleted: {image.digest}"]


def collect(roots: Roots) -> list[str]:
    """Remove the layers that neither an image nor the build cache has; the store is locked exclusively."""
    base = store_dir(roots)
    from runtime.build.cache import kept_layers

    needed = kept_layers(roots)
    for directory in ("ids", "refs"):
        for name in os.listdir(f"{base}/{directory}"):
            if name.endswith(".json"):
                needed.update(read_image(f"{base}/{directory}/{name}").snapshots)
    gone = [name for name in sorted(os.listdir(f"{base}/layers")) if f"layers/{name}" not in needed]
    for name in gone:
        discard(base, f"{base}/layers/{name}")
    return [f"Deleted: sha256:{name.removesuffix('.chain')}" for name in gone]
