"""The output of several containers as one stream: what is there, merged by time, and what comes, as it comes.

Following waits on one inotify instance: the logs, the state files, and the two directories in which containers appear
and disappear. Nothing is polled.
"""

from __future__ import annotations

import os
import select
from heapq import merge

from compose import labels
from compose.record import record
from runtime.container import read_container
from runtime.linux.identity import boot_id
from runtime.logs import IN_CREATE, IN_MOVED_FROM, IN_MOVED_TO, Follower, Watcher, read_log, timestamp
from runtime.paths import Bundle, containers_dir
from runtime.state import ACTIVE, STOPPED, read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from compose.plan.observed import ObservedContainer
    from runtime.logs import LogLine
    from runtime.paths import Roots
    from runtime.state import State


class Line:
    """A log entry of a container; ``name`` is the short one (``web-1``)."""

    __slots__ = ("name", "service", "stream", "text", "time")

    def __init__(self, name: str, service: str, entry: LogLine) -> None:
        self.name = name
        self.service = service
        self.stream = entry.stream
        self.time = entry.time
        self.text = entry.text


@record
class Ended:
    """A container's process ended with ``exit_code``; ``again``: its restart policy starts it once more."""

    name: str
    service: str
    ident: str
    exit_code: int
    again: bool = False


def short_name(project: str, name: str) -> str:
    """``web-1`` of ``shop-web-1``, also while it is called ``4f1c2a…_shop-web-1``; a ``container_name`` as it is."""
    head, mark, rest = name.partition("_")
    if mark and len(head) == 12 and not head.strip("0123456789abcdef"):
        name = rest
    return labels.without_project(project, name)


