"""Whether git is at work in a watched tree: then changes are held, and applied once when it has finished."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LOCKS = ("index.lock", "HEAD.lock")
STALE = 60.0  # seconds; a lock of a git that was killed holds nothing longer


def git_directories(paths: Iterable[str]) -> tuple[str, ...]:
    """The git directories of the work trees that the paths are in (a work tree of its own has a ``.git`` file)."""
    found: dict[str, None] = {}
    for path in paths:
        directory = path
        while directory != "/":
            git = _git_directory(f"{directory}/.git")
            if git:
                found[git] = None
                break
            directory = os.path.dirname(directory)
    return tuple(found)


def _git_directory(path: str) -> str:
    if os.path.isdir(path):
        return path
    try:
        with open(path, errors="surrogateescape") as file:
            head, _, place = file.readline(4096).strip().partition(": ")
    except OSError:
        return ""
    return os.path.normpath(os.path.join(os.path.dirname(path), place)) if head == "gitdir" else ""


def is_locked(directories: Iterable[str]) -> bool:
    """Whether a git command is changing one of the work trees."""
    for directory in directories:
        for name in LOCKS:
            try:
                age = time.time() - os.stat(f"{directory}/{name}").st_mtime
            except OSError:
                continue
            if age < STALE:
                return True
    return False
