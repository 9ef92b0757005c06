"""What a thread of ours is doing, so that somebody else can end it: for tasks of asyncio that are cancelled."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from compose.engine import waiting
from compose.engine.local import told
from compose.errors import Interrupted
from compose.execute import executor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compose.execute.executor import Executor
    from compose.testing.stack import Stack

_here = threading.local()


class Scope:
    """One call. Once it is cancelled, plans that its thread runs begin no further step, commands in containers are
    killed, and waits end. ``fd`` is readable then."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._cancelled = False
        self._executors: list[Executor] = []

    @contextmanager
    def here(self) -> Iterator[None]:
        """The calling thread works for it."""
        before, _here.scope = getattr(_here, "scope", None), self
        executor.watchers[threading.get_ident()] = self._began
        try:
            yield
        finally:
            _here.scope = before
            if before is None:
                del executor.watchers[threading.get_ident()]
            else:
                executor.watchers[threading.get_ident()] = before._began

    def _began(self, one: Executor) -> None:
        with self._lock:
            self._executors.append(one)
            cancelled = self._cancelled
        if cancelled:
            one.cancel()

    def cancel(self) -> None:
        """From any thread."""
        with self._lock:
            self._cancelled = True
            executors = tuple(self._executors)
        os.eventfd_write(self.fd, 1)
        for one in executors:
            one.cancel()

    def close(self) -> None:
        os.close(self.fd)


@contextmanager
def shielded() -> Iterator[None]:
    """What the thread does meanwhile is not cancelled: it clears up."""
    one = Scope()
    try:
        with one.here():
            yield
    finally:
        one.close()


def cancel_fd() -> int:
    """Readable when the call that the thread works for is cancelled; -1 when it cannot be."""
    scope: Scope | None = getattr(_here, "scope", None)
    return -1 if scope is None else scope.fd


def check() -> None:
    """Raises Interrupted when the call that the thread works for was cancelled."""
    scope: Scope | None = getattr(_here, "scope", None)
    if scope is not None and scope._cancelled:
        raise Interrupted("cannot finish: interrupted")


@told
def wait_until(stack: Stack, idents: tuple[str, ...], condition: str, timeout: float | None) -> None:
    """As :meth:`compose.engine.protocol.Engine.wait_until`. Raises Interrupted when the call is cancelled."""
    waiting.wait_until(stack.roots, idents, condition, timeout, cancel_fd())
