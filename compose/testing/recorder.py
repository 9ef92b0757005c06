"""Keeps the events of what was done to a stack, for ``Stack.events`` and failure reports."""

from __future__ import annotations

import threading
import time

from compose.events import Note, StepFinished, StepStarted
from compose.testing.results import StackEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.events import Event


class Recorder:
    """A Reporter that remembers. Events may come from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[StackEvent] = []
        self._reasons: dict[int, str] = {}

    def emit(self, event: Event) -> None:
        now = time.time()
        with self._lock:
            if isinstance(event, StepStarted):
                self._reasons[event.number] = event.reason
            elif isinstance(event, StepFinished):
                reason = self._reasons.get(event.number, "")
                row = StackEvent(now, event.kind, event.name, event.verb, event.seconds, event.error, reason)
                self._events.append(row)
            elif isinstance(event, Note):
                self._events.append(StackEvent(now, "note", "", event.level, reason=event.text))

    def say(self, kind: str, name: str, verb: str, reason: str = "") -> None:
        """An event of the testing package's own: a fault, a reset."""
        with self._lock:
            self._events.append(StackEvent(time.time(), kind, name, verb, reason=reason))

    def since(self, moment: float = 0.0) -> list[StackEvent]:
        """Events from that time (seconds since the epoch) on."""
        with self._lock:
            return [one for one in self._events if one.time >= moment]
