"""``system df``: what takes the disk."""

from __future__ import annotations

from compose.api.images import disk_usage
from compose.api.read import size_text
from compose.cli.render.table import show
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session

COLUMNS = (
    ("TYPE", "Type"),
    ("TOTAL", "TotalCount"),
    ("ACTIVE", "Active"),
    ("SIZE", "Size"),
    ("RECLAIMABLE", "Reclaimable"),
)


@record
class Options:
    format: str = "table"


def run(session: Session, options: Options) -> int:
    rows = []
    for kind, row in disk_usage(session.engine).items():
        share = f" ({100 * row.free // row.size}%)" if row.size else ""
        rows.append(
            {
                "Type": kind,
                "TotalCount": str(row.total),
                "Active": str(row.active),
                "Size": size_text(row.size),
                "Reclaimable": f"{size_text(row.free)}{share}",
            }
        )
    session.write(show(options.format, rows, COLUMNS, lines=True))
    return 0
