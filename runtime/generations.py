"""Volumes that can be put back: an overlay whose upper directory is thrown away. Format: docs/formats/generations.md.

``DIR/base`` is the bottom, ``DIR/g0`` takes what the first start writes; :func:`rotate` with ``keep`` makes the current
upper a lower one for good (the baseline), and without it drops the current upper. Either way a fresh upper comes on
top, so that going back costs the same for a byte and for a terabyte. The overlays are ``volatile``: nothing in them
is to survive the machine, and a database's fsync(2) costs nothing (Documentation/filesystems/overlayfs.rst).
"""

from __future__ import annotations

import os

from runtime import plain_json as json
from runtime.container import empty_trash
from runtime.errors import NotFound, RuntimeFault
from runtime.paths import trash_dir
from runtime.record import record, replace, to_plain
from runtime.state import write_atomic
from runtime.volume_mount import mount_once, unmount
from runtime.volumes import VERSION, get_volume, mountpoint, volumes_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.paths import Roots


@record
class Generations:
    """Where a volume stands: ``lowers`` top first, ``number`` of the current upper."""

    directory: str
    lowers: tuple[str, ...]
    number: int = 0

    @property
    def upper(self) -> str:
        return f"{self.directory}/g{self.number}/upper"

    def options(self) -> dict[str, str]:
        """The volume's driver options: what mount(8) would be told."""
        work = f"{self.directory}/g{self.number}/work"
        words = f"lowerdir={':'.join(self.lowers)},upperdir={self.upper},workdir={work},volatile"
        return {"type": "overlay", "device": "overlay", "o": words}


def first_options(directory: str) -> dict[str, str]:
    """Driver options of a new resettable volume; call :func:`prepare` before it is used."""
    return Generations(directory, (f"{directory}/base",)).options()


def prepare(directory: str) -> None:
    """Make the directories of the first generation. Raises RuntimeFault for a path that mount options cannot hold."""
    if set(",:\\") & set(directory):
        raise RuntimeFault(f"cannot keep generations of a volume in {directory}: ',', ':' and '\\' are not possible")
    os.makedirs(f"{directory}/base", 0o755, exist_ok=True)
    _make(Generations(directory, (f"{directory}/base",)))


def _make(generations: Generations) -> None:
    upper = generations.upper
    os.makedirs(os.path.dirname(upper), 0o700, exist_ok=True)
    for path in (upper, f"{os.path.dirname(upper)}/work"):
        os.makedirs(path, 0o755, exist_ok=True)
    below = os.stat(generations.lowers[0])  # the root of the volume keeps its owner and mode
    os.chown(upper, below.st_uid, below.st_gid)
    os.chmod(upper, below.st_mode & 0o7777)


def read(roots: Roots, name: str) -> Generations:
    """Where that volume stands. Raises NotFound when it is none of ours."""
    words = dict(word.split("=", 1) for word in get_volume(roots, name).options.get("o", "").split(",") if "=" in word)
    upper = words.get("upperdir", "")
    head, _, number = upper.removesuffix("/upper").rpartition("/g")
    if not head or not number.isdigit():
        raise NotFound(f"cannot reset volume {name!r}: it was not made for that")
    return Generations(head, tuple(words["lowerdir"].split(":")), int(number))


def rotate(roots: Roots, name: str, *, keep: bool) -> str:
    """Put a fresh upper on top and mount the result as the volume; the directory to be removed when nothing uses it.

    ``keep``: what was written until now becomes the baseline (nothing is to be removed then). Nobody may write
    meanwhile. Containers go on with the mount that they have until it is exchanged (runtime/remount.py).
    """
    before = read(roots, name)
    lowers = (before.upper, *before.lowers) if keep else before.lowers
    after = Generations(before.directory, lowers, before.number + 1)
    _make(after)
    volume = replace(get_volume(roots, name), options=after.options())
    plain = json.dumps({"version": VERSION, **to_plain(volume)}, separators=(",", ":"))
    path = mountpoint(roots, volume)
    was_mounted = os.path.ismount(path)
    write_atomic(f"{volumes_dir(roots)}/{name}/volume.json", plain.encode())
    if was_mounted:
        unmount(path)
        mount_once(path, volume)
    return "" if keep else os.path.dirname(before.upper)


def discard(roots: Roots, directories: Iterable[str]) -> None:
    """Remove generations that nothing uses any more, in the background: they may hold copies of large files."""
    for directory in filter(None, directories):
        os.makedirs(trash_dir(roots), mode=0o700, exist_ok=True)
        os.rename(directory, f"{trash_dir(roots)}/generation-{os.urandom(8).hex()}")
    empty_trash(roots)
