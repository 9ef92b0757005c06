"""``top``."""

from __future__ import annotations

from compose.api.processes import TOP_COLUMNS, top_rows
from compose.api.read import select, state_of
from compose.cli.render.table import table
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    services: tuple[str, ...] = ()


def run(session: Session, options: Options) -> int:
    project, desired = session.project(options.services)
    containers = select(session.observe(project), desired, options.services, oneoffs=True)
    rows = top_rows([one for one in containers if state_of(one) in ("running", "paused")])
    if rows:
        session.write(table(TOP_COLUMNS, rows, least=4, gap=2))
    return 0
