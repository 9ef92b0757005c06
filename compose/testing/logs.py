"""Log lines of a stack's containers, read and waited for."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from compose.api.follow import Line, ProjectFollower, merged
from compose.errors import DependencyFailed, UsageError
from compose.testing.results import LogLine
from compose.testing.scope import cancel_fd, check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from compose.plan.observed import ObservedContainer
    from compose.testing.stack import Stack


def log_lines(
    stack: Stack,
    containers: Iterable[ObservedContainer],
    *,
    since: str | int | None = None,
    until: int | None = None,
    grep: str = "",
    tail: int | None = None,
) -> list[LogLine]:
    """What they have written, by time."""
    pattern = re.compile(grep)
    lines = merged(stack.roots, stack.name, containers, tail=tail, since_ns=moment(stack, since), until_ns=until)
    return [line for line in map(_line, lines) if pattern.search(line.text)]


def moment(stack: Stack, since: str | int | None) -> int | None:
    """Nanoseconds since the epoch. Raises UsageError for another word than ``test``."""
    if since == "test":
        return stack.mark
    if isinstance(since, str):
        raise UsageError(f"cannot use since={since!r}", hint='give "test" or nanoseconds since the epoch')
    return since


def wait_log(
    stack: Stack, service: str, pattern: str, *, timeout: float, since: str | int | None, count: int
) -> LogLine:
    """The ``count``-th line that matches. Raises DependencyFailed after ``timeout`` seconds, with the last lines."""
    wanted = re.compile(pattern)
    last: list[LogLine] = []
    give_up = time.monotonic() + timeout
    containers = stack.containers((service,))
    with ProjectFollower(stack.roots, stack.name, (service,), containers, since_ns=moment(stack, since)) as follower:
        while (left := give_up - time.monotonic()) > 0:
            events = follower.wait(left, also=cancel_fd())
            check()
            for event in events:
                if isinstance(event, Line):
                    line = _line(event)
                    last = [*last[-29:], line]
                    count -= bool(wanted.search(line.text))
                    if count <= 0:
                        return line
    said = "".join(f"\n  {line}" for line in last) or "\n  (nothing)"
    raise DependencyFailed(
        f"cannot wait longer for {pattern!r} in the log of {service}: {timeout} s; it said:{said}",
        hint="wait longer, or look for other words",
    )


def _line(line: Line) -> LogLine:
    return LogLine(line.service, line.name, line.time, line.stream, line.text.decode("utf-8", "replace").rstrip("\r\n"))
