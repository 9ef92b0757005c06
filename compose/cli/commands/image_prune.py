"""``image prune``: images that nobody needs."""

from __future__ import annotations

import os
import time

from compose.engine.images import users_of
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from compose.cli.session import Session
    from runtime.images.store import Image


@record
class Options:
    all: bool = False
    force: bool = False
    filter: tuple[str, ...] = ()


def run(session: Session, options: Options) -> int:
    from compose.api.read import size_text
    from runtime.images.upkeep import prune

    spares = spare(options.filter)
    what = "all images without at least one container associated to them" if options.all else "all dangling images"
    if not options.force and not agrees(
        f"WARNING! This will remove {what}.\nAre you sure you want to continue? [y/N] "
    ):
        return 1
    done = prune(session.roots, options.all, lambda digest: users_of(session.roots, digest), spares)
    if done.lines:
        session.write("Deleted Images:\n" + "".join(f"{line[0].lower()}{line[1:]}\n" for line in done.lines) + "\n")
    session.write(f"Total reclaimed space: {size_text(done.size)}\n")
    return 0


def agrees(question: str) -> bool:
    """Ask; no without a terminal."""
    os.write(2, question.encode())
    return os.isatty(0) and input().strip().lower() in ("y", "yes")


def spare(filters: tuple[str, ...]) -> Callable[[Image], bool]:
    """Which images ``until=`` and ``label=`` leave alone. Raises UsageError."""
    until, wanted = 0.0, []
    for text in filters:
        key, _, value = text.partition("=")
        if key == "until":
            until = time.time() - age(value)
        elif key == "label":
            wanted.append(value)
        else:
            raise UsageError(f"cannot filter by {text}", hint="filters: until=24h, label=KEY[=VALUE]")
    oldest = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until)) if until else ""

    def spares(image: Image) -> bool:
        have = image.config.get("Labels") or {}
        if oldest and image.created > oldest:
            return True
        return not all(_has(have, text) for text in wanted)

    return spares


def _has(have: dict[str, str], text: str) -> bool:
    key, equals, value = text.partition("=")
    return key in have and (not equals or have[key] == value)


def age(text: str) -> float:
    """``24h``, ``10m`` in seconds. Raises UsageError."""
    from compose.model.units import parse_duration

    try:
        return parse_duration(text) / 1e9
    except ValueError as error:
        raise UsageError(f"cannot filter by until={text}: {error}", hint="write until=24h") from None
