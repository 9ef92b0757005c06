"""The cache taken along: ``cache_to: type=local,dest=DIR`` writes what a build used, ``cache_from`` reads it elsewhere.

A directory of ours (docs/formats/build-cache.md), not BuildKit's: ``records/KEY.json`` and ``blobs/sha256/HEX``, the
layers as tar. What a stranger put there is unpacked as carefully as an image, and its digest is compared; but a record
can claim any result for a key, so a directory must be trusted as an image is.
"""

from __future__ import annotations

import json
import os

from runtime.build.cache import write_small
from runtime.build.errors import BuildFault
from runtime.build.snapshot import tar_chunks
from runtime.errors import BadArchive
from runtime.images.compression import chunks_of
from runtime.images.merged import Merged
from runtime.images.reference import is_digest
from runtime.images.tar import Source, TarReader
from runtime.images.unpack import Extractor
from runtime.tree import open_directory, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.build.cache import Cache, Piece


def places(words: Sequence[str], key: str) -> tuple[list[str], list[str]]:
    """The directories of ``type=local`` words, and the words that are of another type. ``key``: src or dest.

    Raises BuildFault for a local one without a directory.
    """
    found, others = [], []
    for word in words:
        values = dict(part.partition("=")[::2] for part in word.split(","))
        if values.get("type") != "local":
            others.append(word)
        elif not values.get(key):
            raise BuildFault(f"cannot use cache {word!r}: it names no directory", f"write type=local,{key}=DIRECTORY")
        else:
            found.append(values[key])
    return found, others


def export(cache: Cache, used: dict[str, Piece], directory: str) -> None:
    """Write the results that a build used. Raises OSError."""
    for name in ("records", "blobs/sha256"):
        os.makedirs(f"{directory}/{name}", exist_ok=True)
    for key, piece in used.items():
        digest = cache.diff_id(piece)
        blob = f"{directory}/blobs/sha256/{digest[7:]}"
        if not os.path.exists(blob):
            temporary = f"{blob}.{os.getpid()}.tmp"
            with open(temporary, "wb") as file:
                file.writelines(tar_chunks(piece.path))
            os.rename(temporary, blob)
        write_small(f"{directory}/records/{key}.json", {"version": 1, "diff_id": digest, "created": piece.created})


def load(directory: str, key: str, place: str, below: Sequence[str]) -> int:
    """Unpack the result of a key into ``place/diff``; its size, or -1 when there is none that can be used."""
    try:
        with open(f"{directory}/records/{key}.json", "rb") as file:
            digest = json.load(file)["diff_id"]
        if not is_digest(digest):
            return -1
        return _unpack(f"{directory}/blobs/sha256/{digest[7:]}", digest, f"{place}/diff", below)
    except (OSError, ValueError, KeyError, TypeError, BadArchive):
        remove_tree(f"{place}/diff")
        os.mkdir(f"{place}/diff", 0o755)
        return -1


def _unpack(blob: str, digest: str, diff: str, below: Sequence[str]) -> int:
    from hashlib import sha256

    found = sha256()
    root = open_directory(diff)
    try:
        with open(blob, "rb", buffering=0) as file:
            result = Extractor(root, Merged(below) if below else None).run(TarReader(Source(chunks_of(file), found)))
    finally:
        os.close(root)
    if f"sha256:{found.hexdigest()}" != digest:
        raise BadArchive(f"cannot accept cached layer {digest}: its content is another")
    return result.size
