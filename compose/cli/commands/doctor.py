"""``doctor``: what this machine offers, what is missing, what to do.

The exit code is 1 when something is missing without which no container starts; the rest stops only what needs it.
"""

from __future__ import annotations

import json
import os

from compose.api.read import size_text
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session

    Check = tuple[str, bool, str, str]

NEEDED = (
    *("root", "state directory", "run directory", "namespaces", "clone3", "mount API", "overlayfs", "cgroups"),
    *("capabilities", "links"),
)

ROOM, INODES = 1 << 30, 10_000


@record
class Options:
    format: str = "text"


def run(session: Session, options: Options) -> int:
    checks = [*_own(session), *_rooms(), _leftovers(session)]
    if options.format == "json":
        keys = ("name", "ok", "detail", "advice")
        session.write(json.dumps([dict(zip(keys, check)) for check in checks], indent=2, ensure_ascii=False) + "\n")
    elif options.format == "text":
        session.write("".join(_lines(check, session.colours(1)) for check in checks))
    else:
        raise UsageError(f"cannot report as {options.format}", hint="formats: text, json")
    return 0 if all(ok for name, ok, _, _ in checks if name in NEEDED) else 1


def _lines(check: Check, colours: bool) -> str:
    from compose.cli.render.words import GREEN, RED, YELLOW, Style

    name, ok, detail, advice = check
    mark, colour = ("✔", GREEN) if ok else ("✘", RED) if name in NEEDED else ("!", YELLOW)
    mark = Style(colours).paint(mark, colour)
    return f"{mark} {name}: {detail}\n" + (f"    {advice}\n" if advice and not ok else "")


def _rooms() -> list[Check]:
    from netplan import doctor as network
    from runtime import doctor as processes

    return [*processes.checks(), *network.checks()]


def _own(session: Session) -> list[Check]:
    """Root, and the two directories."""
    found: list[Check] = [("root", os.geteuid() == 0, f"uid {os.geteuid()}", "run as root: sudo pycompose …")]
    for title, path in (("state directory", session.roots.state), ("run directory", session.roots.run)):
        there = path
        while not os.path.exists(there):
            there = os.path.dirname(there)
        advice = "set PYCOMPOSE_STATE_DIR and PYCOMPOSE_RUN_DIR to directories that you can write"
        found.append((title, os.access(there, os.W_OK), path, advice))
    return [*found, _disk(session)]


def _disk(session: Session) -> Check:
    """Room and inodes where images and volumes are."""
    there = session.roots.state
    while not os.path.exists(there):
        there = os.path.dirname(there)
    status = os.statvfs(there)
    free = status.f_bavail * status.f_frsize
    enough = free >= ROOM and (not status.f_files or status.f_favail >= INODES)
    inodes = f", {status.f_favail} inodes" if status.f_files else ""
    advice = "make room: pycompose image ls, then pycompose image rm NAME; down -v removes a project's volumes"
    return "disk", enough, f"{size_text(free)} free{inodes} at {there}", "" if enough else advice


def _leftovers(session: Session) -> Check:
    from runtime.leftovers import leftovers

    found = leftovers(session.roots)
    if not found:
        return "leftovers", True, "none", ""
    detail = f"{found[0]}{f' and {len(found) - 1} more' if len(found) > 1 else ''}"
    return "leftovers", False, detail, "the next pycompose up of any project clears what killed commands left"
