"""``commit``: what a container has changed in its files, as a layer on its image."""

from __future__ import annotations

import os

from runtime.build.cache import Cache
from runtime.build.finishing import write_image
from runtime.build.snapshot import copy_changes, settle
from runtime.build.sources import config_of
from runtime.build.state import state_from_image
from runtime.images.ingest import Staging
from runtime.images.store import store_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from runtime.images.store import Image
    from runtime.paths import Roots


def commit(
    roots: Roots,
    base: Image,
    upper: str,
    config: dict[str, Any],
    tags: Sequence[str],
    *,
    author: str = "",
    message: str = "",
    created_by: str = "",
) -> Image:
    """An image of ``base`` and the container's changes in ``upper``. ``config``: the new image's.

    Nothing may write to ``upper`` meanwhile (the caller pauses the container). Raises RuntimeFault, OSError.
    """
    with Staging(roots) as staging:
        cache = Cache(roots)
        place = f"{staging.path}/commit"
        os.mkdir(place, 0o700)
        os.mkdir(f"{place}/diff", 0o755)
        copy_changes(upper, f"{place}/diff")
        state = state_from_image(base, config_of(roots, base), store_dir(roots))
        size = settle(f"{place}/diff", state.layers)
        key = os.urandom(20).hex()
        state.add(cache.put(key, place, size), key)
        state.config = config
        state.author = author or state.author
        state.note(created_by, empty=False)
        state.history[-1]["comment"] = message
        return write_image(roots, cache, state, tags)
