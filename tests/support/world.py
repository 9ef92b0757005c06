"""What on this machine could be left behind: processes, mounts, cgroups, links, rules, routes, directories.

``snapshot`` collects names; the difference of two snapshots is a leak. On a machine that others use at the same time
(``PYCOMPOSE_TESTS_SHARED=1``) only what bears the mark of the test's own directories counts.
"""

from __future__ import annotations

import os
import subprocess
import zlib
from pathlib import Path

SHARED = os.environ.get("PYCOMPOSE_TESTS_SHARED") == "1"
Snapshot = dict[str, set[str]]


def instance(run: str) -> str:
    """The name that kernel objects of these directories bear (runtime.paths.Roots.instance)."""
    return f"pycompose-{zlib.crc32(os.fsencode(run)):08x}"


def snapshot(state: str, run: str) -> Snapshot:
    """Names of everything, by kind."""
    marks = (state, run, instance(run))
    found = {
        "process": _processes(marks),
        "mount": _mounts(marks),
        "cgroup": _cgroups(marks),
        "link": _links(marks),
        "nft table": _tables(marks),
        "route": _routes(marks),
        "container": _entries(f"{state}/containers") | _entries(f"{run}/containers"),
        "project": _entries(f"{run}/projects"),
        "volume": _entries(f"{state}/volumes"),
        "trash": _entries(f"{state}/trash"),
    }
    return found


def difference(before: Snapshot, after: Snapshot) -> list[str]:
    """What is there now and was not."""
    return [f"{kind}: {name}" for kind, names in after.items() for name in sorted(names - before.get(kind, set()))]


def processes_of(run: str) -> dict[int, str]:
    """Launchers, shims and helpers that serve these directories: their command line names the directory."""
    found = {}
    for pid, command in _command_lines():
        if run in command.split("\0"):
            found[pid] = _read(f"/proc/{pid}/comm").strip()
    return found


def is_running(pid: int) -> bool:
    """Whether there is such a process, and not only its zombie."""
    status = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return bool(status) and status[0] not in ("Z", "X")


def _command_lines() -> list[tuple[int, str]]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [(pid, _read(f"/proc/{pid}/cmdline")) for pid in pids]


def _processes(marks: tuple[str, ...]) -> set[str]:
    """Those whose command line or cgroup is ours."""
    found = set()
    for pid, command in _command_lines():
        if pid == os.getpid() or not is_running(pid):  # pid 1 reaps zombies when it likes
            continue
        if marks[1] in command.split("\0") or marks[2] in _read(f"/proc/{pid}/cgroup"):
            found.add(f"{pid} {_read(f'/proc/{pid}/comm').strip()} {command.replace(chr(0), ' ')[:100]}")
    return found


def _mounts(marks: tuple[str, ...]) -> set[str]:
    points = {line.split()[4] for line in _read("/proc/self/mountinfo").splitlines()}
    return {point for point in points if not SHARED or any(mark in point for mark in marks)}


def _cgroups(marks: tuple[str, ...]) -> set[str]:
    found = set()
    for directory, _children, _files in os.walk("/sys/fs/cgroup"):
        if marks[2] in directory:
            found.add(directory)
    return found


def _aliases() -> dict[str, str]:
    return {name: _read(f"/sys/class/net/{name}/ifalias").strip() for name in os.listdir("/sys/class/net")}


def _links(marks: tuple[str, ...]) -> set[str]:
    """All but those that another instance of this program has marked as its own."""
    return {
        f"{name} {alias}"
        for name, alias in _aliases().items()
        if alias.startswith(f"{marks[2]}:") or (not SHARED and not alias.startswith("pycompose"))
    }


def _tables(marks: tuple[str, ...]) -> set[str]:
    """The nf_tables tables, when there is a program to ask."""
    try:
        listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return set()
    return {line for line in listed.splitlines() if marks[2] in line.split()}


def _routes(marks: tuple[str, ...]) -> set[str]:
    """Routes of all tables, when there is a program to ask; others' come and go on a shared machine."""
    if SHARED:
        return set()
    try:
        listed = [
            subprocess.run(["ip", family, "route", "show", "table", "all"], capture_output=True, text=True, check=False)
            for family in ("-4", "-6")
        ]
    except FileNotFoundError:
        return set()
    foreign = {name for name, alias in _aliases().items() if not alias.startswith(f"{marks[2]}:")} - {"lo"}
    return {route for one in listed for route in one.stdout.splitlines() if foreign.isdisjoint(route.split())}


def _entries(directory: str) -> set[str]:
    try:
        return {str(Path(directory, name)) for name in os.listdir(directory)}
    except FileNotFoundError:
        return set()


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""
