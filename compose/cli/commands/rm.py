"""``rm``: asks first, as docker compose does."""

from __future__ import annotations

import sys

from compose.api import lifecycle
from compose.cli.commands.common import change
from compose.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    services: tuple[str, ...] = ()
    force: bool = False
    stop: bool = False
    volumes: bool = False
    all: bool = False


def run(session: Session, options: Options) -> int:
    life = lifecycle.LifeOptions(services=options.services, stop=options.stop, volumes=options.volumes)
    project, desired = session.project(options.services)
    if not session.shared.dry_run:
        names = lifecycle.removable(session.engine, desired, replace(life, project=project))
        if not names:
            session.tell("No stopped containers\n")
            return 0
        session.write(f"Going to remove {', '.join(names)}\n")
        sys.stdout.flush()
        if not options.force and not _confirmed(session):
            return 0
    return change(session, "rm", lifecycle.rm, life)


def _confirmed(session: Session) -> bool:
    """The user's yes. End of input is a no."""
    session.tell("Are you sure? [yN] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
