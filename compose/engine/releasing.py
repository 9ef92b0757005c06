"""The volumes of a container that was removed."""

from __future__ import annotations

from runtime import container as containers
from runtime import volumes
from runtime.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.paths import Roots


def release_volumes(roots: Roots, mounts: Iterable[tuple[str, str, str]], *, anonymous: bool) -> None:
    """Give back what no other container uses: a volume's own file system (tmpfs, nfs) is unmounted; ``anonymous``:
    anonymous volumes are removed, unless another one has them by ``volumes_from`` or as a hook."""
    for kind, name, _target in mounts:
        if kind == "anonymous" and anonymous and not _is_used(roots, name):
            try:
                volumes.remove_volume(roots, name)
            except NotFound:
                continue
        elif kind == "volume" and not _is_used(roots, name):
            volumes.release(roots, name)


def _is_used(roots: Roots, volume: str) -> bool:
    rows = (row for one in containers.list_containers(roots) for row in one.info.get("mounts", ()))
    return any(kind in ("volume", "anonymous") and name == volume for kind, name, _target in rows)
