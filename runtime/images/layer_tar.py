"""A layer of the store as the tar stream that its diff id names, whoever made it."""

from __future__ import annotations

from runtime.errors import BadArchive, RuntimeFault
from runtime.images.store import store_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.images.store import Image
    from runtime.paths import Roots

BUILT = ".build"  # layers of the builder: their tar follows from their files alone


def layer_chunks(roots: Roots, snapshot: str) -> Iterator[bytes]:
    """The stream of a layer by its name below the store. Raises RuntimeFault when it cannot be made again."""
    place = f"{store_dir(roots)}/{snapshot}"
    if snapshot.endswith(BUILT):
        from runtime.build.snapshot import tar_chunks

        return tar_chunks(f"{place}/diff")
    from runtime.images.tape import play

    return play(place)


def checked_chunks(roots: Roots, snapshot: str, diff_id: str) -> Iterator[bytes]:
    """The same, with its digest compared at the end. Raises BadArchive when the layer's files were changed."""
    from hashlib import sha256

    digest = sha256()
    for chunk in layer_chunks(roots, snapshot):
        digest.update(chunk)
        yield chunk
    found = f"sha256:{digest.hexdigest()}"
    if found != diff_id:
        raise BadArchive(
            f"cannot use layer {diff_id[:19]}: its files were changed in the store",
            "remove the image, and pull, load or build it again",
        )


def portable_layers(image: Image, verb: str) -> list[tuple[str, str]]:
    """(snapshot, diff id) of each layer, lowest first. Raises RuntimeFault for images on top of this machine's /usr."""
    if image.binds or any(name.startswith("builtin/") for name in image.snapshots):
        raise RuntimeFault(
            f"cannot {verb} {image.reference or image.digest[:19]}: it is built on `host`, this machine's own",
            "build it on another base; what a container has besides /usr can be had with pycompose export",
        )
    return list(zip(image.snapshots, image.layers, strict=True))
