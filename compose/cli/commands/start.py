"""``start``."""

from __future__ import annotations

from compose.api.up import UpOptions, start
from compose.cli.commands.common import show_dry_run
from compose.cli.session import Reporting
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    services: tuple[str, ...] = ()
    wait: bool = False
    wait_timeout: int | None = None


def run(session: Session, options: Options) -> int:
    session.warm_up()
    desired = session.desired(options.services)
    request = UpOptions(
        services=options.services,
        wait=options.wait,
        wait_timeout=options.wait_timeout,
        workers=session.workers,
        lock=session.lock(desired.project),
    )
    if session.shared.dry_run:
        return show_dry_run(session, "start", desired, request)
    with Reporting(session, "start") as reporting:
        start(session.engine, desired, request, reporting)
    return 0
