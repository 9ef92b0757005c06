"""What the core tells whoever shows progress: typed events to a Reporter. Only compose/cli/render prints."""

from __future__ import annotations

from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol


@record
class StepStarted:
    """A plan step begins. ``kind``: volume network container service image; ``verb``: create, start, wait ..."""

    number: int
    kind: str
    name: str
    verb: str
    reason: str


@record
class StepFinished:
    """A plan step ended after ``seconds``; ``error`` is empty when it succeeded; ``detail`` is what is worth saying."""

    number: int
    kind: str
    name: str
    verb: str
    seconds: float
    error: str = ""
    detail: str = ""


@record
class Note:
    """A sentence for the user; ``level``: info, warning."""

    text: str
    level: str = "info"


if TYPE_CHECKING:
    Event = StepStarted | StepFinished | Note

    class Reporter(Protocol):
        """Receives events, from several threads."""

        def emit(self, event: Event) -> None: ...
