"""``image import``, ``import``: an image of a root file system."""

from __future__ import annotations

import os

from compose.errors import UsageError
from compose.record import record
from runtime.images import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    source: str
    reference: str
    change: tuple[str, ...] = ()


def run(session: Session, options: Options) -> int:
    if options.source == "-" and os.isatty(0):
        raise UsageError("cannot import from a terminal", hint="name a file, or pipe one in")
    image = store.import_rootfs(session.roots, options.source, options.reference, options.change)
    session.write(f"{image.digest}\n")
    return 0
