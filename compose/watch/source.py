"""Where changes come from: directories are added, names of what changed in them are read.

``Inotify`` is the default; ``Watchfiles`` is the library of that name, for machines where inotify does not do; what no
source takes is polled (``compose/watch/tracker.py``). The figures: docs/decisions/0005-watch-source.md.
"""

from __future__ import annotations

import errno
import os
import threading

from runtime.logs import (
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_IGNORED,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    Watcher,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol

    class Source(Protocol):
        """Watches directories, not what is below them."""

        def fileno(self) -> int:
            """Readable when there is something to read."""
            ...

        def add(self, directory: str) -> None:
            """Watch a directory; one that is watched already is no error. Raises OSError (ENOSPC: no more watches)."""
            ...

        def forget(self, directory: str) -> None:
            """Watch it no longer: it is gone, or has another name."""
            ...

        def has(self, directory: str) -> bool:
            """Whether it is still watched: a directory that was made anew under the same name is not."""
            ...

        def count(self) -> int: ...

        def read(self) -> tuple[set[str], bool]:
            """Paths of which something changed; whether some were lost, so that all must be looked at."""
            ...

        def close(self) -> None: ...


IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVE_SELF, IN_Q_OVERFLOW = 0x4, 0x8, 0x800, 0x4000  # inotify(7)
_MASK = (
    IN_ATTRIB
    | IN_CLOSE_WRITE
    | IN_CREATE
    | IN_DELETE
    | IN_DELETE_SELF
    | IN_MODIFY
    | IN_MOVED_FROM
    | IN_MOVED_TO
    | IN_MOVE_SELF
)


class Inotify:
    """The kernel's own: nothing is spent while nothing happens, and a lost event is told."""

    def __init__(self) -> None:
        self._watcher = Watcher()
        self._paths: dict[int, str] = {}
        self._numbers: dict[str, int] = {}

    def fileno(self) -> int:
        return self._watcher.fileno()

    def add(self, directory: str) -> None:
        number = self._watcher.add(directory, _MASK)
        self._paths[number] = directory
        self._numbers[directory] = number

    def forget(self, directory: str) -> None:
        number = self._numbers.pop(directory, None)
        if number is not None and self._paths.get(number) == directory:  # else it was added under its new name
            del self._paths[number]
            self._watcher.remove(number)

    def has(self, directory: str) -> bool:
        return directory in self._numbers

    def count(self) -> int:
        return len(self._paths)

    def read(self) -> tuple[set[str], bool]:
        paths: set[str] = set()
        lost = False
        for number, mask, name in self._watcher.read():
            if mask & IN_Q_OVERFLOW:
                lost = True
                continue
            directory = self._paths.get(number)
            if directory is None:
                continue
            if mask & IN_IGNORED:  # it is gone, and its watch with it
                del self._paths[number]
                if self._numbers.get(directory) == number:
                    del self._numbers[directory]
            paths.add(f"{directory.rstrip('/')}/{name}" if name else directory)
        return paths, lost

    def close(self) -> None:
        self._watcher.close()


class Watchfiles:
    """The watchfiles library, directories one by one. It cannot tell of lost events, and a directory more means a new
    watcher: after each, everything is looked at once more."""

    STEP = 10  # ms between its looks: 0.2 % of a processor

    def __init__(self) -> None:
        from watchfiles._rust_notify import RustNotify

        self._make = RustNotify
        self._directories: dict[str, int] = {}  # to inode
        self._stale = True
        self._found: set[str] = set()
        self._lost = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._wake

    def add(self, directory: str) -> None:
        inode = os.stat(directory).st_ino
        with self._lock:
            if self._directories.get(directory) != inode:
                self._directories[directory] = inode
                self._stale = True
                self._changed.set()

    def forget(self, directory: str) -> None:
        with self._lock:
            self._directories.pop(directory, None)

    def has(self, directory: str) -> bool:
        try:
            return self._directories.get(directory) == os.stat(directory).st_ino
        except OSError:
            return False

    def count(self) -> int:
        return len(self._directories)

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                self._stale = False
                self._changed.clear()
                directories = [path for path in self._directories if os.path.isdir(path)]
            if not directories:
                self._changed.wait(0.05)
                continue
            with self._make(directories, False, False, 300, False, True) as notify:
                self._tell(set(), lost=True)  # what happened before this one looked
                while not self._stop.is_set() and not self._stale:
                    changes: Any = notify.watch(self.STEP * 5, self.STEP, 50, self._stop)
                    if isinstance(changes, set):
                        self._tell({path for _kind, path in changes}, lost=False)

    def _tell(self, paths: set[str], *, lost: bool) -> None:
        with self._lock:
            self._found |= paths
            self._lost |= lost
        os.eventfd_write(self._wake, 1)

    def read(self) -> tuple[set[str], bool]:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            pass
        with self._lock:
            found, self._found = self._found, set()
            lost, self._lost = self._lost, False
        return found, lost

    def close(self) -> None:
        self._stop.set()
        self._changed.set()
        self._thread.join()
        os.close(self._wake)


class Nothing:
    """Takes no directory: all are polled."""

    def __init__(self) -> None:
        self._never = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        return self._never

    def add(self, directory: str) -> None:
        raise OSError(errno.ENOSYS, "polling was asked for", directory)

    def forget(self, directory: str) -> None:
        """It was not watched."""

    def has(self, directory: str) -> bool:
        return False

    def count(self) -> int:
        return 0

    def read(self) -> tuple[set[str], bool]:
        return set(), False

    def close(self) -> None:
        os.close(self._never)


def open_source(environ: Mapping[str, str]) -> Source:
    """The source that ``PYCOMPOSE_WATCH_SOURCE`` names (inotify, watchfiles, polling); inotify where it works."""
    name = environ.get("PYCOMPOSE_WATCH_SOURCE", "")
    if name == "watchfiles":
        return Watchfiles()
    if name == "polling":
        return Nothing()
    try:
        return Inotify()
    except OSError:  # no more instances for this user
        return Nothing()
