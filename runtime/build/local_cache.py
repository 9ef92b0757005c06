"""A build cache in a directory: ``records/KEY.json``, and ``blobs/sha256/HEX``, the layers as tar."""

from __future__ import annotations

import json
import os

from runtime.build.cache import write_small
from runtime.build.snapshot import tar_chunks
from runtime.images.compression import chunks_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.build.cache import Cache, Piece


FOREIGN = "it was written by BuildKit, whose caches are not read"


class Directory:
    """One that ``write_directory`` wrote (runtime.build.exchange.Import)."""

    def __init__(self, path: str) -> None:
        self._path = path

    def is_foreign(self) -> bool:
        """Whether it is BuildKit's: an OCI layout, without our records."""
        return os.path.exists(f"{self._path}/index.json") and not os.path.isdir(f"{self._path}/records")

    def find(self, key: str) -> tuple[str, str] | None:
        try:
            with open(f"{self._path}/records/{key}.json", "rb") as file:
                plain = json.load(file)
        except FileNotFoundError:
            return None
        return str(plain["diff_id"]), str(plain.get("created") or "")

    def open(self, diff_id: str) -> Iterator[bytes]:
        with open(f"{self._path}/blobs/sha256/{diff_id[7:]}", "rb", buffering=0) as file:
            yield from chunks_of(file)

    def close(self) -> None:
        """Nothing is held."""


def write_directory(cache: Cache, used: dict[str, Piece], directory: str) -> None:
    """Add the results that a build used. Raises OSError."""
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
