"""``watch`` as an object: begin to look, start, stop. ``watch``, ``up --watch`` and the menu use it.

Nothing is polled: it sleeps until the kernel tells of a change, of a container's start, or of the word to stop.
"""

from __future__ import annotations

import _socket
import os
import threading

from compose.api.events import Journal
from compose.engine.live import LiveContainers
from compose.errors import UsageError
from compose.events import WatchEvent
from compose.project import load_watched
from compose.record import EMPTY, record, replace
from compose.watch.actions import Actions, Surroundings
from compose.watch.config import APPLY, OFF, PLAN, ConfigWatch
from compose.watch.loop import Loop
from compose.watch.source import open_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from compose.api.up import UpOptions
    from compose.engine.local import LocalEngine
    from compose.events import Reporter
    from compose.plan.desired import Desired
    from compose.project import LoadOptions
    from runtime.paths import Roots

MODES = (APPLY, PLAN, OFF)


@record
class WatchOptions:
    """``services``: empty for all. ``config``: what is done when the Compose file changes: apply, plan or off.

    ``prune``: remove images that a rebuild replaced. ``quiet``: without the builds' output.
    """

    load: LoadOptions
    up: UpOptions
    services: tuple[str, ...] = ()
    config: str = APPLY
    prune: bool = True
    quiet: bool = False
    environ: Mapping[str, str] = EMPTY


class Watcher:
    """Hot reload of one project, in a thread of its own. There is one at a time per project and instance."""

    def __init__(
        self,
        roots: Roots,
        desired: Desired,
        options: WatchOptions,
        engine: Callable[[], LocalEngine],
        reporter: Reporter,
    ) -> None:
        if options.config not in MODES:
            raise UsageError(f"cannot use --watch-config {options.config}", hint=f"choose one of {', '.join(MODES)}")
        self.options = options
        self.reporter = reporter
        self.project = desired.project
        self._roots = roots
        self._thread: threading.Thread | None = None
        self._lock: _socket.socket | None = None
        self.ended = os.eventfd(0, os.EFD_CLOEXEC)  # readable once the thread has ended
        self.config = None if options.config == OFF else ConfigWatch(self._load, options.config)
        self.loop = Loop(desired, options.services, lambda: open_source(options.environ), self.config, self._warn)
        self.around = Surroundings(
            desired,
            LiveContainers(roots, desired.project),
            engine,
            reporter,
            _again(options.up, options.services),
            options.environ,
            prune=options.prune,
            quiet=options.quiet,
        )

    def _load(self, inputs: set[str]) -> Desired:
        return load_watched(self.options.load, self.options.environ, self._roots.state, inputs)

    def _warn(self, text: str) -> None:
        self.reporter.emit(WatchEvent("warning", text))

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def prepare(self) -> None:
        """Read the rules, remember the trees: from here on no change is missed.

        Raises UsageError: there is nothing to watch, a rule makes no sense, or another watch runs on the project.
        """
        self._take_turn()
        try:
            if self.config is not None:
                self.config.begin()
            self.loop.look()
            if not self.loop.rules.rules and self.config is None:
                raise UsageError("cannot watch: no service has develop.watch", hint="add rules, see docs/watch.md")
        except BaseException:
            self._give_turn()
            raise

    def _take_turn(self) -> None:
        """An abstract socket's name: it goes with the process, however that ends, and leaves no file."""
        lock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            lock.bind(f"\0{self._roots.instance()}/{self.project}/watch")
        except OSError:
            lock.close()
            message = f"cannot watch project {self.project}: another watch runs on it"
            raise UsageError(message, hint="end that one first") from None
        self._lock = lock

    def _give_turn(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def start(self) -> None:
        """Begin to act. ``prepare`` comes first; the project should be up."""
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        actions = Actions(self.around, lambda: self.loop.stopping, self.loop.on_cancel)
        try:
            with Journal(self._roots, self.project) as journal:
                self._tell_ready()
                actions.initial(self.loop.initial())
                self.loop.run(actions, journal)
        except Exception as error:  # noqa: BLE001 -- a thread's end must not go unseen
            import traceback

            self.reporter.emit(
                WatchEvent(
                    "error", f"cannot go on watching: {error!r}\n{traceback.format_exc()}", data={"step": "watch"}
                )
            )
        finally:
            os.eventfd_write(self.ended, 1)

    def _tell_ready(self) -> None:
        loop = self.loop
        files = sum(entry.kind != "directory" for entry in loop.tracker.entries.values())
        directories = loop.source.count() if loop.source else 0
        polled = f", {len(loop.tracker.polled)} of them once a second" if loop.tracker.polled else ""
        rules = len(loop.rules.rules)
        config = "" if self.config is None else f" and the configuration ({self.options.config})"
        text = f"watching {files} files in {directories + len(loop.tracker.polled)} directories{polled}"
        text += f" for {rules} rule{'' if rules == 1 else 's'}{config}"
        self.reporter.emit(WatchEvent("ready", text, data={"files": files, "directories": directories}))

    def stop(self, timeout: float | None = None) -> bool:
        """Finish the file or the step at hand, then end; whether it has ended within ``timeout`` seconds."""
        self.loop.stop()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
        self._thread = None
        self.loop.close()
        os.close(self.ended)
        self._give_turn()
        return True


def _again(first: UpOptions, services: tuple[str, ...]) -> UpOptions:
    """How to converge later: as at first, but nothing is recreated only because that was asked for then."""
    return replace(
        first,
        services=services,
        force_recreate=False,
        no_recreate=False,
        always_recreate_deps=False,
        renew_anon_volumes=False,
        wait=False,
        build=False,
        no_build=False,
        pull="",
    )


def explain(desired: Desired, path: str, services: tuple[str, ...] = ()) -> list[str]:
    """What a change of a path would do, rule by rule, a line each."""
    from compose.watch.config import dockerfiles
    from compose.watch.rules import Filter, rules_of

    full = os.path.abspath(path)
    rules = rules_of(desired, services)
    lines = [f"warning: {text}" for text in rules.warnings]
    protected = {*desired.config_files, *dockerfiles(desired)}
    if full in desired.config_files:
        lines.append("the project: loaded again, and the difference applied (it is a Compose file)")
    for name in dockerfiles(desired).get(full, ()):
        lines.append(f"{name}: rebuild (it is its Dockerfile)")
    for rule in rules.rules:
        verdict = Filter(rule).verdict(full, os.path.isdir(full))
        if not verdict.covers:
            lines.append(f"{rule.name}: nothing: {verdict.why}")
        elif rule.syncs and full in protected:
            lines.append(f"{rule.name}: nothing: Compose files and Dockerfiles are not synced")
        else:
            target = f" to {rule.target_of(full)}" if rule.syncs else ""
            lines.append(f"{rule.name}: {rule.action}{target}")
    return lines or ["no rule: no service has develop.watch"]
