"""``image save``, ``save``: images as an archive."""

from __future__ import annotations

import os
import sys

from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    references: tuple[str, ...]
    output: str = ""


def run(session: Session, options: Options) -> int:
    from runtime.images import save

    if options.output and options.output != "-":
        save.save_to(session.roots, options.references, options.output)
        return 0
    if os.isatty(1):
        raise UsageError("cannot write an archive to a terminal", hint="use -o FILE, or redirect the output")
    save.save(session.roots, options.references, sys.stdout.buffer)
    return 0
