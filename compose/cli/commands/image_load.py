"""``image load``, ``load``: images from an archive of docker save or an OCI layout."""

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
    source: str = ""
    input: str = ""
    quiet: bool = False


def run(session: Session, options: Options) -> int:
    if options.source and options.input:
        raise UsageError("cannot load two files at once", hint="name one, with -i or without")
    source = options.input or options.source or "-"
    if source == "-" and os.isatty(0):
        raise UsageError(
            "cannot load from a terminal", hint="name a file, or pipe one in: docker save IMAGE | pycompose load"
        )
    for image in store.load_archive(session.roots, source):
        if not options.quiet:
            session.write(
                f"Loaded image: {image.reference}\n" if image.reference else f"Loaded image ID: {image.digest}\n"
            )
    return 0
