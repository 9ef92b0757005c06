"""A running ``watch``: what it says, as objects, and waiting for it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from tests.support.cli import Project, eventually


class Watch:
    """``pycompose watch`` in the background, its JSON lines collected by a thread."""

    def __init__(
        self, project: Project, *words: str, command: str = "watch", env: dict[str, str] | None = None
    ) -> None:
        self.project = project
        self.child = project.start("--progress", "json", command, *words, env=env)
        self.events: list[dict[str, Any]] = []
        self.other: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stderr is not None
        for line in self.child.stderr:
            try:
                self.events.append(json.loads(line))
            except ValueError:
                self.other.append(line.decode(errors="replace"))

    def of(self, kind: str) -> list[dict[str, Any]]:
        """All that was said of one kind (``sync``) so far."""
        return [one for one in list(self.events) if one.get("type") == f"watch.{kind}"]

    def wait(self, kind: str, count: int = 1, within: float = 10, contains: str = "") -> list[dict[str, Any]]:
        """Until so many were said, with that text in them."""

        def there() -> list[dict[str, Any]]:
            found = [one for one in self.of(kind) if contains in one["text"]]
            assert self.child.poll() is None, f"watch has ended: {self.other} {self.events[-3:]}"
            return found if len(found) >= count else []

        return list(eventually(there, within, f"{count} x watch.{kind} {contains!r}, said: {self.events[-4:]}"))

    def ready(self) -> Watch:
        self.wait("ready", within=20)
        return self

    def quiet(self, seconds: float = 0.4) -> None:
        """Until nothing was said for a while."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < seconds:
            if len(self.events) != seen:
                seen, since = len(self.events), time.monotonic()
            time.sleep(0.02)

    def end(self, number: int = signal.SIGINT, within: float = 10) -> int:
        """Ctrl-C; the exit code."""
        self.child.send_signal(number)
        code = self.child.wait(within)
        self._reader.join(5)
        return code


def inside(project: Project, service: str, path: str, number: int = 1) -> Path:
    """A path in the running container, seen from the host."""
    return Path(f"/proc/{project.state(service, number)['pid']}/root{path}")


def tree(top: Path) -> dict[str, tuple[int, bytes | str]]:
    """All below a directory: mode and content, or where a link leads; directories have none."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for directory, children, files in os.walk(top):
        for name in (*children, *files):
            path = Path(directory, name)
            info = path.lstat()
            content = os.readlink(path) if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
            found[str(path.relative_to(top))] = (0 if path.is_symlink() else info.st_mode & 0o777, content)
    return found


def replace_file(path: Path, text: str) -> None:
    """Save as most programs do: beside, then over."""
    beside = path.with_name(f"{path.name}.tmp")
    beside.write_text(text)
    beside.rename(path)
