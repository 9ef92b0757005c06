"""``image prune``: images that nobody needs."""

from __future__ import annotations

import os

from compose.engine.images import users_of
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
    from compose.api.read import size_text
    from compose.cli.image_filters import for_prune
    from runtime.images.upkeep import prune

    takes = for_prune(options.filter)
    what = "all images without at least one container associated to them" if options.all else "all dangling images"
    if not options.force and not agrees(
        f"WARNING! This will remove {what}.\nAre you sure you want to continue? [y/N] "
    ):
        return 1
    done = prune(
        session.roots, options.all, lambda digest: users_of(session.roots, digest), lambda image: not takes(image)
    )
    if done.lines:
        session.write("Deleted Images:\n" + "".join(f"{line[0].lower()}{line[1:]}\n" for line in done.lines) + "\n")
    session.write(f"Total reclaimed space: {size_text(done.size)}\n")
    return 0


def agrees(question: str) -> bool:
    """Ask; no without a terminal."""
    os.write(2, question.encode())
    return os.isatty(0) and input().strip().lower() in ("y", "yes")


def age(text: str) -> float:
    """``24h``, ``10m`` in seconds. Raises UsageError."""
    from compose.model.units import parse_duration

    try:
        return parse_duration(text) / 1e9
    except ValueError as error:
        raise UsageError(f"cannot filter by until={text}: {error}", hint="write until=24h") from None
