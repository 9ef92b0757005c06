"""Attached ``up``: the logs from the first line on, while it converges and after; Ctrl-C as docker compose has it.

The first Ctrl-C stops everything gracefully while the logs go on, the second kills, the third leaves at once. SIGTERM
is taken as Ctrl-C; when the terminal hangs up we end, and the containers run on.
"""

from __future__ import annotations

import _signal
import os
import select as polling
import time

from compose.api.follow import Ended, Line, ProjectFollower
from compose.api.hooks import HookLines
from compose.api.read import select
from compose.api.up import UpOptions
from compose.cli import menu as keyboard
from compose.cli.converging import Converging
from compose.cli.main import INTERRUPTED
from compose.cli.render.logs import LogPrinter
from compose.cli.render.screen import Output, Screen
from compose.cli.render.words import Style
from compose.cli.shown import converged, expected_names, is_locked, jobs, watched_services
from compose.cli.stopping import Stopping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from compose.cli.commands.up import Options
    from compose.cli.session import Session
    from compose.cli.watching import Watching
    from compose.plan.desired import Desired
    from compose.plan.observed import ObservedContainer

STDOUT, STDERR = 1, 2
BUSY = 0.1  # s between two looks whether another command still works on the project


def attend(session: Session, desired: Desired, options: Options, request: UpOptions) -> int:
    """Converge, showing the logs meanwhile and then until nothing runs; the exit code of ``up``."""
    began = time.time_ns()
    services = converged(desired, options)
    before: list[ObservedContainer] = []
    hooks = HookLines(desired.project)
    session.engine.hook_output = hooks.add

    def there() -> Iterator[ObservedContainer]:
        """Looked up when the follower already watches, so that no container falls in between."""
        before.extend(select(session.engine.observe(desired.project), desired, services))
        yield from before

    with ProjectFollower(
        session.roots, desired.project, services, there(), since_ns=began, announce=True
    ) as follower, _Attended(session, desired, options, follower, before, hooks, request) as attended:  # fmt: skip
        return attended.run()


