"""``events``: what happens to the containers, a line each, until Ctrl-C or ``--until``."""

from __future__ import annotations

import sys
import time

from compose.api.events import Happening, Journal
from compose.api.read import check_services
from compose.cli.commands.logs import moment
from compose.cli.govalues import go_json
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    services: tuple[str, ...] = ()
    json: bool = False
    since: str = ""
    until: str = ""


def run(session: Session, options: Options) -> int:
    now = time.time_ns()
    since, until = moment(options.since, now), moment(options.until, now)
    project, desired = session.project(options.services)
    if options.services:
        check_services(session.observe(project), desired, options.services)
    show = as_json if options.json else as_text
    with Journal(session.roots, project, options.services, since) as journal:
        while events := journal.wait(until, reader=1):
            session.write("".join(show(event) for event in events))
            sys.stdout.flush()
    return 0


def as_json(event: Happening) -> str:
    """docker compose's object; a time in UTC."""
    row = {
        "action": event.action,
        "attributes": event.attributes,
        "id": event.id,
        "service": event.service,
        "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(event.time // 10**9))}.{event.time % 10**9:09d}Z",
        "type": "container",
    }
    return f"{go_json(row)}\n"


def as_text(event: Happening) -> str:
    """``2026-11-26 14:57:14.716184 container die ID (exitCode=0, ...)``, in local time."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.time // 10**9))
    attributes = ", ".join(f"{key}={value}" for key, value in event.attributes.items())
    return f"{when}.{event.time % 10**9 // 1000:06d} container {event.action} {event.id} ({attributes})\n"
