"""What later entries of a layer replaced: kept beside its files, because the layer's tar still has it.

The n-th file or directory that gives way is moved to ``replaced/N`` and noted in ``tar.replaced``: how many contents
the tape had by then, and its path. An earlier content of the tape, at or below that path, lies there from then on.
Format: docs/formats/image-store.md.
"""

from __future__ import annotations

import os
import stat
import struct

from runtime.errors import RuntimeFault
from runtime.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DIRECTORY, NOTES = "replaced", "tar.replaced"
_ROW = ">QH"  # contents of the tape so far, length of the path; the path follows
_MOST = 16 << 20  # bytes of notes: they are held in memory while the layer is read


class Replaced:
    """Takes what is replaced while a layer is unpacked at ``place``. ``full``: there was more than can be noted."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._notes: Any = None
        self._size = self.count = 0
        self.full = False

    def take(self, fd: int, at: tuple[bytes, ...], contents: int) -> None:
        """Move the last name of ``at``, in the directory ``fd``, out of the layer; what the tape cannot need goes."""
        info = os.stat(at[-1], dir_fd=fd, follow_symlinks=False)
        needed = stat.S_ISDIR(info.st_mode) or (stat.S_ISREG(info.st_mode) and info.st_size > 0)
        path = b"/".join(at)
        self.full = self.full or self._size + len(path) > _MOST
        if self.full or not needed:
            remove_tree(at[-1], fd)
            return
        if self._notes is None:
            os.mkdir(f"{self._place}/{DIRECTORY}", 0o700)
            self._notes = open(f"{self._place}/{NOTES}", "wb")
        os.rename(at[-1], f"{self._place}/{DIRECTORY}/{self.count}", src_dir_fd=fd)
        row = struct.pack(_ROW, contents, len(path)) + path
        self._notes.write(row)
        self._size += len(row)
        self.count += 1

    def close(self, drop: bool) -> None:
        """Finish the notes. ``drop``: nobody will read them; remove what was taken."""
        if self._notes is None:
            return
        self._notes.close()
        if drop:
            os.unlink(f"{self._place}/{NOTES}")
            remove_tree(f"{self._place}/{DIRECTORY}")


class Places:
    """Where the contents of a tape lie. ``noted``: whether the layer has something replaced."""

    def __init__(self, place: str, noted: bool) -> None:
        self._diff = os.fsencode(f"{place}/diff/")
        self._beside = os.fsencode(f"{place}/{DIRECTORY}/")
        self._rows: dict[bytes, list[tuple[int, int]]] = {}  # path -> (contents before it, N), in order
        self._contents = 0
        if noted:
            self._read(f"{place}/{NOTES}")

    def _read(self, path: str) -> None:
        try:
            with open(path, "rb") as file:
                data = file.read(2 * _MOST)
            at = number = 0
            while at < len(data):
                contents, length = struct.unpack_from(_ROW, data, at)
                at += struct.calcsize(_ROW) + length
                if at > len(data):
                    raise ValueError
                self._rows.setdefault(data[at - length : at], []).append((contents, number))
                number += 1
        except (OSError, ValueError, struct.error):
            hint = "remove the image, and pull or load it again"
            raise RuntimeFault(f"cannot read {path}: it is missing or damaged", hint) from None

    def next(self, path: bytes) -> bytes:
        """The file that has the next content of the tape, which the tape has at ``path``."""
        number = self._contents
        self._contents += 1
        if not self._rows:
            return self._diff + path
        best, rest = (-1, -1), b""
        end = len(path)
        while end > 0:  # the path itself, then each directory above it: the first to be replaced has it
            for row in _after(self._rows.get(path[:end], ()), number):
                if best[0] < 0 or row < best:
                    best, rest = row, path[end:]
            end = path.rfind(b"/", 0, end)
        return self._diff + path if best[0] < 0 else b"%s%d%s" % (self._beside, best[1], rest)


def _after(rows: Any, number: int) -> Any:
    """The first row that is about content ``number``, in a list of one or none."""
    from bisect import bisect_right

    at = bisect_right(rows, (number, 1 << 62)) if rows else 0
    return rows[at : at + 1]