class _Attended:
    """The loop: follow, count interrupts, and decide when it is over and with which code. Use as a context."""

    def __init__(
        self,
        session: Session,
        desired: Desired,
        options: Options,
        follower: ProjectFollower,
        before: list[ObservedContainer],
        hooks: HookLines,
        request: UpOptions | None = None,
    ) -> None:
        self.session = session
        self.desired = desired
        self.options = options
        self.follower = follower
        self.request = request
        self.watched = watched_services(desired, options)
        self.names = expected_names(desired, self.watched, before, request)
        self.before = {one.id for one in before}
        self.jobs = jobs(desired)
        screen = Screen(session.progress_fd) if session.wants_tree() else None
        self.screen = screen if screen is not None and screen.holds(STDOUT) else None
        self.output = Output(self.screen)
        self.colours = not options.no_color and session.colours(STDOUT)
        self.printer = LogPrinter(
            self.names,
            colours=self.colours,
            prefix=not options.no_log_prefix,
            timestamps=options.timestamps,
            split=True,
            write=self.output.write,
        )
        self.interrupts = 0
        self.presses = 0  # of Ctrl-C; interrupts: those that were acted upon
        self.code: int | None = None
        self.first_code = 0  # of the end that led to the abort
        self.announced = self.suspended = False
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)  # a press, or the end of a thread's work
        self.waits = polling.epoll()
        self.waits.register(self.wake, polling.EPOLLIN)
        self.hooks = hooks  # what lifecycle hooks write, to be shown between the logs
        self.converging: Converging | None = None
        self.stopping: Stopping | None = None
        self.watching: Watching | None = None
        self.menu: keyboard.Menu | None = None

    # -- before and after

    def __enter__(self) -> _Attended:
        self._handlers = {
            _signal.SIGINT: _signal.signal(_signal.SIGINT, self._press),  # no exception: it would lose lines
            _signal.SIGWINCH: _signal.signal(_signal.SIGWINCH, self._poke),
            _signal.SIGCONT: _signal.signal(_signal.SIGCONT, self._poke),
        }
        self.hooks.wake = self.wake
        if self.options.watch:
            self._ensure_watching().prepare()
        if self.request is not None:
            self.converging = Converging(
                self.session, self.desired, self.request, self.screen, on_start=self._announce, wake=self._wake_up
            )
        else:
            self._announce()
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._handlers.items():
            _signal.signal(number, handler if handler is not None else _signal.SIG_DFL)
        if self.menu is not None:
            self.menu.__exit__()
        if self.watching is not None:
            self.watching.end()
        self.hooks.wake = -1
        self.waits.close()  # the eventfd stays: a thread that was left behind may still write to it

    def _wake_up(self) -> None:
        os.eventfd_write(self.wake, 1)

    def _press(self, _number: int, _frame: object) -> None:
        self.presses += 1
        self._wake_up()

    def _poke(self, _number: int, _frame: object) -> None:
        self._wake_up()

    def _suspend(self, _number: int, _frame: object) -> None:
        self.suspended = True
        self._wake_up()

    def _say(self, fd: int, text: str) -> None:
        self.printer.flush()
        self.output.write(fd, f"{text}\n".encode("utf-8", "surrogateescape"))

    def _announce(self) -> None:
        """Once, before the first line; from the thread that converges, too."""
        if not self.announced:
            self.announced = True
            if self.names:
                self.output.write(STDOUT, f"Attaching to {', '.join(self.names)}\n".encode())

    # -- the loop

    def run(self) -> int:
        """Until nothing runs, all is stopped, or the user leaves; the exit code. Raises what ``up`` raised."""
        while not self._is_over():
            self._show(self.follower.wait(self._patience(), also=self.waits.fileno()))
            self._calm()
            self._after_up()
            if self.menu is not None and self._typed():
                return 0
            while self.interrupts < self.presses:
                if self._interrupted():
                    return INTERRUPTED
        if self.stopping is not None:
            self.stopping.join()
        self._show(self.follower.wait(0))
        self.printer.finish()
        self.printer.flush()
        if self.stopping is not None and self.stopping.error is not None and self.interrupts < 2:
            raise self.stopping.error
        if self.interrupts:
            return INTERRUPTED
        if self.code is None and self.stopping is not None:
            return self.first_code or 1
        return self.code or 0

    def _is_over(self) -> bool:
        """Nothing runs any more and nothing is about to, or what was to be stopped is stopped."""
        if self.stopping is not None:
            return self.stopping.done
        if self.converging is not None and not self.converging.over:
            return False
        return not self.follower.active and not self._is_busy() and not self._is_watching()

    def _is_watching(self) -> bool:
        """Then the end of all containers is not the end: the next change may start them again."""
        return self.watching is not None and self.watching.is_on

    def _is_busy(self) -> bool:
        """Whether another command works on the project: what it stopped it may start again."""
        return self.request is not None and is_locked(self.request.lock)

    def _patience(self) -> float | None:
        over = self.converging is None or self.converging.over
        idle = over and self.stopping is None and not self.follower.active
        return BUSY if idle and not self._is_watching() else None

    def _calm(self) -> None:
        """Take back the wake-up, so that the next wait waits; then see to the window and the keyboard."""
        try:
            os.eventfd_read(self.wake)
        except BlockingIOError:
            return
        if self.menu is not None:
            if self.suspended:
                self.suspended = False
                self.menu.suspend()
                os.kill(os.getpid(), _signal.SIGSTOP)
            self.menu.resume()

    def _after_up(self) -> None:
        """Once ``up`` is done: raise its error, or show the menu."""
        if self.converging is None or not self.converging.over or self.stopping is not None:
            return
        error, self.converging.error = self.converging.error, None
        if error is not None:
            self._show(self.follower.wait(0))  # perhaps it ended because a container did
            if self.stopping is None:
                self.printer.finish()
                self.printer.flush()
                raise error
            return
        self._announce()
        if self.watching is not None:
            self.watching.begin()
        if self.menu is None and self.screen is not None and self.follower.active:
            self._open_menu(self.screen)

    def _show(self, events: list[Line | Ended]) -> None:
        for event in (*self.hooks.take(), *events):
            if isinstance(event, Line):
                if event.service in self.watched:
                    self._announce()
                    self.printer.line(event)
            elif not self._is_replaced(event):
                self._ended(event)
        self.printer.flush()

    def _is_replaced(self, event: Ended) -> bool:
        """Whether the plan itself ended it: a container that was there before, for a new one or for good."""
        return self.converging is not None and event.ident in self.before and self.converging.stopped(event.name)

    # -- ends and interrupts

    def _ended(self, event: Ended) -> None:
        ends_it = self._ends_it(event)
        if event.service in self.watched or (ends_it and self.code is None and self.stopping is None):
            self._announce()
            self.printer.ended(event)
        if ends_it:
            self._abort(event)

    def _ends_it(self, event: Ended) -> bool:
        """Whether this end is that of all, by the options. A job that others waited for may succeed."""
        options = self.options
        if event.again or (event.exit_code == 0 and event.service in self.jobs - {options.exit_code_from}):
            return False
        if options.exit_code_from or options.abort_on_container_exit:
            return True
        return options.abort_on_container_failure and event.exit_code != 0

    def _abort(self, event: Ended) -> None:
        """The first container that ended takes the others with it; whose code is ours depends on the options."""
        wanted = self.options.exit_code_from
        if (wanted and event.service == wanted) or (not wanted and self.code is None):
            self.code = event.exit_code
        if self.stopping is None and self.interrupts == 0:
            self.first_code = event.exit_code
            self._say(STDERR, "Aborting on container exit...")
            self._stop()

    def _interrupted(self) -> bool:
        """One more Ctrl-C; whether to leave at once."""
        self.interrupts += 1
        if self.interrupts == 1:
            if self.converging is not None and not self.converging.has_begun:
                self.converging.leave()
                return True  # the containers are as they were
            self._say(STDOUT, "Gracefully Stopping... press Ctrl+C again to force")
            if self.stopping is None:
                self._stop()
        elif self.interrupts == 2 and self.stopping is not None:
            self._say(STDOUT, "Killing...")
            self.stopping.kill()
        return self.interrupts > 2

    def _stop(self) -> None:
        if self.menu is not None:
            self.menu.hide()
        if self.watching is not None:
            self.watching.quiesce()  # what is stopped is not to be restarted for a change
        self.stopping = Stopping(
            self.session,
            self.desired,
            converged(self.desired, self.options),
            self.options.timeout,
            screen=self.screen,
            converging=self.converging,
            wake=self._wake_up,
        )

    # -- the menu

    def _open_menu(self, screen: Screen) -> None:
        if not keyboard.wanted(self.options.menu, self.session.environ):
            return
        self.menu = keyboard.Menu(screen, Style(self.session.colours(STDERR)), self._keys())
        self.menu.__enter__()
        self.menu.show()
        self._handlers[_signal.SIGTSTP] = _signal.signal(_signal.SIGTSTP, self._suspend)
        self.waits.register(self.menu.fileno(), polling.EPOLLIN)

    def _keys(self) -> dict[str, str]:
        return {keyboard.DETACH: "Detach", keyboard.WATCH: "Stop watching" if self._is_watching() else "Watch"}

    def _ensure_watching(self) -> Watching:
        from compose.cli.watching import Watching

        if self.watching is None:
            request = self.request or UpOptions(services=self.options.services)
            self.watching = Watching(self.session, self.desired, self.options, request, self.output, self.screen)
        return self.watching

    def _toggle_watch(self) -> None:
        self._ensure_watching().toggle()
        if self.menu is not None:
            self.menu.labels = self._keys()
            self.menu.show()

    def _typed(self) -> bool:
        """Act on the keys; whether the user detaches."""
        if self.menu is None or not polling.select([self.menu.fileno()], [], [], 0)[0]:
            return False
        keys = self.menu.keys()
        if not keys:  # the keyboard is gone
            self.waits.unregister(self.menu.fileno())
            return False
        for key in keys:
            if key.lower() == keyboard.DETACH and self.stopping is None:
                return True
            if key.lower() == keyboard.WATCH and self.stopping is None:
                self._toggle_watch()
            if key in "\r\n":
                self._say(STDOUT, "")
        return False
