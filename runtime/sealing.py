"""Start the interpreter from where nobody can write it.

A container's init is this interpreter until it executes its own program, and whoever is inside may open its
/proc/PID/exe meanwhile. Started from a read-only overlay view that file cannot be written, whatever the rights
(CVE-2019-5736). Interpreters that find their libraries beside themselves ($ORIGIN) do not start that way: this is
tried once per boot and remembered.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.paths import Roots


def executable(roots: Roots) -> tuple[str, int]:
    """(path to execute, descriptor to close afterwards or -1): the sealed interpreter where that works."""
    from runtime.overlay import ensure_skeleton, sealed_executable

    try:
        fd = sealed_executable(sys.executable, ensure_skeleton(roots))
    except OSError:
        return sys.executable, -1
    path = f"/proc/self/fd/{fd}"
    if _works(roots, path):
        return path, fd
    os.close(fd)
    return sys.executable, -1


def _works(roots: Roots, path: str) -> bool:
    """Whether the interpreter starts from there, asked of it once per boot and interpreter."""
    info = os.stat(path)
    marker = f"{roots.run}/sealed-{info.st_ino}-{info.st_mtime_ns}"
    try:
        with open(marker) as file:
            return file.read() == "yes"
    except FileNotFoundError:
        pass
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    pid = os.posix_spawn(path, [sys.executable, "-I", "-S", "-c", ""], {}, file_actions=null)
    answer = "yes" if os.waitpid(pid, 0)[1] == 0 else "no"
    with open(marker, "w") as file:
        file.write(answer)
    return answer == "yes"
