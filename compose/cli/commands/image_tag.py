"""``image tag``."""

from __future__ import annotations

from compose.record import record
from runtime.images import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    source: str
    target: str


def run(session: Session, options: Options) -> int:
    store.tag(session.roots, options.source, options.target)
    return 0
