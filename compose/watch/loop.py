"""The loop of ``watch``: waits for events, lets them settle, and has one batch done at a time.

The kernel collects what happens during a batch. Times, in seconds: a change is acted on ``SETTLE`` after the last one,
``MAX_WAIT`` after the first at the latest; more than ``STORM`` paths wait for ``QUIET``; a path that is gone is looked
at again after ``GRACE``, for editors remove a file in the moment before they put the new one there.
"""

from __future__ import annotations

import os
import select
import time

from compose.errors import UsageError
from compose.watch.batch import Batch, Sync, batch_of
from compose.watch.config import APPLY, builds_changed, dockerfiles, stamp_of
from compose.watch.echo import EchoGuard, told
from compose.watch.git import git_directories, is_locked
from compose.watch.rules import Filter, Rules, rules_of
from compose.watch.tracker import Modified, Tracker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from compose.api.events import Journal
    from compose.plan.desired import Desired
    from compose.watch.actions import Actions
    from compose.watch.config import ConfigWatch
    from compose.watch.rules import Rule
    from compose.watch.source import Source

SETTLE, MAX_WAIT = 0.01, 0.25
STORM, QUIET, STORM_WAIT = 200, 0.1, 10.0
GRACE = 0.06
HELD = 0.05  # between looks at git's lock, while there is one
HOLD_TOLD = 1.0  # before it is said that git is waited for
POLL = 1.0
IGNORE_FILE = ".dockerignore"