def merged(
    roots: Roots,
    project: str,
    containers: Iterable[ObservedContainer],
    *,
    tail: int | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> Iterator[Line]:
    """What the containers have written, by time; ``tail`` lines of each."""
    return merge(
        *(_lines(roots, project, one, tail, since_ns, until_ns) for one in containers), key=lambda line: line.time
    )


def _lines(
    roots: Roots, project: str, one: ObservedContainer, tail: int | None, since_ns: int | None, until_ns: int | None
) -> Iterator[Line]:
    name = short_name(project, one.name)
    for entry in read_log(Bundle(roots, one.id).log, tail=tail, since_ns=since_ns, until_ns=until_ns):
        yield Line(name, one.service, entry)


class _Member:
    """A followed container: its log, and the last state seen."""

    def __init__(self, bundle: Bundle, name: str, service: str, follower: Follower) -> None:
        self.bundle = bundle
        self.name = name
        self.service = service
        self.follower = follower
        self.status = STOPPED
        self.started_at = ""
        self.finished_at = ""

    def lines(self) -> list[Line]:
        return [Line(self.name, self.service, entry) for entry in self.follower.read()]


class ProjectFollower:
    """Lines and ends of the containers of a project, also of containers that appear later. Use as a context.

    ``services`` empty: all. ``tail``, ``since_ns``: how much of the past of the first ``containers`` is given; later
    ones are given in full, unless there are to be no ``newcomers``. ``announce``: ends after ``since`` that happened
    before we looked are events, too.
    """

    def __init__(
        self,
        roots: Roots,
        project: str,
        services: Sequence[str],
        containers: Iterable[ObservedContainer],
        *,
        tail: int | None = None,
        since_ns: int | None = None,
        announce: bool = False,
        newcomers: bool = True,
    ) -> None:
        self._roots = roots
        self._project = project
        self._services = frozenset(services)
        self._newcomers = newcomers
        self._boot = boot_id()
        self._watcher = Watcher()
        self._members: dict[str, _Member] = {}
        self._logs: dict[int, str] = {}  # watch -> container
        self._states: dict[int, str] = {}
        self._bundles = self._watcher.add(containers_dir(roots), IN_MOVED_TO | IN_MOVED_FROM)
        os.makedirs(f"{roots.run}/containers", mode=0o700, exist_ok=True)
        self._runs = self._watcher.add(f"{roots.run}/containers", IN_CREATE | IN_MOVED_TO)
        self._first: list[Line | Ended] = []
        for one in containers:
            self._add(one.id, one.name, one.service, tail, since_ns)
        past = [line for one in self._members.values() for line in one.lines()]
        past.sort(key=_time)
        self._first += past
        since = timestamp(since_ns or 0)
        for ident, member in self._members.items():
            ended: list[Line | Ended] = []
            self._take_state(ident, member, ended)
            if announce and member.finished_at >= since:
                self._first += ended

    def __enter__(self) -> ProjectFollower:
        return self

    def __exit__(self, *_error: object) -> None:
        for member in self._members.values():
            member.follower.close()
        self._watcher.close()

    def fileno(self) -> int:
        return self._watcher.fileno()

    @property
    def active(self) -> list[str]:
        """Names of the containers that run, or will again."""
        return [member.name for member in self._members.values() if member.status in ACTIVE]

    @property
    def names(self) -> list[str]:
        return [member.name for member in self._members.values()]

    def wait(self, timeout: float | None = None, also: int = -1, reader: int = -1) -> list[Line | Ended]:
        """The next events, in order; perhaps none after ``timeout`` seconds, or when ``also`` becomes readable.

        ``reader``: our end of a pipe; raises BrokenPipeError when nobody reads it any more.
        """
        if self._first:
            events, self._first = self._first, []
            return events
        poll = select.poll()
        poll.register(self._watcher.fileno(), select.POLLIN)
        if also >= 0:
            poll.register(also, select.POLLIN)
        if reader >= 0:
            poll.register(reader, 0)  # errors only
        ready = poll.poll(None if timeout is None else timeout * 1000)
        if any(fd == reader for fd, _mask in ready):
            raise BrokenPipeError
        return self._collect() if ready else []

    def _collect(self) -> list[Line | Ended]:
        """Look where something happened: first the logs of all of them, then the ends."""
        touched: dict[str, None] = {}
        removed: list[str] = []
        for watch, mask, name in self._watcher.read():
            if watch == self._bundles and mask & IN_MOVED_FROM:
                removed.append(name)
            elif watch == self._bundles:
                self._appeared(name)
                touched[name] = None
            elif watch == self._runs:
                self._watch_state(name)
                touched[name] = None
            else:
                touched[self._logs.get(watch) or self._states.get(watch, "")] = None
        ended: list[Line | Ended] = []
        lines: list[Line] = []
        for ident in (*touched, *removed):
            member = self._members.get(ident)
            if member is not None:
                self._take_state(ident, member, ended)  # the state first: the log is complete before it says stopped
                lines += member.lines()
        for ident in removed:
            self._drop(ident)
        lines.sort(key=_time)
        return [*lines, *ended]

    def _add(self, ident: str, name: str, service: str, tail: int | None, since_ns: int | None) -> None:
        bundle = Bundle(self._roots, ident)
        try:
            follower = Follower(bundle.log, tail=tail, since_ns=since_ns, watcher=self._watcher)
        except FileNotFoundError:
            return  # removed meanwhile
        self._logs[follower.watch] = ident
        self._members[ident] = _Member(bundle, short_name(self._project, name), service, follower)
        self._watch_state(ident)

    def _watch_state(self, ident: str) -> None:
        if ident in self._members:
            try:
                self._states[self._watcher.add(self._members[ident].bundle.run, IN_MOVED_TO)] = ident
            except FileNotFoundError:
                pass  # it has not been started since the machine was: it will appear in the directory above

    def _appeared(self, ident: str) -> None:
        if not self._newcomers:
            return
        found = read_container(self._roots, ident, self._boot)
        if found is None or ident in self._members or found.labels.get(labels.PROJECT) != self._project:
            return
        service = found.labels.get(labels.SERVICE, "")
        if found.labels.get(labels.ONEOFF) != "True" and (not self._services or service in self._services):
            self._add(ident, found.name, service, None, None)

    def _drop(self, ident: str) -> None:
        member = self._members.pop(ident, None)
        if member is not None:
            self._watcher.remove(member.follower.watch)
            self._logs.pop(member.follower.watch, None)
            member.follower.close()

    def _take_state(self, ident: str, member: _Member, events: list[Line | Ended]) -> None:
        """Compare with the state seen last; a run that ended is an event, also when the next one has begun."""
        state = read_state(member.bundle, self._boot)
        over = bool(state.finished_at) and state.finished_at != member.finished_at
        missed = not member.finished_at and bool(member.started_at) and state.started_at > member.started_at
        if over or missed:
            events.append(Ended(member.name, member.service, ident, state.exit_code, _again(state)))
        member.status, member.started_at, member.finished_at = state.status, state.started_at, state.finished_at


def _again(state: State) -> bool:
    return state.status in ACTIVE


def _time(line: Line) -> str:
    return line.time
