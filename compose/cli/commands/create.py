"""``create``."""

from __future__ import annotations

from compose.api.up import UpOptions, create
from compose.cli.commands.common import asking, check_pull, scales, show_dry_run
from compose.cli.session import Reporting
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session
    from compose.plan.desired import Desired


@record
class Options:
    services: tuple[str, ...] = ()
    force_recreate: bool = False
    no_recreate: bool = False
    scale: tuple[str, ...] = ()
    remove_orphans: bool = False
    pull: str = ""
    build: bool = False
    no_build: bool = False
    quiet_pull: bool = False
    yes: bool = False


def run(session: Session, options: Options) -> int:
    check_pull(options.pull)
    session.hides_parts = options.quiet_pull
    desired = session.desired(options.services)
    request = UpOptions(
        services=options.services,
        force_recreate=options.force_recreate,
        no_recreate=options.no_recreate,
        scale=scales(options.scale),
        no_start=True,
        remove_orphans=options.remove_orphans,
        workers=session.workers,
        lock=session.lock(desired.project),
        pull=options.pull,
        build=options.build,
        no_build=options.no_build,
    )
    return asking(session, options.yes, request, lambda request: _run(session, desired, request))


def _run(session: Session, desired: Desired, request: UpOptions) -> int:
    if session.shared.dry_run:
        return show_dry_run(session, "create", desired, request)
    with Reporting(session, "create") as reporting:
        create(session.engine, desired, request, reporting)
    return 0
