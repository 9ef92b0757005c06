"""``logout``."""

from __future__ import annotations

from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    server: str = ""


def run(session: Session, options: Options) -> int:
    from runtime.images.registry.login import logout, registry_of

    known = logout(options.server, session.environ)
    name = registry_of(options.server)
    session.write(f"Removed the login of {name}\n" if known else f"Not logged in to {name}\n")
    return 0
