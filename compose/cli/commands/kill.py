"""``kill``."""

from __future__ import annotations

from compose.api import lifecycle
from compose.cli.commands.common import change
from compose.record import record
from runtime.signals import signal_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    services: tuple[str, ...] = ()
    signal: str = "SIGKILL"
    remove_orphans: bool = False


def run(session: Session, options: Options) -> int:
    signal_number(options.signal)  # a wrong name is wrong whether or not something runs
    life = lifecycle.LifeOptions(
        services=options.services, signal=options.signal, remove_orphans=options.remove_orphans
    )
    return change(session, "kill", lifecycle.kill, life)
