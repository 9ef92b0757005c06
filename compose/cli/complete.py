"""The shell's most frequent question, answered without Typer: which service comes after ``pycompose logs``.

Bash only, and only command lines of a command and services; every other completion is Typer's.
"""

from __future__ import annotations

from compose.cli.options import Globals
from compose.cli.table import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def answer(environ: Mapping[str, str]) -> str | None:
    """What to print, a line a name; None when Typer has to be asked."""
    words = environ.get("COMP_WORDS", "").split()
    place = environ.get("COMP_CWORD", "")
    if environ.get("_PYCOMPOSE_COMPLETE") != "complete_bash" or not place.isdecimal() or int(place) < 2:
        return None
    begun = words[1 : int(place)]
    incomplete = words[int(place)] if int(place) < len(words) else ""
    if any(word.startswith("-") for word in (*begun, incomplete)) or not _wants_service(begun):
        return None
    return "".join(f"{name}\n" for name in service_names(environ) if name.startswith(incomplete))


def _wants_service(words: list[str]) -> bool:
    """Whether the next argument of these words is a service."""
    if not words or words[0] not in COMMANDS or not COMMANDS[words[0]][3]:
        return False
    name, arity = COMMANDS[words[0]][3][0]
    return (name == "service" and len(words) == 1) or (name == "services" and arity in "*+" and words[0] != "scale")


def service_names(environ: Mapping[str, str]) -> list[str]:
    """The services of the project here; none when there is no project, or it is broken."""
    from compose.cli.session import Session
    from compose.errors import ComposeError

    try:
        desired = Session(Globals(progress="quiet"), environ).desired()
    except ComposeError:
        return []
    return [service.name for service in desired.services]
