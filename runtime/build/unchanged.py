"""What a directory of a context held last time, so that an unchanged one costs one lstat(2) per entry and nothing else.

A directory's own times tell whether a name in it came or went, a file's whether its content or mode changed. So the
list of what was there is looked at again, and hashed with all inodes, sizes and times: the same hash, the same digest.
"""

from __future__ import annotations

import json
import os
import threading
import time
from array import array

from runtime.build.cache import key_of, write_small
from runtime.build.context import FRESH, ContextTree, digest_of
from runtime.build.select import entries_of
from runtime.tree import open_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runtime.build.context import Digests
    from runtime.build.select import Pick
    from runtime.images.merged import Found, Merged

_MASK = (1 << 63) - 1
_MOST = 64  # directories remembered per context


class Unchanged:
    """Digests of directories. ``path``: where they are remembered, or empty."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._now = time.time_ns()
        self._rows: dict[str, list[str]] | None = None  # KEY -> names with NUL between them, hash of states, digest
        self._changed = False
        self._lock = threading.Lock()

    def digest(self, tree: Merged, pick: Pick, digests: Digests, owned: bool) -> str:
        """The digest of a source: all below a directory (not what it is itself), or the one entry."""
        key = "" if owned or not pick.found.dirs else self._key(tree, pick)
        if not key:
            return digest_of(_rows(entries_of(tree, pick)), digests, owned)
        known = self._find(key, pick.found)
        if known:
            return known
        entries = list(entries_of(tree, pick))
        found = digest_of(_rows(entries), digests, owned)
        self._keep(key, entries, found)
        return found

    def _key(self, tree: Merged, pick: Pick) -> str:
        """Of a directory and the patterns that leave something out; empty when even that must be looked at."""
        if not self._path or not isinstance(tree, ContextTree):
            return ""
        rules = [ignore.rules for ignore in (tree.ignore, pick.excludes) if ignore]
        if any(keep for rows in rules for keep, _pattern, _text in rows):
            return ""
        at = os.fsdecode(b"/".join(pick.found.at))
        return key_of([os.fsdecode(pick.found.path), at, [[text for _keep, _pattern, text in rows] for rows in rules]])

    def _load(self) -> dict[str, list[str]]:
        with self._lock:
            if self._rows is None:
                try:
                    with open(self._path, "rb") as file:
                        self._rows = dict(json.load(file))
                except (OSError, ValueError, TypeError):
                    self._rows = {}
            return self._rows

    def _find(self, key: str, found: Found) -> str:
        try:
            names, state, digest = self._load()[key]
            return digest if _state(_look(found.path, names.split("\0"))) == state else ""
        except (KeyError, ValueError, TypeError, OSError):
            return ""

    def _keep(self, key: str, entries: list[tuple[str, Found]], digest: str) -> None:
        infos = [entry.info for _name, entry in entries]
        if self._now - max(max(info.st_mtime_ns, info.st_ctime_ns) for info in infos) <= FRESH:
            return  # it could change once more within the same tick of the clock
        rows = self._load()
        row = ["\0".join(name or "." for name, _entry in entries), _state(infos), digest]
        with self._lock:
            rows.pop(key, None)
            while len(rows) >= _MOST:
                del rows[next(iter(rows))]
            rows[key] = row
            self._changed = True

    def save(self) -> None:
        if self._changed and self._rows is not None:
            write_small(self._path, self._rows)
            self._changed = False


def _rows(entries: Iterable[tuple[str, Found]]) -> Iterator[tuple[str, Found]]:
    return ((path, entry) for path, entry in entries if path or not entry.dirs)


def _look(top: bytes, names: list[str]) -> list[os.stat_result]:
    """The entries as they are now. Raises OSError."""
    directory = open_directory(top)
    try:
        stat = os.stat
        return [stat(name, dir_fd=directory, follow_symlinks=False) for name in names]
    finally:
        os.close(directory)


def _state(infos: list[os.stat_result]) -> str:
    from hashlib import sha256

    flat = array("q")
    for info in infos:
        flat.extend((info.st_mode, info.st_ino & _MASK, info.st_size, info.st_mtime_ns, info.st_ctime_ns))
    return sha256(flat).hexdigest()
