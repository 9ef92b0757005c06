"""``image pull``: images by name, without a Compose file."""

from __future__ import annotations

from compose.api.images import bring
from compose.cli.session import Reporting
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    references: tuple[str, ...]
    platform: str = ""
    quiet: bool = False


def run(session: Session, options: Options) -> int:
    if options.quiet:
        session.progress_mode = "quiet"
    with Reporting(session, "pull") as reporting:
        bring(session.engine, options.references, options.platform, reporting, session.workers)
    for reference in options.references if options.quiet else ():
        session.write(f"{reference}\n")
    return 0
