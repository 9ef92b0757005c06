"""One stack for all workers of a pytest-xdist run: the first that needs it makes it, the controller takes it down.

``RUN/testing/TESTRUN/KEY.json`` names the stack. Making is under an flock; the guard watches the controller.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from typing import TYPE_CHECKING

from runtime.paths import roots_from_env
from runtime.state import read_json, write_json

if TYPE_CHECKING:
    from types import TracebackType


class claim:
    """``with claim(run, key) as it:`` alone on the machine; ``it.name`` is the stack's, if there is one.

    ``it.stem``: path that files about the stack begin with.
    """

    def __init__(self, run: str, key: object) -> None:
        directory = _directory(run)
        os.makedirs(directory, 0o700, exist_ok=True)
        self.stem = f"{directory}/{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}"
        self._path = f"{self.stem}.json"
        self._fd = os.open(f"{self.stem}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.name = ""

    def __enter__(self) -> claim:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        self.name = (read_json(self._path) or {}).get("project", "")
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def publish(self, name: str) -> None:
        """That stack is up."""
        write_json(self._path, {"project": name})


def end(run: str) -> list[str]:
    """All workers have ended: take the stacks of the run down. Their names."""
    from compose.testing.lease import Lease
    from compose.testing.removal import remove_project
    from runtime.tree import remove_tree

    directory, roots, names = _directory(run), roots_from_env(os.environ), []
    try:
        entries = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    for entry in entries:
        if entry.endswith(".json"):
            with open(f"{directory}/{entry}") as file:
                name = json.load(file)["project"]
            lease = Lease(roots, name)
            remove_project(roots, name, os.environ)
            lease.end()
            names.append(name)
    remove_tree(directory)
    try:
        os.rmdir(os.path.dirname(directory))
    except OSError:
        pass  # another run is on
    return names


def _directory(run: str) -> str:
    return f"{roots_from_env(os.environ).run}/testing/{run}"
