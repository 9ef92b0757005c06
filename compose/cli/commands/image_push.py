"""``image push``: images by name, without a Compose file."""

from __future__ import annotations

from compose.api.images import send
from compose.cli.session import Reporting
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    references: tuple[str, ...]
    quiet: bool = False
    compression: str = "gzip"


def run(session: Session, options: Options) -> int:
    if options.compression not in ("gzip", "zstd"):
        raise UsageError(f"cannot use --compression {options.compression}", hint="choose one of gzip, zstd")
    if options.quiet:
        session.progress_mode = "quiet"
    with Reporting(session, "push") as reporting:
        send(session.engine, options.references, options.compression, reporting, session.workers)
    for reference in options.references if options.quiet else ():
        session.write(f"{reference}\n")
    return 0
