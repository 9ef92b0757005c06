"""``unpause``."""

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


def run(session: Session, options: Options) -> int:
    return change(session, "unpause", lifecycle.unpause, lifecycle.LifeOptions(services=options.services))
