"""The journal of what happens to containers, for ``events``: one JSON object a line, on tmpfs, of bounded size.

Whoever does something appends: commands what they create and remove, shims the rest. Words are Docker's: create,
start, kill, stop, die, oom, pause, unpause, health_status, exec_create, exec_start, exec_die, destroy. An entry has
``time`` (ns since the epoch), ``id``, ``action`` and ``attributes``; ``create`` and ``destroy`` bring ``name`` and
``labels`` too, with which the others are understood after the container is gone. Page: docs/formats/events.md.
"""

from __future__ import annotations

import fcntl
import os
import time

from runtime import plain_json as json
from runtime.state import CREATED, PAUSED, RESTARTING, RUNNING, STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.paths import Roots
    from runtime.state import State

LIMIT = 1 << 20  # bytes; then the journal becomes the older part, and the one before that goes
_RAN = (RUNNING, PAUSED)


def journal(roots: Roots) -> str:
    return f"{roots.run}/events.json"


def older(roots: Roots) -> str:
    """The part before the last rotation."""
    return f"{roots.run}/events.1.json"


def tell(roots: Roots, ident: str, action: str, attributes: dict[str, str] | None = None, **more: Any) -> None:
    """Append an entry. A journal that cannot be written never hinders what it is about."""
    entry = {"time": time.time_ns(), "id": ident, "action": action, "attributes": attributes or {}, **more}
    line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape") + b"\n"
    try:
        fd = os.open(journal(roots), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        os.write(fd, line)
        if os.fstat(fd).st_size > LIMIT:
            _rotate(roots, fd)
    except OSError:
        pass
    finally:
        os.close(fd)


def _rotate(roots: Roots, fd: int) -> None:
    """One of those who see a full journal moves it away; the others find that it was done."""
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if os.path.samestat(os.fstat(fd), os.stat(journal(roots))):
        os.rename(journal(roots), older(roots))


def transitions(before: State, after: State, *, stopped: bool, seconds: float) -> list[tuple[str, dict[str, str]]]:
    """The (action, attributes) that a change of state means. ``stopped``: by ``stop``; ``seconds``: how long it ran."""
    found: list[tuple[str, dict[str, str]]] = []
    if before.status in (CREATED, RESTARTING) and after.status == RUNNING:
        found.append(("start", {}))
    elif before.status == RUNNING and after.status == PAUSED:
        found.append(("pause", {}))
    elif before.status == PAUSED and after.status == RUNNING:
        found.append(("unpause", {}))
    elif before.status in _RAN and after.status in (RESTARTING, STOPPED):
        if after.oom_killed:
            found.append(("oom", {}))
        if stopped:
            found.append(("stop", {}))
        found.append(("die", {"exitCode": str(after.exit_code), "execDuration": str(int(seconds))}))
    if after.health != before.health and after.health in ("healthy", "unhealthy"):
        found.append((f"health_status: {after.health}", {}))
    return found
