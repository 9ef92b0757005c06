"""``images``: the images of the project's containers."""

from __future__ import annotations

import time

from compose.api.read import IMAGE_COLUMNS, image_of, image_row, select
from compose.cli.render.table import show
from compose.record import record
from runtime.errors import NotFound
from runtime.images import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session
    from compose.plan.observed import ObservedContainer


@record
class Options:
    services: tuple[str, ...] = ()
    quiet: bool = False
    format: str = "table"


def run(session: Session, options: Options) -> int:
    project, desired = session.project(options.services)
    containers = select(session.observe(project), desired, options.services)
    rows = [_row(session, one) for one in containers]
    if options.quiet:
        session.write(
            "".join(f"{name}\n" for name in dict.fromkeys(str(row["ID"]).removeprefix("sha256:") for row in rows))
        )
    elif options.format == "json":
        shown = ("ID", "ContainerName", "Repository", "Tag", "Platform", "Size", "LastTagTime")
        session.write(show("json", [{key: row[key] for key in shown} for row in rows], IMAGE_COLUMNS))
    else:
        session.write(show(options.format, rows, IMAGE_COLUMNS, least=20))
    return 0


def _row(session: Session, container: ObservedContainer) -> dict[str, object]:
    """One that was removed from the store meanwhile is shown as far as the container knows it."""
    try:
        image = store.resolve(session.roots, container.image or image_of(container))
    except NotFound:
        image = store.Image(image_of(container), container.image, ())
    return {"ContainerName": container.name, **image_row(image_of(container), image, time.time())}
