"""``volumes``: the volumes of the project, or of some of its services."""

from __future__ import annotations

from compose.api.read import select
from compose.api.volumes import VOLUME_COLUMNS, volume_rows
from compose.cli.render.table import show
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    services: tuple[str, ...] = ()
    quiet: bool = False
    format: str = "table"


def run(session: Session, options: Options) -> int:
    from runtime.volumes import list_volumes

    project, desired = session.project(options.services)
    used = None
    if options.services:
        containers = select(session.observe(project), desired, options.services, oneoffs=True)
        used = {name for one in containers for kind, name, _target in one.mounts if kind == "volume"}
    rows = volume_rows(session.roots, list_volumes(session.roots), project, used)
    if options.quiet:
        session.write("".join(f"{row['Name']}\n" for row in rows))
    else:
        session.write(show(options.format, rows, VOLUME_COLUMNS, lines=True))
    return 0
