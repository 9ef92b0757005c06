"""``pull``: the images of services."""

from __future__ import annotations

from compose.api.images import PullOptions, plan_pull, pull
from compose.cli.commands.common import tell_plan
from compose.cli.session import Reporting
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    services: tuple[str, ...] = ()
    ignore_buildable: bool = False
    ignore_pull_failures: bool = False
    include_deps: bool = False
    policy: str = ""
    quiet: bool = False
    no_parallel: bool = False
    parallel: bool = False


def run(session: Session, options: Options) -> int:
    if options.policy not in ("", "always", "missing"):
        raise UsageError(f"cannot use --policy {options.policy}", hint="choose one of always, missing")
    desired = session.desired(options.services, runs=False)
    request = PullOptions(
        services=options.services,
        ignore_buildable=options.ignore_buildable,
        ignore_failures=options.ignore_pull_failures,
        include_deps=options.include_deps,
        policy=options.policy,
        workers=1 if options.no_parallel else session.workers,
    )
    if session.shared.dry_run:
        tell_plan(session, plan_pull(desired, session.observe(desired.project, desired), request))
        return 0
    session.hides_parts = options.quiet
    with Reporting(session, "pull") as reporting:
        pull(session.engine, desired, request, reporting)
    return 0
