"""``builder prune``: what builds have kept."""

from __future__ import annotations

from compose.api.read import size_text
from compose.cli.commands.image_prune import age, agrees
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    all: bool = False
    force: bool = False
    filter: tuple[str, ...] = ()


def run(session: Session, options: Options) -> int:
    from runtime.build.cache import prune

    older = 0.0
    for text in options.filter:
        key, _, value = text.partition("=")
        if key != "until":
            raise UsageError(f"cannot filter by {text}", hint="filters: until=24h")
        older = age(value)
    question = "WARNING! This will remove all build cache. Are you sure you want to continue? [y/N] "
    if not options.force and not agrees(question):
        return 1
    count, size = prune(session.roots, older)
    session.write(f"Removed {count} results of steps\nTotal:\t{size_text(size)}\n")
    return 0
