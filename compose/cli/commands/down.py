"""``down``."""

from __future__ import annotations

from compose.api.down import DownOptions, down
from compose.cli.commands.common import show_dry_run
from compose.cli.options import is_yes
from compose.cli.session import Reporting
from compose.errors import UsageError
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
    if options.rmi not in ("", "local", "all"):
        raise UsageError(f"cannot use --rmi {options.rmi}", hint="choose one of local, all")
    project, desired = session.project(options.services)
    request = DownOptions(
        services=options.services,
        volumes=options.volumes,
        remove_orphans=options.remove_orphans or is_yes(session.environ.get("COMPOSE_REMOVE_ORPHANS", "")),
        timeout=options.timeout,
        images=options.rmi,
        project=project,
        workers=session.workers,
        lock=session.lock(project),
    )
    if session.shared.dry_run:
        return show_dry_run(session, "down", desired, request)
    with Reporting(session, "down", summary=True) as reporting:
        down(session.engine, desired, request, reporting)
    return 0
