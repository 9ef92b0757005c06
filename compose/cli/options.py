"""What a command line says, whoever parsed it: the command, its own options, the global ones."""

from __future__ import annotations

from compose.record import EMPTY, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Value = bool | int | str | None | tuple[str, ...]

PROGRESS = ("auto", "tty", "plain", "json", "quiet")
ANSI = ("auto", "never", "always")


def is_yes(text: str) -> bool:
    """The value of a boolean environment variable, as Go and docker compose read them."""
    return text.lower() in ("1", "t", "true", "y", "yes", "on")


@record
class Globals:
    """Options of every command; they may stand before or after it. Empty: not given."""

    file: tuple[str, ...] = ()
    project_name: str = ""
    project_directory: str = ""
    env_file: tuple[str, ...] = ()
    profile: tuple[str, ...] = ()
    ansi: str = ""
    progress: str = ""
    parallel: int | None = None
    dry_run: bool = False
    verbose: bool = False
    timings: bool = False
    all_resources: bool = False
    compatibility: bool = False
    no_ansi: bool = False  # what --ansi never was called once
    insecure_registry: tuple[str, ...] = ()


@record
class Parsed:
    """A command line: ``command`` with spaces (``image ls``), ``values`` as the command's ``Options`` take them."""

    command: str
    values: Mapping[str, Value] = EMPTY
    shared: Globals = Globals()


def merge_globals(before: Mapping[str, Value], after: Mapping[str, Value]) -> Globals:
    """The options before the command and those after it: lists add up, of single values the later one counts."""
    merged = dict(before)
    for name, value in after.items():
        earlier = merged.get(name)
        if isinstance(value, tuple) and isinstance(earlier, tuple):
            merged[name] = earlier + value
        elif value is not None and value is not False and value != "":
            merged[name] = value
    return Globals(**merged)  # type: ignore[arg-type]  # both parsers give values of the declared types
