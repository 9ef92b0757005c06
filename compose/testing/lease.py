"""Leases: who needs a stack. A lease is a locked file; when nobody holds the lock, the stack is garbage.

``STATE/leases/PROJECT.json`` says what to remove; the kernel gives the lock back whenever its holder dies, however it
dies. Any later command that finds a lease without a holder removes that project (:func:`sweep`). Format:
docs/formats/leases.md.
"""

from __future__ import annotations

import fcntl
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from runtime.paths import Roots

VERSION = 1


def leases_dir(roots: Roots) -> str:
    return f"{roots.state}/leases"


class Lease:
    """Our hold on a project's lease, shared with others that hold it too (the guard, workers). Forks have none."""

    def __init__(self, roots: Roots, project: str) -> None:
        self.project = project
        self.path = f"{leases_dir(roots)}/{project}.json"
        self._fd = _open_locked(self.path, json.dumps({"version": VERSION, "project": project}).encode())
        os.register_at_fork(after_in_child=self._drop)

    def _drop(self) -> None:
        """In a forked child: close our copy, for the lock lasts until the last copy is closed."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def release(self) -> None:
        """Let go; the stack remains for whoever else holds it, or for the sweep."""
        self._drop()

    def end(self) -> None:
        """The stack is gone: remove the file, let go."""
        _unlink(self.path)
        self._drop()


def _open_locked(path: str, content: bytes) -> int:
    """The file, made if need be, with a shared lock, and still the one at that path. Raises OSError."""
    while True:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            if not os.fstat(fd).st_size:
                os.pwrite(fd, content, 0)
            if _is_at(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _unlink(path: str) -> None:
    for remove, target in ((os.unlink, path), (os.rmdir, os.path.dirname(path))):
        try:
            remove(target)
        except OSError:
            pass  # gone already, or other leases are there


def abandoned(roots: Roots) -> Iterator[tuple[str, int]]:
    """(project, descriptor with an exclusive lock) of each lease without a holder; the caller closes it."""
    try:
        names = os.listdir(leases_dir(roots))
    except FileNotFoundError:
        return
    for name in names:
        path = f"{leases_dir(roots)}/{name}"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(fd, path):
                raise BlockingIOError
        except BlockingIOError:  # held: by a test session, or by another sweep
            os.close(fd)
            continue
        yield name.removesuffix(".json"), fd


def sweep(roots: Roots, environ: Mapping[str, str], tell: Callable[[str], None] = lambda _text: None) -> list[str]:
    """Remove every project whose lease nobody holds; their names. What cannot be removed is told and kept."""
    from compose.errors import ComposeError
    from compose.testing.removal import remove_project

    removed = []
    for project, fd in abandoned(roots):
        try:
            remove_project(roots, project, environ)
            _unlink(f"{leases_dir(roots)}/{project}.json")
            removed.append(project)
        except ComposeError as error:
            tell(f"cannot remove the abandoned test stack {project}: {error.message}")
        finally:
            os.close(fd)
    return removed
