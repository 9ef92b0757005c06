"""Which cgroup hierarchies this machine has, and where in them containers belong (cgroups(7)).

Three arrangements exist in daily use: v2 alone ("unified"), v1 alone, and both ("hybrid"). /proc/self/mountinfo says
what is mounted, /proc/self/cgroup where this process is.
"""

from __future__ import annotations

import functools

from runtime.cgroups import files
from runtime.linux.mountinfo import unescape
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

UNIFIED = "unified"


@record
class Hierarchy:
    """A mounted hierarchy. ``base`` is the directory below which containers' cgroups are made.

    ``name``: the controllers as in /proc/self/cgroup (``cpu,cpuacct``, ``name=systemd``), or ``unified`` for v2.
    ``mount`` is where it is mounted; ``base`` begins with it.
    """

    name: str
    mount: str
    base: str

    @property
    def is_v2(self) -> bool:
        return self.name == UNIFIED

    def has(self, controller: str) -> bool:
        """Whether this v1 hierarchy carries the controller."""
        return controller in self.name.split(",")


def parse_positions(text: str) -> dict[str, str]:
    """/proc/PID/cgroup as {hierarchy name: path}; v2 is ``unified``."""
    positions = {}
    for line in text.splitlines():
        _number, name, path = line.split(":", 2)
        positions[name or UNIFIED] = path
    return positions


def parse_mounts(text: str) -> list[tuple[str, str, str, frozenset[str]]]:
    """The cgroup mounts of a mountinfo file: (type, mount point, root, super options)."""
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        kind, _source, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            fields = before.split(" ")
            found.append((kind, unescape(fields[4]), unescape(fields[3]), frozenset(options.split(","))))
    return found


def select_hierarchies(
    positions: Mapping[str, str], mounts: list[tuple[str, str, str, frozenset[str]]]
) -> tuple[Hierarchy, ...]:
    """The hierarchies to use, one mount each.

    In v1 a container stays below our own position, so that limits on us hold for it too. In v2, and in systemd's own
    v1 hierarchy, it goes to the top: a session's scope may hold no controllers for its children (processes live in
    it), and ends with the session.
    """
    chosen: dict[str, Hierarchy] = {}
    for kind, point, root, options in mounts:
        if kind == "cgroup2":
            chosen.setdefault(UNIFIED, Hierarchy(UNIFIED, point, point))
            continue
        name = next((name for name in positions if name != UNIFIED and set(name.split(",")) <= options), "")
        if name and name not in chosen:
            chosen[name] = Hierarchy(name, point, point + ("" if "=" in name else _below(positions[name], root)))
    return tuple(chosen.values())


def _below(position: str, root: str) -> str:
    """``position`` relative to the mount's root, without the part that an enclosing instance of ours added."""
    parts = position.split("/")
    for index, part in enumerate(parts):
        if part.startswith("pycompose") and index + 1 < len(parts):
            position = "/".join(parts[:index])
            break
    if root != "/" and (position == root or position.startswith(root + "/")):
        position = position[len(root) :]
    return position.rstrip("/")


@functools.cache
def hierarchies() -> tuple[Hierarchy, ...]:
    """This machine's hierarchies; read once in the life of a process."""
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        positions = parse_positions(file.read())
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = parse_mounts(file.read())
    return select_hierarchies(positions, mounts)


def leave_unit() -> None:
    """Move this process from the systemd unit or login session that it was started in to the top of the hierarchy.

    The end of a unit is the end of all that is in its cgroup (systemd.kill(5)), and what starts a container is seldom
    meant to end with it. At the top there is nothing to clean away. In a container of ours, or where it is not allowed,
    nothing is done.
    """
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        positions = parse_positions(file.read())
    for hierarchy in hierarchies():
        position = positions.get(hierarchy.name, "/")
        of_systemd = hierarchy.is_v2 or hierarchy.name == "name=systemd"
        if of_systemd and position != "/" and not any(part.startswith("pycompose") for part in position.split("/")):
            try:
                files.write(f"{hierarchy.mount}/cgroup.procs", "0")
            except OSError:
                continue


def mode(found: tuple[Hierarchy, ...]) -> str:
    """``v2``, ``v1``, ``hybrid`` or ``none``."""
    second = any(hierarchy.is_v2 for hierarchy in found)
    first = any(not hierarchy.is_v2 for hierarchy in found)
    return {(True, True): "hybrid", (True, False): "v2", (False, True): "v1"}.get((second, first), "none")
