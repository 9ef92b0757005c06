"""One command at a time per project: an flock on a file, told of only when there is somebody to wait for."""

from __future__ import annotations

import fcntl
import os

from compose.errors import EngineError
from compose.events import Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from compose.events import Reporter


class ProjectLock:
    """A context manager. ``path`` empty: no lock. The kernel gives it back when the process ends, however it ends."""

    def __init__(self, path: str, project: str, reporter: Reporter) -> None:
        self._path = path
        self._project = project
        self._reporter = reporter
        self._fd = -1
        self._remove = False

    def __enter__(self) -> ProjectLock:
        while self._path and self._fd < 0:
            self._fd = self._try()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            if self._remove:
                self._unlink()
            os.close(self._fd)
            self._fd = -1

    def remove_at_end(self) -> None:
        """Remove the file, and its directory if empty, when the lock is released: the project is gone."""
        self._remove = True

    def _try(self) -> int:
        """Open and lock; -1 if the file was removed meanwhile, so that the lock would be on nothing."""
        try:
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return -1  # its directory was removed between the two calls
        except OSError as error:
            hint = "run as root, or set PYCOMPOSE_RUN_DIR to a directory of yours"
            raise EngineError(
                f"cannot lock project {self._project}: {self._path}: {error.strerror}", hint=hint
            ) from error
        try:
            self._wait(fd)
            if _same_file(fd, self._path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return -1

    def _wait(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._reporter.emit(Note(f"waiting for another command on project {self._project}"))
            fcntl.flock(fd, fcntl.LOCK_EX)

    def _unlink(self) -> None:
        try:
            os.unlink(self._path)
            os.rmdir(os.path.dirname(self._path))
        except OSError:
            pass  # not empty, or already gone: both are fine


def _same_file(fd: int, path: str) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(fd)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)
