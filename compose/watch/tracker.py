"""What the watched trees look like: compared with the disk, it says what really changed.

Decisions come from this state and never from events: an event only says where to look. So lost, doubled and reordered
events, atomic saves and whole branches that come at once all end in the same: the difference of two states.
"""

from __future__ import annotations

import errno
import os
import stat
from _blake2 import blake2b

from compose.record import record
from compose.watch.rules import REBUILD, RESTART, is_below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from compose.watch.rules import Filter
    from compose.watch.source import Source

HASHED = 1 << 20  # bytes; of larger files the stamp decides
FILE, DIRECTORY, LINK = "file", "directory", "link"


@record
class Modified:
    """A path that is other than it was. ``gone``: it is no more."""

    path: str
    is_directory: bool = False
    gone: bool = False


class Entry:
    """What was seen of a path: its kind, and its stamp (size, mtime, inode, mode); ``digest`` once it is known."""

    __slots__ = ("digest", "kind", "stamp")

    def __init__(self, info: os.stat_result) -> None:
        self.kind = _KINDS.get(stat.S_IFMT(info.st_mode), "other")
        mode = stat.S_IMODE(info.st_mode)
        # A directory's size and time change with what is in it, which is told on its own.
        self.stamp = (0, 0, 0, mode) if self.kind == DIRECTORY else (info.st_size, info.st_mtime_ns, info.st_ino, mode)
        self.digest = b""


_KINDS = {stat.S_IFREG: FILE, stat.S_IFDIR: DIRECTORY, stat.S_IFLNK: LINK}


