"""``image ls``: what the store holds."""

from __future__ import annotations

import time

from compose.api.read import STORE_COLUMNS, image_row
from compose.cli.render.table import show
from compose.record import record
from runtime.images import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    quiet: bool = False
    format: str = "table"


def run(session: Session, options: Options) -> int:
    rows = [image_row(image.reference, image, time.time()) for image in store.list_images(session.roots)]
    if options.quiet:
        session.write("".join(f"{name}\n" for name in dict.fromkeys(str(row["ShortID"]) for row in rows)))
    else:
        session.write(show(options.format, rows, STORE_COLUMNS, lines=True))
    return 0
