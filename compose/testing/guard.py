"""The guard: a process that outlives the tests just long enough to remove their stacks, whatever killed them.

It is in a session of its own, ignores the signals of a terminal, watches the process of the tests by pidfd, and is told
over a pipe which stacks there are. When that process is gone, or closes the pipe, it removes what it was told of and
ends. It runs on the standard library alone, so that it starts in a few milliseconds.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from compose.testing.lease import Lease
    from runtime.paths import Roots

_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from compose.testing.guard import main; main(sys.argv[2:])"
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTSTP)


class Guard:
    """The tests' side. ``watched``: the process whose death ends the stacks, ours by default."""

    def __init__(self, watched: int = 0) -> None:
        self.watched = watched or os.getpid()
        self.pid = 0
        self._pipe = -1
        self._stacks: dict[str, Roots] = {}
        os.register_at_fork(after_in_child=self._drop)

    def add(self, roots: Roots, project: str) -> None:
        """From now on that stack does not outlive the watched process. Starts the guard, again if it was killed."""
        self._stacks[project] = roots
        if not self._say({"add": project, "state": roots.state, "run": roots.run}):
            self._start()
            for name, its_roots in self._stacks.items():
                self._say({"add": name, "state": its_roots.state, "run": its_roots.run})

    def drop(self, project: str) -> None:
        """That stack is gone, or is to be kept; the last one ends the guard."""
        self._stacks.pop(project, None)
        self._say({"drop": project})
        if not self._stacks:
            self.close()

    def close(self) -> None:
        """Let the guard end; it removes what it still has."""
        self._drop()

    def _drop(self) -> None:
        pipe, self._pipe = self._pipe, -1
        if pipe >= 0:
            os.close(pipe)

    def _say(self, message: dict[str, str]) -> bool:
        if self._pipe < 0:
            return False
        try:
            os.write(self._pipe, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            self._drop()
            return False
        return True

    def _start(self) -> None:
        import subprocess

        import compose
        from runtime.linux.identity import start_time

        reader, self._pipe = os.pipe2(os.O_CLOEXEC)
        root = os.path.dirname(os.path.dirname(os.path.abspath(str(compose.__file__))))
        words = [str(reader), str(self.watched), str(start_time(self.watched)), str(int(self.watched == os.getpid()))]
        try:
            child = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, root, *words],
                pass_fds=(reader,),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            with child:  # it forks and ends: the guard is nobody's child, so that no wait() of a test meets it
                assert child.stdout is not None
                self.pid = int(child.stdout.read() or 0)
        finally:
            os.close(reader)


def main(words: list[str]) -> None:
    """The guard's process: pipe, pid to watch, its start time, whether the end of the pipe is the end (0 or 1)."""
    if pid := os.fork():
        os.write(1, str(pid).encode())
        os._exit(0)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.setsid()
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    pipe, watched, started, own = (int(word) for word in words)
    stacks = _Stacks()
    _watch(pipe, watched, started, stacks, pipe_counts=bool(own))
    stacks.remove_all()
    os._exit(0)


class _Stacks:
    """The stacks we answer for, each with a lease of ours, so that nobody sweeps what we are about to remove."""

    def __init__(self) -> None:
        self._leases: dict[str, tuple[Roots, Lease]] = {}

    def take(self, message: dict[str, Any]) -> None:
        from compose.testing.lease import Lease
        from runtime.paths import Roots

        if "drop" in message:
            found = self._leases.pop(message["drop"], None)
            if found is not None:
                found[1].release()
        elif message["add"] not in self._leases:
            roots = Roots(message["state"], message["run"])
            self._leases[message["add"]] = (roots, Lease(roots, message["add"]))

    def remove_all(self) -> None:
        from compose.testing.removal import remove_project

        for project, (roots, lease) in self._leases.items():
            try:
                remove_project(roots, project, os.environ)
                lease.end()
            except Exception:  # noqa: BLE001  the others must go all the same; the sweep will try this one again
                lease.release()


def _watch(pipe: int, watched: int, started: int, stacks: _Stacks, *, pipe_counts: bool) -> None:
    """Read what we are told until the watched process or the pipe has ended; what was written before counts.

    Not ``pipe_counts``: who writes is not who is watched (a worker that made a stack for all), and may end before.
    """
    from runtime.linux.identity import start_time

    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    try:
        pidfd = os.pidfd_open(watched)
        poll.register(pidfd, select.POLLIN)
    except ProcessLookupError:
        pidfd = -1
    alive = pidfd >= 0 and start_time(watched) == started
    os.set_blocking(pipe, False)
    text = b""
    while True:
        ready = poll.poll(None if alive else 0)
        alive = alive and not any(fd == pidfd for fd, _events in ready)
        data = _read(pipe)
        *lines, text = (text + (data or b"")).split(b"\n")
        for line in lines:
            stacks.take(json.loads(line))
        if data == b"" and alive and not pipe_counts:
            poll.unregister(pipe)
            data = None
        if (not alive and not data) or data == b"":
            return


def _read(pipe: int) -> bytes | None:
    """What is there; empty at the end, None when there is nothing now."""
    try:
        return os.read(pipe, 65536)
    except BlockingIOError:
        return None