class Tracker:
    """The state below all rules. ``warn``: takes a sentence."""

    def __init__(self, filters: Iterable[Filter], source: Source, warn: Callable[[str], None]) -> None:
        self.filters = tuple(filters)
        self.source = source
        self.warn = warn
        self.entries: dict[str, Entry] = {}
        self.names: dict[str, set[str]] = {}  # directory -> names in it that have an entry
        self.polled: set[str] = set()  # directories that no watch could be had for
        self._warned: set[str] = set()
        self._unhashed: list[str] = []
        self._in: dict[str, tuple[Filter, ...]] = {}
        self._tops = {filter.rule.path for filter in self.filters}

    # what belongs to it

    def covering(self, path: str, is_directory: bool) -> list[Filter]:
        """The rules that act on a change of the path."""
        near = self._near(os.path.dirname(path))
        return [filter for filter in near if filter.covers(path, is_directory)]

    def _near(self, directory: str) -> tuple[Filter, ...]:
        """The rules that may say something of what is in a directory."""
        found = self._in.get(directory)
        if found is None:
            found = tuple(one for one in self.filters if one.enters(directory) or self._leads_to(directory, one))
            self._in[directory] = found
        return found

    @staticmethod
    def _leads_to(directory: str, filter: Filter) -> bool:
        return directory != filter.rule.path and is_below(filter.rule.path, directory)

    def _wanted(self, directory: str) -> bool:
        return bool(self._near(directory))

    # looking at everything

    def start(self) -> None:
        """Watch and remember everything there is."""
        self.rescan()

    def rescan(self) -> list[Modified]:
        """Look at everything; what changed since the last look."""
        found: list[Modified] = []
        for top in sorted({self._existing(os.path.dirname(path)) for path in self._tops}):
            self._scan(top, found)
        return found

    @staticmethod
    def _existing(directory: str) -> str:
        while not os.path.isdir(directory):
            directory = os.path.dirname(directory)
        return directory

    def poll(self) -> list[Modified]:
        """Look at the directories that have no watch."""
        found: list[Modified] = []
        for directory in sorted(self.polled):
            if os.path.isdir(directory):
                self._scan(directory, found, deep=False)
        return found

    def _scan(self, top: str, found: list[Modified], *, deep: bool = True) -> None:
        """Bring the state of a directory, and of all below it, up to date. Watched first, so that nothing is missed."""
        waiting = [top]
        while waiting:
            directory = waiting.pop()
            self._watch(directory)
            try:
                with os.scandir(directory) as rows:
                    names = {row.name: row for row in rows}
            except OSError as error:
                self._skip(directory, error)
                continue
            for name in self.names.get(directory, set()) - names.keys():
                self._lost(f"{directory.rstrip('/')}/{name}", found)
            for name, row in names.items():
                path = f"{directory.rstrip('/')}/{name}"
                inner = self._look(path, row, found)
                if inner and (deep or path not in self.names):
                    waiting.append(path)

    def _look(self, path: str, row: os.DirEntry[str] | None, found: list[Modified]) -> bool:
        """Compare one path; whether it is a directory to look into."""
        try:
            if path in self._tops:  # may be a link to what is meant
                info = os.stat(path)
            else:
                info = os.lstat(path) if row is None else row.stat(follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                self._lost(path, found)
            else:
                self._skip(path, error)
            return False
        is_directory = stat.S_ISDIR(info.st_mode)
        covered = bool(self.covering(path, is_directory))
        enters = is_directory and self._wanted(path)
        if covered or enters:
            self._compare(path, Entry(info), found, told=covered)
        return enters

    def _compare(self, path: str, now: Entry, found: list[Modified], *, told: bool) -> None:
        before = self.entries.get(path)
        if before is not None and before.kind == now.kind and before.stamp == now.stamp:
            return
        if before is not None and before.kind == DIRECTORY != now.kind:
            self._lost(path, [])  # its content goes with it
        self.entries[path] = now
        self.names.setdefault(os.path.dirname(path), set()).add(os.path.basename(path))
        if now.kind == FILE and self._decides_by_content(path):
            if before is None:
                self._unhashed.append(path)
            elif self._same_content(path, before, now):
                return
        if told:
            found.append(Modified(path, now.kind == DIRECTORY))

    def _decides_by_content(self, path: str) -> bool:
        """Where a container's own file can be compared, it is; else the digest of what was there decides."""
        return any(one.rule.action in (REBUILD, RESTART) for one in self._near(os.path.dirname(path)))

    def _same_content(self, path: str, before: Entry, now: Entry) -> bool:
        now.digest = _digest(path, now.stamp[0])
        same_mode = before.stamp[3] == now.stamp[3]
        return bool(same_mode and before.digest and before.digest == now.digest)

    def hash_some(self, count: int = 64) -> bool:
        """Read some files that were only looked at so far; whether more are to be read."""
        for path in self._unhashed[-count:]:
            entry = self.entries.get(path)
            if entry is not None and entry.kind == FILE and not entry.digest:
                digest = _digest(path, entry.stamp[0])
                try:
                    unchanged = Entry(os.lstat(path)).stamp == entry.stamp
                except OSError:
                    continue
                entry.digest = digest if unchanged else b""
        del self._unhashed[-count:]
        return bool(self._unhashed)

    # looking where something happened

    def check(self, paths: Iterable[str]) -> list[Modified]:
        """What changed of these paths, and in new directories among them."""
        found: list[Modified] = []
        for path in sorted(paths):
            if not self._near(os.path.dirname(path)) and path not in self.entries:
                continue
            if self._look(path, None, found) and not self.source.has(path):
                self._scan(path, found)
        return found

    def is_gone(self, path: str) -> bool:
        """Whether a path that was there is no more: perhaps only for the moment of a save."""
        return path in self.entries and not os.path.lexists(path)

    def _lost(self, path: str, found: list[Modified]) -> None:
        """A path is gone, with all that was in it."""
        entry = self.entries.pop(path, None)
        if entry is None:
            return
        self.names.get(os.path.dirname(path), set()).discard(os.path.basename(path))
        is_directory = entry.kind == DIRECTORY
        if self.covering(path, is_directory):
            found.append(Modified(path, is_directory, gone=True))
        if is_directory:
            self.source.forget(path)
            self.polled.discard(path)
            for name in sorted(self.names.pop(path, set())):
                self._lost(f"{path}/{name}", found)

    # watches

    def _watch(self, directory: str) -> None:
        self.names.setdefault(directory, set())
        if directory in self.polled:
            return
        try:
            self.source.add(directory)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.ENOSYS):
                self.polled.add(directory)
            if error.errno == errno.ENOSPC:
                self._say("watches", _no_space(self.source.count()))

    def _skip(self, path: str, error: OSError) -> None:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            self._say(path, f"cannot watch {path}: {(error.strerror or '').lower()}; it is left out")

    def _say(self, about: str, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            self.warn(text)


def _digest(path: str, size: int) -> bytes:
    if size > HASHED:
        return b""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return bytes(blake2b(os.read(fd, HASHED), digest_size=16).digest())
    except OSError:
        return b""
    finally:
        os.close(fd)


def _no_space(count: int) -> str:
    """What to do when the kernel has no more watches (inotify(7))."""
    limit = _limit()
    return (
        f"cannot watch more than {count} directories: the limit fs.inotify.max_user_watches is {limit}; the others are "
        f"looked at once a second. Raise it: sysctl fs.inotify.max_user_watches={max(524288, 2 * limit)}"
    )


def _limit() -> int:
    try:
        with open("/proc/sys/fs/inotify/max_user_watches") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0
