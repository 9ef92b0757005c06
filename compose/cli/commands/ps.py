"""``ps``."""

from __future__ import annotations

import time

from compose.api.read import PS_COLUMNS, RUNNING, STATUSES, check_services, in_file_order, ps_rows, state_of
from compose.cli.render.table import show
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session
    from compose.plan.desired import Desired
    from compose.plan.observed import Observed, ObservedContainer


@record
class Options:
    services: tuple[str, ...] = ()
    all: bool = False
    quiet: bool = False
    list_services: bool = False
    status: tuple[str, ...] = ()
    filter: tuple[str, ...] = ()
    format: str = "table"
    no_trunc: bool = False
    orphans: bool = True


def run(session: Session, options: Options) -> int:
    wanted = _statuses(options)
    project, desired = session.project(options.services)
    observed = session.observe(project)
    containers = _chosen(observed, desired, options, wanted)
    if options.quiet:
        session.write("".join(f"{one.id}\n" for one in containers))
    elif options.list_services:
        session.write("".join(f"{name}\n" for name in dict.fromkeys(one.service for one in containers)))
    else:
        rows = ps_rows(containers, time.time(), full=options.no_trunc)
        session.write(show(options.format, rows, PS_COLUMNS, lines=True))
    return 0


def _statuses(options: Options) -> tuple[str, ...]:
    """The states asked for by --status and --filter status=; Raises UsageError for words that are none."""
    wanted = list(options.status)
    for word in options.filter:
        key, _, value = word.partition("=")
        if key != "status":
            raise UsageError(f"cannot filter by {key}", hint="known: status=STATE")
        wanted.append(value)
    for status in wanted:
        if status not in STATUSES:
            raise UsageError(f"cannot filter by the status {status}", hint=f"states: {', '.join(STATUSES)}")
    return tuple(wanted)


def _chosen(
    observed: Observed, desired: Desired | None, options: Options, wanted: tuple[str, ...]
) -> list[ObservedContainer]:
    """Without -a and --status: what runs, in docker compose's sense (paused and restarting ones do)."""
    check_services(observed, desired, options.services)
    known = {service.name for service in desired.services} | set(desired.disabled) if desired else set()
    states = wanted or (STATUSES if options.all else RUNNING)
    return in_file_order(
        (
            one
            for one in observed.containers
            if (not options.services or one.service in options.services)
            and state_of(one) in states
            and (options.all or not one.oneoff)
            and (options.orphans or desired is None or one.service in known)
        ),
        desired,
    )
