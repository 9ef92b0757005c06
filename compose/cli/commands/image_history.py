"""``image history``."""

from __future__ import annotations

import time

from compose.api.read import ago, seconds_of, size_text
from compose.cli.render.table import show
from compose.record import record
from runtime.images import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session

COLUMNS = (
    ("IMAGE", "ID"),
    ("CREATED", "CreatedSince"),
    ("CREATED BY", "CreatedBy"),
    ("SIZE", "Size"),
    ("COMMENT", "Comment"),
)
_SHORT = 45


@record
class Options:
    reference: str
    quiet: bool = False
    no_trunc: bool = False
    format: str = "table"


def run(session: Session, options: Options) -> int:
    from runtime.images.upkeep import history

    rows = history(session.roots, store.resolve(session.roots, options.reference))
    shown = [_row(row, options.no_trunc) for row in rows]
    if options.quiet:
        session.write("".join(f"{row['ID']}\n" for row in shown))
    else:
        session.write(show(options.format, shown, COLUMNS, lines=True))
    return 0


def _row(row: dict[str, object], full: bool) -> dict[str, object]:
    """As docker shows it: cut, unless asked for in full."""
    ident, by = str(row["ID"]), str(row["CreatedBy"])
    if not full:
        ident = ident.removeprefix("sha256:")[:12] if ident.startswith("sha256:") else ident
        by = by if len(by) <= _SHORT else f"{by[: _SHORT - 1]}…"
    created = str(row["CreatedAt"])
    since = f"{ago(max(0.0, time.time() - seconds_of(created)))} ago" if created else "N/A"
    size = row["Size"] if isinstance(row["Size"], int) else 0
    return {**row, "ID": ident, "CreatedBy": by, "CreatedSince": since, "Size": size_text(size)}
