"""What happened to a project's containers, and what happens: the runtime's journal as docker compose's events."""

from __future__ import annotations

import json
import os
import select
import time

from compose import labels
from compose.record import record
from runtime.container import read_container
from runtime.events import journal, older
from runtime.logs import IN_CREATE, IN_MODIFY, IN_MOVED_TO, Watcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from runtime.paths import Roots


@record
class Happening:
    """An event. ``time``: ns since the epoch; ``attributes``: the container's own labels, its name and image, and
    what belongs to the action."""

    time: int
    action: str
    id: str
    service: str
    attributes: Mapping[str, str]


@record
class _About:
    """What an entry needs to know of its container."""

    name: str
    labels: Mapping[str, str]


class Journal:
    """The events of a project from now on, or from ``since`` on. Use as a context; then iterate or ``wait``."""

    def __init__(self, roots: Roots, project: str, services: Sequence[str] = (), since_ns: int | None = None) -> None:
        self.roots = roots
        self._project = project
        self._services = frozenset(services)
        self._known: dict[str, _About | None] = {}
        self._since = time.time_ns() if since_ns is None else since_ns
        self._rest = b""
        self._fd = -1
        os.makedirs(roots.run, mode=0o700, exist_ok=True)
        self._watcher = Watcher()
        self._watcher.add(roots.run, IN_MODIFY | IN_CREATE | IN_MOVED_TO)
        self._first = [*self._read(older(roots)), *self._new()]

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_error: object) -> None:
        self._watcher.close()
        if self._fd >= 0:
            os.close(self._fd)

    def fileno(self) -> int:
        """Readable when something may have happened."""
        return self._watcher.fileno()

    def pending(self) -> list[Happening]:
        """What has happened since the last look; does not wait."""
        self._watcher.read()
        events, self._first = [*self._first, *self._new()], []
        return events

    def wait(self, until_ns: int | None = None, reader: int = -1) -> list[Happening]:
        """The next events, up to that moment; an empty list means that it has come.

        ``reader``: our end of a pipe; raises BrokenPipeError when nobody reads it any more.
        """
        events, self._first = self._first, []
        while not events:
            left = None if until_ns is None else (until_ns - time.time_ns()) / 1e6
            poll = select.poll()
            poll.register(self._watcher.fileno(), select.POLLIN)
            if reader >= 0:
                poll.register(reader, 0)  # errors only
            ready = poll.poll(None if left is None else max(0.0, left))
            if any(fd == reader for fd, _mask in ready):
                raise BrokenPipeError
            if not ready:
                return []
            self._watcher.read()
            events = self._new()
        return [event for event in events if until_ns is None or event.time <= until_ns]

    def _new(self) -> list[Happening]:
        """What was appended since the last look; the journal may have been moved away meanwhile."""
        found: list[Happening] = []
        while True:
            if self._fd < 0:
                try:
                    self._fd = os.open(journal(self.roots), os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    return found
            found += self._lines()
            try:
                if os.path.samestat(os.fstat(self._fd), os.stat(journal(self.roots))):
                    return found
            except FileNotFoundError:
                return found
            found += self._lines()  # the last ones before it was moved
            os.close(self._fd)
            self._fd, self._rest = -1, b""

    def _lines(self) -> Iterator[Happening]:
        while data := os.read(self._fd, 1 << 16):
            *complete, self._rest = (self._rest + data).split(b"\n")
            for line in complete:
                yield from self._event(line)

    def _read(self, path: str) -> Iterator[Happening]:
        try:
            with open(path, "rb") as file:
                for line in file:
                    yield from self._event(line)
        except FileNotFoundError:
            return

    def _event(self, line: bytes) -> Iterator[Happening]:
        """The entry of a line, unless it is too old, not of this project, or not to be understood."""
        try:
            entry = json.loads(line)
            about = self._about(entry)
        except (ValueError, KeyError, TypeError):
            return
        if about is None or entry["time"] < self._since or about.labels.get(labels.PROJECT) != self._project:
            return
        service = about.labels.get(labels.SERVICE, "")
        if not self._services or service in self._services:
            yield Happening(entry["time"], entry["action"], entry["id"], service, _attributes(about, entry))

    def _about(self, entry: Mapping[str, Any]) -> _About | None:
        ident = entry["id"]
        if "labels" in entry:
            self._known[ident] = _About(entry["name"], entry["labels"])
        elif ident not in self._known:
            one = read_container(self.roots, ident)
            self._known[ident] = None if one is None else _About(one.name, one.labels)
        return self._known[ident]


def _attributes(about: _About, entry: Mapping[str, Any]) -> dict[str, str]:
    own = {key: value for key, value in about.labels.items() if not key.startswith(labels.PREFIX)}
    image = own.pop(labels.IMAGE_REFERENCE, "")
    return dict(sorted({**own, "image": image, "name": about.name, **entry["attributes"]}.items()))
