"""Where the store's layers are known to be as blobs: what a push need not send again. A cache; losing it costs bytes.

``origins/HEX.json`` by diff id: rows of registry, repository, digest, size and media type, the latest first.
"""

from __future__ import annotations

import json
import os

from runtime.images.store import store_dir
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.images.registry.manifests import Descriptor
    from runtime.paths import Roots

_MOST = 32  # rows kept per layer


@record
class Origin:
    """A blob that holds a layer."""

    domain: str
    path: str
    digest: str
    size: int
    media_type: str


def _file(roots: Roots, diff_id: str) -> str:
    return f"{store_dir(roots)}/origins/{diff_id.partition(':')[2]}.json"


def remember(roots: Roots, domain: str, path: str, diff_ids: Sequence[str], blobs: Sequence[Descriptor]) -> None:
    """Each layer is in that repository as that blob."""
    os.makedirs(f"{store_dir(roots)}/origins", 0o700, exist_ok=True)
    for diff_id, blob in zip(diff_ids, blobs):
        own = Origin(domain, path, blob.digest, blob.size, blob.media_type)
        rows = [own, *(row for row in origins_of(roots, diff_id) if row != own)][:_MOST]
        temporary = f"{_file(roots, diff_id)}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump([row.__dict__ for row in rows], file, separators=(",", ":"))
        os.rename(temporary, _file(roots, diff_id))


def origins_of(roots: Roots, diff_id: str) -> list[Origin]:
    """Blobs that hold a layer, the latest first."""
    try:
        with open(_file(roots, diff_id), encoding="utf-8") as file:
            return [Origin(**row) for row in json.load(file)]
    except (FileNotFoundError, ValueError, TypeError):
        return []


def forget_missing(roots: Roots, kept: set[str]) -> None:
    """Remove what is known of layers that are gone; ``kept``: hexadecimal diff ids."""
    directory = f"{store_dir(roots)}/origins"
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        if name.partition(".")[0] not in kept:
            try:
                os.unlink(f"{directory}/{name}")
            except FileNotFoundError:
                continue
