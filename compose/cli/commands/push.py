"""``push``: the images of services that are built."""

from __future__ import annotations

from compose.api.images import PullOptions, plan_push, push
from compose.cli.commands.common import tell_plan
from compose.cli.session import Reporting
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    services: tuple[str, ...] = ()
    ignore_push_failures: bool = False
    include_deps: bool = False
    quiet: bool = False


def run(session: Session, options: Options) -> int:
    desired = session.desired(options.services, runs=False)
    request = PullOptions(
        services=options.services,
        ignore_failures=options.ignore_push_failures,
        include_deps=options.include_deps,
        workers=session.workers,
    )
    if session.shared.dry_run:
        tell_plan(session, plan_push(desired, request))
        return 0
    if options.quiet:
        session.progress_mode = "quiet"
    with Reporting(session, "push") as reporting:
        push(session.engine, desired, request, reporting)
    return 0
