"""``port``."""

from __future__ import annotations

from compose.api.ports import published
from compose.api.read import check_services, replica
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    service: str
    private_port: str
    protocol: str = "tcp"
    index: int = 0


def run(session: Session, options: Options) -> int:
    if not options.private_port.isdigit() or not 0 < int(options.private_port) < 65536:
        raise UsageError(f"cannot read the port {options.private_port}", hint="ports are 1 to 65535")
    project, desired = session.project((options.service,))
    observed = session.observe(project)
    check_services(observed, desired, (options.service,))
    container = replica(observed.containers, options.service, options.index)
    session.write(f"{published(container, int(options.private_port), options.protocol.lower())}\n")
    return 0
