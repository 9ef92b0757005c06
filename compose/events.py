"""What the core tells whoever shows progress: typed events to a Reporter. Only compose/cli/render prints."""

from __future__ import annotations

from compose.record import EMPTY, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol


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
    """A plan step ended after ``seconds``; ``error`` is empty when it succeeded.

    ``detail``: what has become of it, if that is another thing than the verb says.
    """

    number: int
    kind: str
    name: str
    verb: str
    seconds: float
    error: str = ""
    detail: str = ""


@record
class StepProgress:
    """Long work inside a step, told as it goes: the layers of a pull, the stages of a build.

    ``kind`` and ``name`` are the step's. ``part``: what of it ("4f1c2ad3e5b6", "[2/5] RUN make"), empty for the whole.
    ``status``: a word or a line ("Downloading", "Pull complete"); empty leaves the last. ``current`` of ``total``
    bytes; a total of 0 is not known. ``done``: the part is over.
    """

    kind: str
    name: str
    part: str = ""
    status: str = ""
    current: int = 0
    total: int = 0
    done: bool = False


@record
class Note:
    """A sentence for the user; ``level``: info, warning."""

    text: str
    level: str = "info"


@record
class BuildOutput:
    """Lines of a build's progress; ``name``: the service, or what is built.

    For the live tree: ``image``: the name in the step's row; ``part``: the build's step that the lines are of;
    ``done``: it is over.
    """

    name: str
    text: str
    image: str = ""
    part: str = ""
    done: bool = False


@record
class WatchEvent:
    """Something that ``watch`` did or saw. ``kind``: ready, sync, rebuild, restart, exec, hold, config, warning, error.

    ``text``: a line for people; ``seconds``: from the first change to the end of the action, or 0. ``data``: what a
    program wants to know, such as ``files`` and ``containers``.
    """

    kind: str
    text: str
    service: str = ""
    seconds: float = 0.0
    data: Mapping[str, Any] = EMPTY


if TYPE_CHECKING:
    Event = StepStarted | StepFinished | StepProgress | Note | BuildOutput | WatchEvent

    class Reporter(Protocol):
        """Receives events, from several threads."""

        def emit(self, event: Event) -> None: ...
