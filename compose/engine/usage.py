"""How much of the disk everything takes."""

from __future__ import annotations

import os

from compose import labels
from runtime import container as containers
from runtime.images.upkeep import Usage, cache_usage, usage
from runtime.paths import Bundle
from runtime.state import ACTIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.paths import Roots


def disk_usage(roots: Roots) -> dict[str, Usage]:
    """Images, containers (what they wrote), volumes, build cache."""
    rows = list(containers.list_containers(roots))
    used = {one.labels.get(labels.IMAGE, "") for one in rows}
    return {
        "Images": usage(roots, used),
        "Containers": _containers(roots, rows),
        "Local Volumes": _volumes(roots, rows),
        "Build Cache": cache_usage(roots),
    }


def _containers(roots: Roots, rows: list[containers.Container]) -> Usage:
    sizes = {one.id: tree_size(Bundle(roots, one.id).upper) for one in rows}
    active = {one.id for one in rows if one.state.status in ACTIVE}
    return Usage(
        len(rows), len(active), sum(sizes.values()), sum(size for ident, size in sizes.items() if ident not in active)
    )


def _volumes(roots: Roots, rows: list[containers.Container]) -> Usage:
    from runtime import volumes

    used = {row[1] for one in rows for row in one.info.get("mounts", ()) if row[0] in ("volume", "anonymous")}
    sizes = {one.name: tree_size(volumes.mountpoint(roots, one)) for one in volumes.list_volumes(roots)}
    return Usage(
        len(sizes),
        sum(name in used for name in sizes),
        sum(sizes.values()),
        sum(size for name, size in sizes.items() if name not in used),
    )


def tree_size(path: str) -> int:
    """Bytes of the files of a tree, hard links once; what goes away meanwhile counts nothing."""
    total = 0
    seen: set[tuple[int, int]] = set()
    stack = [path]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    info = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
                    elif info.st_nlink == 1 or (info.st_dev, info.st_ino) not in seen:
                        seen.add((info.st_dev, info.st_ino))
                        total += info.st_size
        except OSError:
            continue
    return total
