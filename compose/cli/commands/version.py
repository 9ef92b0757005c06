"""``version``."""

from __future__ import annotations

from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session

VERSION = "0.1.0"  # a test compares it with pyproject.toml


@record
class Options:
    format: str = "pretty"
    short: bool = False


def run(session: Session, options: Options) -> int:
    if options.short:
        session.write(f"{VERSION}\n")
    elif options.format == "json":
        session.write(f'{{"version":"{VERSION}"}}\n')
    elif options.format in ("", "pretty"):
        session.write(f"pycompose version {VERSION}\n")
    else:
        raise UsageError(f"cannot show the version as {options.format}", hint="formats: pretty, json")
    return 0
