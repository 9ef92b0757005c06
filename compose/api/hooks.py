"""What lifecycle hooks write, for an attached ``up`` to show between the log lines."""

from __future__ import annotations

import os

from compose.api.follow import Line
from runtime.logs import LogLine

ARROW = " ->"  # after the container's name, as docker compose marks a hook's lines


class HookLines:
    """Collects lines from any thread. ``wake``: an eventfd to be told, once somebody reads them (-1: nobody yet)."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._lines: list[Line] = []
        self.wake = -1

    def add(self, name: str, service: str, text: bytes) -> None:
        """One line of a hook of the container ``name``."""
        short = name.removeprefix(f"{self._project}-")
        self._lines.append(Line(short + ARROW, service, LogLine("", "stdout", text)))
        if self.wake >= 0:
            os.eventfd_write(self.wake, 1)

    def take(self) -> list[Line]:
        """The lines since the last call."""
        taken, self._lines = self._lines, []
        return taken
