"""What killed commands left behind and nobody has cleared yet; looks only. The next ``up`` of any project clears it."""

from __future__ import annotations

import os

from runtime.linux.identity import start_time
from runtime.linux.mountinfo import unescape
from runtime.paths import containers_dir, trash_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.paths import Roots


def leftovers(roots: Roots) -> list[str]:
    """Paths of half-made and half-removed bundles, and of mounts and run directories whose container is gone."""
    known = set(_names(containers_dir(roots)))
    return [*_staged(roots, known), *_trash(roots), *_orphaned(roots, known), *_mounts(roots, known)]


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _staged(roots: Roots, known: set[str]) -> Iterator[str]:
    """``.new-PID-START-ID`` of writers that are dead."""
    for name in sorted(known):
        parts = name.split("-", 3)
        if parts[0] == ".new" and len(parts) == 4 and str(start_time(int(parts[1]))) != parts[2]:
            yield f"{containers_dir(roots)}/{name}"


def _trash(roots: Roots) -> Iterator[str]:
    yield from (f"{trash_dir(roots)}/{name}" for name in _names(trash_dir(roots)))


def _orphaned(roots: Roots, known: set[str]) -> Iterator[str]:
    directory = f"{roots.run}/containers"
    yield from (f"{directory}/{name}" for name in _names(directory) if name not in known)


def _mounts(roots: Roots, known: set[str]) -> Iterator[str]:
    """Mounts below the directory of a container that is not there any more."""
    heads = (f"{containers_dir(roots)}/", f"{roots.run}/containers/", f"{trash_dir(roots)}/")
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = [unescape(line.split(" ", 5)[4]) for line in file]
    for point in points:
        head = next((one for one in heads if point.startswith(one)), "")
        if head and point[len(head) :].partition("/")[0] not in known:
            yield point
