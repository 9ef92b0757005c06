"""``scale``."""

from __future__ import annotations

from compose.api.up import UpOptions, scale
from compose.cli.commands.common import scales, show_dry_run
from compose.cli.session import Reporting
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    services: tuple[str, ...]
    no_deps: bool = False


def run(session: Session, options: Options) -> int:
    numbers = scales(options.services)
    session.warm_up()
    desired = session.desired(tuple(numbers))
    request = UpOptions(
        scale=numbers, no_deps=options.no_deps, workers=session.workers, lock=session.lock(desired.project)
    )
    if session.shared.dry_run:
        return show_dry_run(session, "scale", desired, request)
    with Reporting(session, "scale", summary=True) as reporting:
        scale(session.engine, desired, request, reporting)
    return 0
