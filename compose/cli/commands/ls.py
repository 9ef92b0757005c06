"""``ls``: the projects on this machine."""

from __future__ import annotations

from compose.api.read import LS_COLUMNS, ls_rows
from compose.cli.render.table import show
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    all: bool = False
    quiet: bool = False
    filter: tuple[str, ...] = ()
    format: str = "table"


def run(session: Session, options: Options) -> int:
    name = ""
    for word in options.filter:
        key, _, name = word.partition("=")
        if key != "name":
            raise UsageError(f"cannot filter by {key}", hint="known: name=TEXT")
    projects = sorted(set(session.observe("").names.values()) - {""})
    containers = [one for project in projects for one in session.observe(project).containers]
    rows = ls_rows(containers, stopped=options.all, name=name)
    if options.quiet:
        session.write("".join(f"{row['Name']}\n" for row in rows))
    else:
        session.write(show(options.format, rows, LS_COLUMNS, least=20))
    return 0