class Loop:
    """One per watcher; everything but ``stop`` belongs to its thread."""

    def __init__(
        self,
        desired: Desired,
        services: tuple[str, ...],
        open_source: Callable[[], Source],
        config: ConfigWatch | None,
        warn: Callable[[str], None],
    ) -> None:
        self.services = services
        self.open_source = open_source
        self.config = config
        self.warn = warn
        self.pending: dict[str, float] = {}  # path -> when it was first heard of
        self.later: dict[str, float] = {}  # gone paths -> when to look again
        self.first = self.last = 0.0
        self.lost = False
        self.held = 0.0  # since when git is waited for
        self.next_poll = 0.0
        self.stopping = False
        self.endings: list[Callable[[], None]] = []  # what ends the build at work
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.desired = desired
        self.rules = Rules(())
        self.source: Source | None = None
        self.tracker: Tracker
        self.protected: frozenset[str] = frozenset()
        self.dockerfiles: dict[str, tuple[str, ...]] = {}
        self.dockerfile_stamps: dict[str, object] = {}
        self.git: tuple[str, ...] = ()
        self.guard = EchoGuard(lambda rule, path, same: warn(told(rule, path, same=same)))
        self.released: list[Modified] = []  # was held when the rules changed

    # beginnings

    def look(self) -> None:
        """Read the rules and the trees. Raises UsageError for rules that make no sense."""
        rules = rules_of(self.desired, self.services)
        for text in rules.warnings:
            if text not in self.rules.warnings:
                self.warn(text)
        source, before = self.open_source(), self.source
        tracker = Tracker([Filter(rule) for rule in rules.rules], source, self.warn)
        tracker.start()
        self.git = git_directories(rule.path for rule in rules.rules)
        if before is not None:
            self._adopt(self.tracker, tracker)
            before.close()
        if rules.rules != self.rules.rules:
            self.released += self.guard.forget()
        self.rules, self.source, self.tracker = rules, source, tracker
        self._look_beside(source)

    def _look_beside(self, source: Source) -> None:
        """What counts beside the rules: Dockerfiles, and files that are not for containers."""
        self.dockerfiles = dockerfiles(self.desired) if self.config else {}
        self.dockerfile_stamps = {path: self.dockerfile_stamps.get(path, stamp_of(path)) for path in self.dockerfiles}
        self.protected = frozenset((*self.desired.config_files, *dockerfiles(self.desired)))
        self._watch_beside(source)

    def _watch_beside(self, source: Source) -> None:
        """Directories of single files: the configuration's, Dockerfiles', ignore files', git's."""
        wanted = {*self.git, *(os.path.dirname(path) for path in self.dockerfiles)}
        wanted |= {rule.context for rule in rules_of(self.desired, self.services).rules if rule.context}
        if self.config is not None:
            wanted |= self.config.directories()
        for directory in wanted:
            try:
                source.add(directory)
            except OSError:
                continue  # it is not there

    def _adopt(self, before: Tracker, after: Tracker) -> None:
        """What changed between the old look and the new one is not to be missed."""
        now = time.monotonic()
        for path in before.entries.keys() | after.entries.keys():
            old, new = before.entries.get(path), after.entries.get(path)
            if old is not None and new is not None and (old.kind, old.stamp) == (new.kind, new.stamp):
                new.digest = old.digest
            elif old is not None:
                self._note({path}, now)
                if new is not None:
                    after.entries[path] = old  # so that the difference is seen

    def initial(self) -> list[Sync]:
        """What rules with ``initial_sync`` bring, as the trees are now."""
        hits = [
            (Modified(path, entry.kind == "directory"), one.rule)
            for path, entry in self.tracker.entries.items()
            for one in self.tracker.covering(path, entry.kind == "directory")
            if one.rule.initial_sync and self._may(path, one.rule)
        ]
        return list(batch_of(hits).syncs)

    # the loop

    def run(self, actions: Actions, journal: Journal) -> None:
        """Until :meth:`stop`."""
        assert self.source is not None
        while not self.stopping:
            idle = self.tracker.hash_some() if not self.pending else False
            self._wait(journal, 0.0 if idle else self._timeout())
            if self.stopping:
                return
            self._read(actions, journal)
            now = time.monotonic()
            held = self.guard.due(now)
            if held:
                self._act(actions, held, batch_of(held), now)
            if self._is_due(now):
                self._flush(actions)

    def stop(self) -> None:
        """End after the step at hand; a build is cancelled. From any thread, or a signal handler."""
        self.stopping = True
        os.eventfd_write(self.wake, 1)
        for end in tuple(self.endings):
            end()

    def on_cancel(self, end: Callable[[], None]) -> None:
        """Have that called by :meth:`stop`, perhaps more than once."""
        self.endings = [end]
        if self.stopping:
            end()

    def close(self) -> None:
        if self.source is not None:
            self.source.close()
        os.close(self.wake)

    def _wait(self, journal: Journal, timeout: float | None) -> None:
        assert self.source is not None
        poll = select.poll()
        for fd in (self.source.fileno(), journal.fileno(), self.wake):
            poll.register(fd, select.POLLIN)
        poll.poll(None if timeout is None else max(0.0, timeout) * 1000)

    def _timeout(self) -> float | None:
        """Seconds until there is something to do without an event."""
        times = [*self.later.values()]
        if self.pending or self.lost:
            times.append(self._due())
        if self.tracker.polled:
            times.append(self.next_poll)
        held = self.guard.next_due()
        if held is not None:
            times.append(held)
        return min(times) - time.monotonic() if times else None

    def _due(self) -> float:
        if self.held:
            return self.last + HELD
        if len(self.pending) > STORM:
            return min(self.last + QUIET, self.first + STORM_WAIT)
        return min(self.last + SETTLE, self.first + MAX_WAIT)

    def _is_due(self, now: float) -> bool:
        if self.tracker.polled and now >= self.next_poll:
            return True
        waiting = (self.pending or self.lost) and now >= self._due()
        return bool(waiting or any(at <= now for at in self.later.values()))

    def _read(self, actions: Actions, journal: Journal) -> None:
        assert self.source is not None
        paths, lost = self.source.read()
        self.lost |= lost
        if paths or lost:
            self._note(paths, time.monotonic())
        started = {one.service for one in journal.pending() if one.action == "start"}
        if started:
            actions.catch_up(started)

    def _note(self, paths: set[str], now: float) -> None:
        if not self.pending:
            self.first = now
        self.last = now
        for path in paths:
            self.pending.setdefault(path, now)

    # what is done

    def _flush(self, actions: Actions) -> None:
        now = time.monotonic()
        if self._is_held(actions, now):
            return
        began = min([self.first if self.pending else now, *(at - GRACE for at in self.later.values() if at <= now)])
        paths = self._settled(now)
        modified = self._difference(paths, now)
        if self.config is not None and (self.lost or self.config.concerns(paths)) and self.config.has_changed():
            self._new_config(actions, began)
        elif any(os.path.basename(path).endswith(IGNORE_FILE) for path in paths):
            self.look()
        self.lost = False
        modified += self.released
        self.released = []
        hits = self.guard.admit(self._hits(modified), now)
        batch = self._with_dockerfiles(batch_of(hits), paths)
        if batch:
            self._act(actions, hits, batch, began)

    def _act(self, actions: Actions, hits: list[tuple[Modified, Rule]], batch: Batch, began: float) -> None:
        at = time.monotonic()
        touched = actions.perform(batch, began)
        self.guard.acted(hits, touched, at, time.monotonic())

    def _is_held(self, actions: Actions, now: float) -> bool:
        """While git works in the tree, nothing is done: its half-made states are nobody's."""
        if not (self.pending or self.lost) or not is_locked(self.git):
            self.held = 0.0
            return False
        if not self.held:
            self.held = now
        elif 0 < self.held < now - HOLD_TOLD:
            actions.tell("hold", f"git is at work: {len(self.pending)} changes wait", files=len(self.pending))
            self.held = float("inf")  # told
        self.last = now
        return True

    def _settled(self, now: float) -> set[str]:
        """The paths to look at now; those that are gone only after their grace."""
        again = {path for path, at in self.later.items() if at <= now}
        paths = set(again)
        for path in again:
            del self.later[path]
        for path, heard in self.pending.items():
            if path not in again and now < heard + GRACE and self.tracker.is_gone(path):
                self.later.setdefault(path, heard + GRACE)
            else:
                self.later.pop(path, None)
                paths.add(path)
        self.pending.clear()
        return paths

    def _difference(self, paths: set[str], now: float) -> list[Modified]:
        modified = self.tracker.rescan() if self.lost else self.tracker.check(paths)
        if self.tracker.polled and now >= self.next_poll:
            self.next_poll = now + POLL
            modified += self.tracker.poll()
            if self.config is not None and self.config.has_changed():
                self.lost = True
        return modified

    def _hits(self, modified: list[Modified]) -> list[tuple[Modified, Rule]]:
        return [
            (one, filter.rule)
            for one in modified
            for filter in self.tracker.covering(one.path, one.is_directory)
            if self._may(one.path, filter.rule)
        ]

    def _with_dockerfiles(self, batch: Batch, paths: set[str]) -> Batch:
        building = self._dockerfiles_changed(paths)
        if not building:
            return batch
        rebuild = tuple(dict.fromkeys((*batch.rebuild, *building)))
        restart = tuple(name for name in batch.restart if name not in rebuild)
        return Batch(rebuild, batch.syncs, restart, batch.files)

    def _dockerfiles_changed(self, paths: set[str]) -> list[str]:
        """Services whose Dockerfile is another one now."""
        found = []
        for path in sorted(paths & self.dockerfiles.keys()):
            stamp = stamp_of(path)
            if stamp is not None and stamp != self.dockerfile_stamps[path]:
                self.dockerfile_stamps[path] = stamp
                found += [name for name in self.dockerfiles[path] if self._is_ours(name)]
        return found

    def _may(self, path: str, rule: Rule) -> bool:
        """Whether a rule may act on a path: Compose files and Dockerfiles are not for the container."""
        if rule.syncs and path in self.protected:
            return False
        return not (path == rule.path and os.path.islink(path))

    def _is_ours(self, service: str) -> bool:
        return not self.services or service in self.services

    def _new_config(self, actions: Actions, began: float) -> None:
        """Load and converge; the trees are looked at again only if the rules are others now."""
        assert self.config is not None and self.source is not None
        desired = self.config.reload(actions)
        if desired is None:
            self._watch_beside(self.source)  # what it was found to miss
            return
        try:
            rules = rules_of(desired, self.services)
        except UsageError as error:
            actions.tell("error", f"{error.text()}\nthe last good configuration goes on", step="config")
            return
        before, self.desired = self.desired, desired
        actions.around.desired = desired
        rebuild = tuple(name for name in builds_changed(before, desired) if self._is_ours(name))
        if rebuild and self.config.mode == APPLY:
            actions.perform(Batch(rebuild), began)
        self.config.converge(actions, began)
        if rules.rules != self.rules.rules:
            self.look()
        else:
            self._look_beside(self.source)
