"""The attached part of ``up``: logs on the screen, and Ctrl-C as docker compose has it.

The first Ctrl-C stops everything gracefully while the logs go on, the second kills, the third leaves at once.
"""

from __future__ import annotations

import _signal
import os
import threading

from compose import labels
from compose.api import lifecycle
from compose.api.follow import Ended, Line, ProjectFollower
from compose.api.read import select
from compose.cli.main import INTERRUPTED
from compose.cli.render.logs import LogPrinter
from compose.cli.session import Reporting
from compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.api.hooks import HookLines
    from compose.cli.commands.up import Options
    from compose.cli.session import Session
    from compose.plan.desired import Desired


def attend(session: Session, desired: Desired, options: Options, began: int, hooks: HookLines) -> int:
    """Show the logs written since ``began`` (ns) until nothing runs; the exit code of ``up``."""
    observed = session.engine.observe(desired.project)
    watched = watched_services(desired, options)
    followed = select(observed, desired, _converged(desired, options))
    shown = [one for one in followed if one.service in watched]
    names = [labels.without_project(desired.project, one.name) for one in shown]
    session.tell(f"Attaching to {', '.join(names)}\n")
    with ProjectFollower(
        session.roots, desired.project, _converged(desired, options), followed, since_ns=began, announce=True
    ) as follower:
        return _Attended(session, desired, options, follower, watched, names, hooks).run()


def watched_services(desired: Desired, options: Options) -> frozenset[str]:
    """The services whose logs are shown: the named ones, all when none is named, less those that do not want it."""
    everything = {service.name for service in desired.services}
    if options.attach:
        chosen = set(options.attach)
    elif options.services and not options.attach_dependencies:
        chosen = set(options.services)
    else:
        chosen = everything
    silent = {service.name for service in desired.services if service.config.get("attach") is False}
    return frozenset(name for name in chosen - set(options.no_attach) if name in options.attach or name not in silent)


def _converged(desired: Desired, options: Options) -> tuple[str, ...]:
    """The services that this ``up`` is about: the named ones and what they depend on; empty for all."""
    if not options.services or options.no_deps:
        return options.services
    from compose.plan.select import select_services

    return tuple(select_services(desired, options.services))


class _Attended:
    """The loop: follow, count interrupts, and decide when it is over and with which code."""

    def __init__(
        self,
        session: Session,
        desired: Desired,
        options: Options,
        follower: ProjectFollower,
        watched: frozenset[str],
        names: list[str],
        hooks: HookLines,
    ) -> None:
        self.session = session
        self.desired = desired
        self.options = options
        self.follower = follower
        self.watched = watched
        self.printer = LogPrinter(
            names,
            colours=not options.no_color and session.colours(1),
            prefix=not options.no_log_prefix,
            timestamps=options.timestamps,
            split=True,
        )
        self.interrupts = 0
        self.code: int | None = None
        self.stopper: threading.Thread | None = None
        self.done = False
        self.presses = 0  # of Ctrl-C; interrupts: those that were acted upon
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)  # a press, or the end of the stopper's work
        self.error: ComposeError | None = None
        self.hooks = hooks

    def run(self) -> int:
        self.hooks.wake = self.wake
        before = _signal.signal(_signal.SIGINT, self._press)  # no exception: it would lose the lines in our hands
        try:
            self._show([])  # hooks of the start
            while not self._is_over():
                self._show(self.follower.wait(also=self.wake))
                self._calm()
                while self.interrupts < self.presses:
                    if self._interrupted():
                        return INTERRUPTED
        finally:
            _signal.signal(_signal.SIGINT, before)
        if self.stopper is not None:
            self.stopper.join()  # it still has to write to what we close
        self.hooks.wake = -1
        os.close(self.wake)
        self._show(self.follower.wait(0))
        self.printer.finish()
        self.printer.flush()
        if self.error is not None:
            raise self.error
        if self.interrupts:
            return INTERRUPTED
        return self.code or 0

    def _press(self, _number: int, _frame: object) -> None:
        self.presses += 1
        os.eventfd_write(self.wake, 1)

    def _calm(self) -> None:
        """Take back the wake-up, so that the next wait waits."""
        try:
            os.eventfd_read(self.wake)
        except BlockingIOError:
            pass

    def _is_over(self) -> bool:
        """Nothing runs any more, or what was to be stopped is stopped."""
        if self.stopper is not None:
            return self.done
        return not self.follower.active

    def _show(self, events: list[Line | Ended]) -> None:
        for event in (*self.hooks.take(), *events):
            if isinstance(event, Line):
                if event.service in self.watched:
                    self.printer.line(event)
                continue
            first = self._ends_it(event) and self.code is None
            if event.service in self.watched or first:
                self.printer.ended(event)
            if self._ends_it(event):
                self.printer.flush()
                self._abort(event)
        self.printer.flush()

    def _ends_it(self, event: Ended) -> bool:
        options = self.options
        if event.again:
            return False
        if options.exit_code_from or options.abort_on_container_exit:
            return True
        return options.abort_on_container_failure and event.exit_code != 0

    def _abort(self, event: Ended) -> None:
        """The first container that ended takes the others with it; whose code is ours depends on the options."""
        wanted = self.options.exit_code_from
        if (wanted and event.service == wanted) or (not wanted and self.code is None):
            self.code = event.exit_code
        if self.stopper is None and self.interrupts == 0:
            self.session.tell("Aborting on container exit...\n")
            self._stop()

    def _interrupted(self) -> bool:
        """One more Ctrl-C; whether to leave at once."""
        self.interrupts += 1
        if self.interrupts == 1:
            self.session.tell("\nGracefully stopping... (press Ctrl+C again to force)\n")
            self._stop()
        elif self.interrupts == 2:
            self.session.tell("\nKilling...\n")
            threading.Thread(target=self._kill, daemon=True).start()
        return self.interrupts > 2

    def _stop(self) -> None:
        self.stopper = threading.Thread(target=self._stop_all, daemon=True)
        self.stopper.start()

    def _stop_all(self) -> None:
        options = self._life()
        try:
            with Reporting(self.session, "stop", beside_logs=True) as reporting:
                lifecycle.stop(self.session.engine, self.desired, options, reporting)
        except ComposeError as error:
            if self.interrupts < 2:
                self.error = error
        finally:
            self.done = True
            os.eventfd_write(self.wake, 1)

    def _kill(self) -> None:
        """The stop that is going on holds the project's lock, so this goes past it."""
        from compose.cli.render.progress import Quiet
        from compose.record import replace

        try:
            lifecycle.kill(self.session.engine, self.desired, replace(self._life(), lock=""), Quiet())
        except ComposeError as error:
            self.error = error

    def _life(self) -> lifecycle.LifeOptions:
        return lifecycle.LifeOptions(
            services=_converged(self.desired, self.options),
            timeout=self.options.timeout,
            project=self.desired.project,
            lock=self.session.lock(self.desired.project),
            workers=self.session.workers,
        )
