"""One process, and one thread of it, fetches a layer; the others wait for it and then find it in the store."""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Claim:
    """A flock named after a layer, below the store's ``claims/``; a context manager. Its file goes with its holder.

    ``waiting`` is called when somebody else has it.
    """

    def __init__(self, base: str, diff_id: str, waiting: Callable[[], None]) -> None:
        self._path = f"{base}/claims/{diff_id.partition(':')[2]}"
        self._waiting = waiting
        self._fd = -1

    def __enter__(self) -> Claim:
        os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
        told = False
        while self._fd < 0:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    self._waiting()
                told = True
                fcntl.flock(fd, fcntl.LOCK_EX)
            self._fd = fd if _is_same(fd, self._path) else -1
            if self._fd < 0:  # its holder has removed it meanwhile
                os.close(fd)
        return self

    def release(self) -> None:
        """Let others go on. Before waiting for another layer: whoever waits holds nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass
            os.close(fd)

    def __exit__(self, *_details: object) -> None:
        self.release()


def _is_same(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
