"""Who uses a stack that several pytest-xdist workers share, so that one of them can be alone with it for a reset.

Two lock files beside the stack's name. Each test that uses the stack holds ``use`` shared until it ends. Who wants to
be alone takes ``gate``, so that no further test begins, and then waits for the others to let go of ``use``. All locks
end with their process.
"""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from compose.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Turns:
    """This process's part. ``stem``: path that the files' names begin with; ``stack``: name, for errors."""

    def __init__(self, stem: str, stack: str) -> None:
        self._stack = stack
        self._said = f"{stem}.{os.getpid()}.test"
        self._stem = stem
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._use = os.open(f"{stem}.use", flags, 0o600)
        self._gate = os.open(f"{stem}.gate", flags, 0o600)
        self._test = ""

    def enter(self, test: str) -> None:
        """A test uses the stack from here on; waits while somebody is alone with it. Again: nothing."""
        if self._test:
            return
        self._test = test
        with open(self._said, "w", encoding="utf-8") as file:
            file.write(test)
        fcntl.flock(self._gate, fcntl.LOCK_SH)
        fcntl.flock(self._use, fcntl.LOCK_SH)
        fcntl.flock(self._gate, fcntl.LOCK_UN)

    def leave(self) -> None:
        """The test has ended. Again: nothing."""
        if self._test:
            self._test = ""
            fcntl.flock(self._use, fcntl.LOCK_UN)
            _unlink(self._said)

    def close(self) -> None:
        self.leave()
        os.close(self._use)
        os.close(self._gate)

    @contextmanager
    def alone(self, timeout: float) -> Iterator[None]:
        """No test of another worker uses the stack; those that begin wait. Raises UsageError after ``timeout`` seconds.

        While it waits another worker may be alone first: to it, this test is at rest.
        """
        fcntl.flock(self._use, fcntl.LOCK_UN)
        held: list[int] = []
        try:
            for name in ("gate", "use"):
                fd = _lock(f"{self._stem}.{name}", timeout)
                if fd < 0:
                    raise self._busy(timeout)
                held.append(fd)
            yield
        finally:
            for fd in held[1:]:
                os.close(fd)
            if self._test:  # before the gate opens: who waits there must find us using the stack again
                fcntl.flock(self._use, fcntl.LOCK_SH)
            for fd in held[:1]:
                os.close(fd)

    def _busy(self, timeout: float) -> UsageError:
        others = ", ".join(self._others()) or "another worker"
        return UsageError(
            f"cannot reset stack {self._stack}: after {timeout:g} s it is used by {others}",
            hint="a reset waits for the tests that share the stack: give it longer with reset(timeout=...), or each "
            "worker a stack of its own with --compose-xdist=per-worker",
        )

    def _others(self) -> list[str]:
        """The tests of other processes that use it."""
        directory, beginning = os.path.split(self._stem)
        found = []
        for name in sorted(os.listdir(directory)):
            pid = name.removeprefix(f"{beginning}.").removesuffix(".test")
            if name.endswith(".test") and pid.isdigit() and int(pid) != os.getpid() and os.path.exists(f"/proc/{pid}"):
                try:
                    with open(f"{directory}/{name}", encoding="utf-8") as file:
                        found.append(file.read())
                except FileNotFoundError:
                    continue
        return found


def _lock(path: str, timeout: float) -> int:
    """A descriptor with an exclusive lock; -1 when that is not possible in time. flock(2) has no limit: it is a thread
    that waits, and lets go of what it gets too late."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    mutex, done, late = threading.Lock(), threading.Event(), threading.Event()

    def wait() -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with mutex:
            done.set()
            if late.is_set():
                os.close(fd)

    threading.Thread(target=wait, daemon=True).start()
    done.wait(timeout)
    with mutex:
        if done.is_set():
            return fd
        late.set()
        return -1


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
