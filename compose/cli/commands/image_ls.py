"""``image ls``: what the store holds."""

from __future__ import annotations

import time

from compose.api.read import STORE_COLUMNS, image_row
from compose.cli.render.table import show
from compose.record import record
from runtime.images import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.api.read import Row
    from compose.cli.session import Session


@record
class Options:
    name: str = ""
    quiet: bool = False
    format: str = "table"
    all: bool = False
    no_trunc: bool = False


def _is_called(row: Row, pattern: str) -> bool:
    """Whether an image's name fits, with or without its tag (docker's ``reference`` filter)."""
    from fnmatch import fnmatchcase

    repository = str(row["Repository"])
    return fnmatchcase(repository, pattern) or fnmatchcase(f"{repository}:{row['Tag']}", pattern)


def run(session: Session, options: Options) -> int:
    rows = [image_row(image.reference, image, time.time()) for image in store.list_images(session.roots)]
    if options.name:
        rows = [row for row in rows if _is_called(row, options.name)]
    if options.no_trunc:
        rows = [{**row, "ShortID": row["ID"]} for row in rows]
    if options.quiet:
        session.write("".join(f"{name}\n" for name in dict.fromkeys(str(row["ShortID"]) for row in rows)))
    else:
        session.write(show(options.format, rows, STORE_COLUMNS, lines=True))
    return 0
