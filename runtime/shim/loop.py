"""A small event loop: descriptors and timers, one epoll, no threads. Every long-lived process of ours turns in one."""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[int], None]


class Timer:
    """A pending call; ``cancel`` makes it a no-op."""

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Loop:
    """Watches descriptors (level-triggered) and timers until :meth:`stop`."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.handlers: dict[int, Handler] = {}
        self.timers: list[Timer] = []
        self.running = True

    def watch(self, fd: int, handler: Handler, events: int = select.EPOLLIN) -> None:
        """Call ``handler(events)`` whenever ``fd`` is ready."""
        if fd in self.handlers:
            self.epoll.modify(fd, events)
        else:
            self.epoll.register(fd, events)
        self.handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Stop watching; call before closing the descriptor. Unknown descriptors are ignored."""
        if self.handlers.pop(fd, None) is not None:
            try:
                self.epoll.unregister(fd)
            except (OSError, ValueError):
                pass

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(time.monotonic() + seconds, call)
        self.timers.append(timer)
        return timer

    def stop(self) -> None:
        self.running = False

    def run(self) -> None:
        while self.running:
            self.turn()

    def turn(self) -> None:
        """Wait for the next events or timer, and handle them."""
        for fd, events in self.epoll.poll(self._patience()):
            handler = self.handlers.get(fd)
            if handler is not None:
                handler(events)
        now = time.monotonic()
        due = [timer for timer in self.timers if timer.when <= now]
        if due:
            self.timers = [timer for timer in self.timers if timer.when > now]
            for timer in due:
                if timer.call is not None:
                    timer.call()

    def _patience(self) -> float:
        self.timers = [timer for timer in self.timers if timer.call is not None]
        if not self.timers:
            return -1
        return max(0.0, min(timer.when for timer in self.timers) - time.monotonic())
