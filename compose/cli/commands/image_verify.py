"""``image verify``: hash everything again. Exit code 1 when something is not as it was."""

from __future__ import annotations

from compose.record import record
from runtime.images import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    references: tuple[str, ...] = ()


def run(session: Session, options: Options) -> int:
    from runtime.images.upkeep import all_images, verify

    named = [store.resolve(session.roots, reference) for reference in options.references]
    images = named or all_images(session.roots)
    problems = verify(session.roots, images)
    for problem in problems:
        session.tell(f"{problem.name}: {problem.text}\n")
    if problems:
        session.tell("  pull, load or build the image again\n")
        return 1
    session.write(f"{len(images)} images are as they were\n")
    return 0
