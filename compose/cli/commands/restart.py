"""``restart``."""

from __future__ import annotations

from compose.api import lifecycle
from compose.cli.commands.common import change
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    services: tuple[str, ...] = ()
    timeout: int | None = None
    no_deps: bool = False


def run(session: Session, options: Options) -> int:
    session.warm_up()
    life = lifecycle.LifeOptions(services=options.services, timeout=options.timeout, no_deps=options.no_deps)
    return change(session, "restart", lifecycle.restart, life)
