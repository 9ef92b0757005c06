"""``down``."""

from __future__ import annotations

from compose.api.down import DownOptions, down
from compose.cli.commands.common import refuse, show_dry_run
from compose.cli.session import Reporting
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    services: tuple[str, ...] = ()
    volumes: bool = False
    timeout: int | None = None
    remove_orphans: bool = False
    rmi: str = ""


def run(session: Session, options: Options) -> int:
    refuse({"rmi": options.rmi}, {"rmi": "remove images with: pycompose rmi IMAGE"})
    project, desired = session.project(options.services)
    request = DownOptions(
        services=options.services,
        volumes=options.volumes,
        remove_orphans=options.remove_orphans or bool(session.environ.get("COMPOSE_REMOVE_ORPHANS")),
        timeout=options.timeout,
        project=project,
        workers=session.workers,
        lock=session.lock(project),
    )
    if session.shared.dry_run:
        return show_dry_run(session, "down", desired, request)
    with Reporting(session, "down", summary=True) as reporting:
        down(session.engine, desired, request, reporting)
    return 0
