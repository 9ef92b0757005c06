"""``image inspect``."""

from __future__ import annotations

import json

from compose.record import record
from runtime.images import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    references: tuple[str, ...]


def run(session: Session, options: Options) -> int:
    rows = [store.inspect(session.roots, reference) for reference in options.references]
    session.write(json.dumps(rows, indent=4, ensure_ascii=False) + "\n")
    return 0
