"""``logs``."""

from __future__ import annotations

import time

from compose.api.follow import Ended, Line, ProjectFollower, merged, short_name
from compose.api.read import replica, seconds_of, select
from compose.cli.render.logs import LogPrinter
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session
    from compose.plan.observed import ObservedContainer


@record
class Options:
    services: tuple[str, ...] = ()
    follow: bool = False
    tail: str = "all"
    timestamps: bool = False
    since: str = ""
    until: str = ""
    no_color: bool = False
    no_log_prefix: bool = False
    index: int = 0


def run(session: Session, options: Options) -> int:
    tail = tail_of(options.tail)
    now = time.time_ns()
    since, until = moment(options.since, now), moment(options.until, now)
    project, desired = session.project(options.services)
    containers = select(session.observe(project), desired, options.services)
    if options.index:
        containers = _one_of(containers, options)
    printer = LogPrinter(
        (short_name(project, one.name) for one in containers),
        colours=not options.no_color and session.colours(1),
        prefix=not options.no_log_prefix,
        timestamps=options.timestamps,
    )
    if options.follow and until is None and containers:
        return _follow(session, project, containers, options, printer, tail, since)
    for line in merged(session.roots, project, containers, tail=tail, since_ns=since, until_ns=until):
        printer.line(line)
    printer.finish()
    printer.flush()
    return 0


def _one_of(containers: list[ObservedContainer], options: Options) -> list[ObservedContainer]:
    if len(options.services) != 1:
        raise UsageError("cannot use --index without one service", hint="name the service whose replica you mean")
    return [replica(containers, options.services[0], options.index, running=False)]


def _follow(
    session: Session,
    project: str,
    containers: list[ObservedContainer],
    options: Options,
    printer: LogPrinter,
    tail: int | None,
    since: int | None,
) -> int:
    """Print what comes until nothing runs any more."""
    with ProjectFollower(
        session.roots, project, options.services, containers, tail=tail, since_ns=since, newcomers=not options.index
    ) as follower:
        while True:
            for event in follower.wait(None if follower.active else 0, reader=1):
                if isinstance(event, Line):
                    printer.line(event)
                elif isinstance(event, Ended):
                    printer.ended(event)
            printer.flush()
            if not follower.active:
                printer.finish()
                printer.flush()
                return 0


def tail_of(text: str) -> int | None:
    """A number of lines; None for all. Raises UsageError."""
    if text == "all":
        return None
    if not text.removeprefix("-").isdigit():
        raise UsageError(f"cannot show the last {text} lines", hint="--tail takes a number, or all")
    return int(text) if int(text) >= 0 else None


def moment(text: str, now: int) -> int | None:
    """``2026-01-02T03:04:05[.6][Z|+02:00]``, ``2026-01-02``, seconds since the epoch, or ``5m`` for ago; in ns.

    Times without a zone are local. Raises UsageError.
    """
    if not text:
        return None
    if text.replace(".", "", 1).isdigit():
        return int(float(text) * 1_000_000_000)
    if text[:4].isdigit() and text[4:5] == "-":
        found = _date(text)
    else:
        found = _before(text, now)
    if found is None:
        hint = "write 2026-01-02T03:04:05Z, or 5m for five minutes ago"
        raise UsageError(f"cannot understand the time {text}", hint=hint)
    return found


def _before(text: str, now: int) -> int | None:
    from compose.model.units import parse_duration

    try:
        return now - parse_duration(text)
    except ValueError:
        return None


def _date(text: str) -> int | None:
    import re

    pattern = r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?"
    match = re.fullmatch(pattern, text)
    if match is None:
        return None
    day, minute, second, fraction, zone = match.groups()
    try:
        parts = time.strptime(f"{day} {minute or '00:00'}{second or ':00'}", "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None
    if zone is None:
        whole = int(time.mktime(parts))
    else:
        whole = int(seconds_of(time.strftime("%Y-%m-%dT%H:%M:%S", parts)))
        if zone != "Z":
            offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
            whole -= offset if zone[0] == "+" else -offset
    return whole * 1_000_000_000 + int((fraction or ".0")[1:].ljust(9, "0"))
