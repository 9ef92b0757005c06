"""``image rm``, ``rmi``: remove names, and images that have lost the last one."""

from __future__ import annotations

from compose.engine.images import users_of
from compose.record import record
from runtime.errors import RuntimeFault
from runtime.images import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    references: tuple[str, ...]
    force: bool = False


def run(session: Session, options: Options) -> int:
    def in_use(digest: str) -> list[str]:
        return users_of(session.roots, digest)

    failed: list[RuntimeFault] = []
    for reference in options.references:
        try:
            for line in store.remove_image(session.roots, reference, options.force, in_use):
                session.write(f"{line}\n")
        except RuntimeFault as fault:
            failed.append(fault)
    for other in failed[1:]:
        session.tell(f"{other.message}\n")
    if failed:
        raise failed[0]
    return 0
