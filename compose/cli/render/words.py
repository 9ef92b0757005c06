"""The words of progress: verbs of plan steps as users know them from docker compose."""

from __future__ import annotations

from compose.record import record

# verb -> (while it is being done, when it is done); steps that are not here are parts of others and not shown alone
WORDS = {
    "create": ("Creating", "Created"),
    "start": ("Starting", "Started"),
    "stop": ("Stopping", "Stopped"),
    "kill": ("Killing", "Killed"),
    "pause": ("Pausing", "Paused"),
    "unpause": ("Unpausing", "Unpaused"),
    "remove": ("Removing", "Removed"),
    "update": ("Updating", "Updated"),
    "adopt": ("Adopting", "Adopted"),
    "wait": ("Waiting", "Ready"),
    "pull": ("Pulling", "Pulled"),
    "push": ("Pushing", "Pushed"),
    "build": ("Building", "Built"),
    "load": ("Loading", "Loaded"),
}
INSIDE = {"prepare": "Starting", "connect": "Starting", "disconnect": "Stopping", "rename": "Renaming"}
COUNTED = ("created", "started", "stopped", "killed", "paused", "unpaused", "removed", "updated", "adopted")

RED, GREEN, YELLOW, CYAN, DIM = "31", "32", "33", "36", "2"
BOLD = "1"


@record
class Style:
    """Whether to colour."""

    enabled: bool

    def paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.enabled and text else text


def title(kind: str, name: str) -> str:
    return f"{kind.capitalize()} {name}"


def duration(seconds: float) -> str:
    """As short as it says something: ``84 ms``, ``1.2s``, ``2m05s``."""
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    return f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"


class Counter:
    """What became of the containers, for the last line: the last visible verb of each counts."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def add(self, kind: str, name: str, verb: str) -> None:
        if kind == "container" and verb in WORDS and verb != "wait":
            removed_for_another = verb in ("stop", "remove") and self._last.get(name) in ("Created", "Started")
            if not removed_for_another:  # a replaced container goes under the name that the new one has
                self._last[name] = WORDS[verb][1]

    def summary(self, seconds: float, unchanged: int = 0) -> str:
        """``3 started, 1 unchanged in 84 ms``; empty when nothing was done and nothing is unchanged."""
        counts = {word: 0 for word in COUNTED}
        for word in self._last.values():
            if word.lower() in counts:
                counts[word.lower()] += 1
        parts = [f"{number} {word}" for word, number in counts.items() if number]
        if unchanged:
            parts.append(f"{unchanged} unchanged")
        return f"{', '.join(parts)} in {duration(seconds)}" if parts else ""
