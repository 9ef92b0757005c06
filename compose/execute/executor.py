"""Walks a plan: every step as soon as the ones before it are done, in threads, events out.

The first failure stops the scheduling; what runs is let run, and all errors are reported. A thread that finishes a step
goes on with the one it made ready, so that a chain (create, connect, start) costs no hand-over. Waits have threads of
their own: a worker never sits in one.
"""

from __future__ import annotations

import _signal  # what ``signal`` wraps in enums
import os
import threading
import time
from _queue import SimpleQueue

from compose.errors import ComposeError, EngineError, Interrupted
from compose.events import Note, StepFinished, StepStarted
from compose.execute.handlers import Context, perform
from compose.plan.actions import PullImage, PushImage, WaitFor
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from compose.engine.protocol import Engine
    from compose.events import Event, Reporter
    from compose.plan.plan import Plan, Step

DEFAULT_WORKERS = 8
watchers: dict[int, Callable[[Executor], None]] = {}  # by thread: who is told of the executors that run there
LONG = (PullImage, PushImage)  # may be left at any moment: what they have not finished is nobody's
# what a container is that was waited for, as docker compose says it
WAITED = {
    "started": "Started",
    "healthy": "Healthy",
    "running_or_healthy": "Healthy",
    "completed": "Exited",
    "stopped": "Exited",
}


@record
class Failure:
    """A step that failed, with its error."""

    step: Step
    error: BaseException


@record
class Results:
    """How a run ended. ``created``: step number → id of the container it made (also of a step that then failed).

    ``done``: numbers of the steps that succeeded; ``skipped``: of those never begun. ``failures`` in order of time.
    """

    created: dict[int, str]
    done: tuple[int, ...]
    skipped: tuple[int, ...]
    failures: tuple[Failure, ...] = ()
    cancelled: bool = False

    def check(self) -> None:
        """Raise Interrupted if the run was cancelled, else the first error; further ones are added to its hint."""
        if self.failures:
            raise _joined([failure.error for failure in self.failures])
        if self.cancelled:
            raise Interrupted("cannot finish: interrupted")


def new_ident() -> str:
    """64 random hex digits, as Docker's container ids."""
    return os.urandom(32).hex()


class Executor:
    """Runs plans against one engine. ``workers``: threads for steps that do not wait; they start when there is work."""

    def __init__(
        self,
        engine: Engine,
        reporter: Reporter,
        *,
        workers: int = 0,
        new_ident: Callable[[], str] = new_ident,
        crash_at: str | None = None,
    ) -> None:
        self._engine = engine
        self._reporter = reporter
        self._workers = workers if workers > 0 else DEFAULT_WORKERS
        self._new_ident = new_ident
        self._crash = _Crash(os.environ.get("PYCOMPOSE_CRASH_AT", "") if crash_at is None else crash_at)
        self._run: _Run | None = None
        self._cancelled = False

    def run(self, plan: Plan) -> Results:
        """Do all steps, or as many as can be. Never raises a step's error: see ``Results.check``.

        In the main thread, and where nobody else handles it, SIGINT cancels; a second one leaves at once by raising
        Interrupted.
        """
        context = Context(self._engine, plan.project, plan.desired, self._new_ident)
        self._run = _Run(plan, context, self._reporter, self._workers, self._crash)
        watcher = watchers.get(threading.get_ident())
        if watcher is not None:
            watcher(self)
        if self._cancelled:
            self._run.cancel()
        handles = (
            threading.current_thread() is threading.main_thread()
            and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler
        )
        if not handles:
            return self._run.finish()
        _signal.signal(_signal.SIGINT, self._run.interrupt)
        try:
            return self._run.finish()
        finally:
            _signal.signal(_signal.SIGINT, _signal.default_int_handler)

    def cancel(self) -> None:
        """Begin no further step. May be called from any thread and from a signal handler."""
        self._cancelled = True
        if self._run is not None:
            self._run.cancel()


class _Run:
    """The state of one run, guarded by one lock."""

    def __init__(self, plan: Plan, context: Context, reporter: Reporter, workers: int, crash: _Crash) -> None:
        self._steps = {step.number: step for step in plan.steps}
        self._context = context
        self._reporter = reporter
        self._workers = workers
        self._started = 0  # threads
        self._idle = 0  # threads that ask for a step, less the steps that are queued
        self._crash = crash
        self._lock = threading.Lock()
        self._ready: SimpleQueue[Step | None] = SimpleQueue()
        self._over: SimpleQueue[None] = SimpleQueue()
        self._blocked = {step.number: len(step.after) for step in plan.steps}
        self._followers: dict[int, list[int]] = {}
        for step in plan.steps:
            for earlier in step.after:
                self._followers.setdefault(earlier, []).append(step.number)
        self._running = 0
        self._long = 0  # of those running: transfers, which a run that stops does not wait for
        self._waiting = 0
        self._ended = False
        self._left = False
        self._broken: BaseException | None = None  # the reporter's own error
        self._done: list[int] = []
        self._failures: list[Failure] = []
        self._stopping = False
        self._cancelled = False
        self._endings: list[Callable[[], None]] = []  # of long steps
        context.on_cancel = self._on_cancel

    def _on_cancel(self, end: Callable[[], None]) -> None:
        """Have that called when the run is cancelled, perhaps more than once."""
        self._endings.append(end)
        if self._cancelled:
            end()

    def finish(self) -> Results:
        """Schedule the first steps and wait for the end."""
        with self._lock:
            self._schedule([step for step in self._steps.values() if not step.after])
        while not self._is_over():
            self._over.get()
            if self._left:
                raise Interrupted("cannot finish: interrupted twice, steps were left running")
        return self._results()

    def interrupt(self, _signal: int, _frame: object) -> None:
        """A handler of SIGINT that never raises, so that no lock and no count is left half-way."""
        self._left = self._cancelled
        self.cancel()

    def cancel(self) -> None:
        """Schedule nothing more. Takes no lock: a signal handler may run while this thread holds it."""
        self._cancelled = True
        self._stopping = True
        self._over.put(None)
        for end in tuple(self._endings):
            end()

    def _is_over(self) -> bool:
        """Nothing runs. Waits and transfers are not waited for once the run stops: they may take for ever."""
        with self._lock:
            self._ended = self._seems_over()
            return self._ended

    def _seems_over(self) -> bool:
        if self._stopping:
            return self._running == self._long
        return self._running == 0 and self._waiting == 0

    def _results(self) -> Results:
        for _worker in range(self._started):
            self._ready.put(None)
        if self._broken is not None:
            raise self._broken
        begun = {*self._done, *(failure.step.number for failure in self._failures)}
        skipped = tuple(number for number in self._steps if number not in begun)
        cancelled = self._cancelled and bool(skipped)
        return Results(self._context.created, tuple(self._done), skipped, tuple(self._failures), cancelled)

    # called with the lock held

    def _schedule(self, steps: list[Step], keep: bool = False) -> Step | None:
        """Hand ready steps to threads. With ``keep`` the first that is no wait is returned for the caller's thread."""
        if self._stopping:
            return None
        kept = None
        for step in steps:
            if isinstance(step.action, WaitFor):
                self._waiting += 1
                threading.Thread(target=self._wait, args=(step,), daemon=True).start()
                continue
            self._running += 1
            if keep and kept is None:
                kept = step
            else:
                self._queue(step)
        return kept

    def _queue(self, step: Step) -> None:
        self._ready.put(step)
        self._idle -= 1
        if self._idle < 0 and self._started < self._workers:
            self._started += 1
            self._idle += 1
            threading.Thread(target=self._work, daemon=True).start()

    def _completed(self, step: Step, error: BaseException | None) -> list[Step]:
        """Book the end of a step; the steps it made ready."""
        if isinstance(step.action, WaitFor):
            self._waiting -= 1
        else:
            self._running -= 1
            self._long -= isinstance(step.action, LONG) and not isinstance(error, _NotBegun)
        if isinstance(error, _NotBegun) or (self._cancelled and isinstance(error, Interrupted)):
            return []
        if error is not None:
            self._failures.append(Failure(step, error))
            self._stopping = True
            return []
        self._done.append(step.number)
        ready = []
        for number in self._followers.get(step.number, ()):
            self._blocked[number] -= 1
            if not self._blocked[number]:
                ready.append(self._steps[number])
        return ready

    # threads

    def _work(self) -> None:
        while True:
            step = self._ready.get()
            if step is None:
                return
            while step is not None:
                step = self._advance(step, keep=True)
            with self._lock:
                self._idle += 1

    def _wait(self, step: Step) -> None:
        self._advance(step, keep=False)

    def _advance(self, step: Step, keep: bool) -> Step | None:
        """Perform a step, then schedule what it made ready."""
        error = self._perform(step)
        with self._lock:
            ready = self._completed(step, error)
            kept = self._schedule(ready, keep)
            over = self._seems_over()
        if over:
            self._over.put(None)
        return kept

    def _perform(self, step: Step) -> BaseException | None:
        if self._stopping:  # it was ready and queued, but not begun
            return _NotBegun()
        action = step.action
        if isinstance(action, LONG):
            with self._lock:
                self._long += 1
        self._emit(StepStarted(step.number, action.kind, action.title, action.verb, step.reason))
        began = time.monotonic()
        error: BaseException | None = None
        try:
            self._crash.check("before", step)
            perform(step.number, action, self._context)
            self._crash.check("after", step)
        except BaseException as caught:  # noqa: BLE001 - the error of a step is a result, whatever it is
            error = caught
        detail = WAITED.get(action.condition, "") if isinstance(action, WaitFor) else ""
        if error is not None and not getattr(action, "required", True):
            told = f"{action.title} is not required: {error}" if isinstance(action, WaitFor) else str(error)
            self._emit(Note(told, "warning"))
            error, detail = None, "not required" if isinstance(action, WaitFor) else "Failed"
        seconds = time.monotonic() - began
        text = str(error) or type(error).__name__ if error is not None else ""
        if isinstance(error, Interrupted):
            text = "interrupted"
        self._emit(StepFinished(step.number, action.kind, action.title, action.verb, seconds, text, detail))
        return error

    def _emit(self, event: Event) -> None:
        if self._ended:
            return
        try:
            self._reporter.emit(event)
        except Exception as error:  # noqa: BLE001 - a broken reporter ends the run, not a thread of it
            self._broken = error
            self._stopping = True


class _NotBegun(Exception):
    """A step that was queued when the run began to stop."""


class _Crash:
    """For tests of crash safety: PYCOMPOSE_CRASH_AT=before:start:3 kills this process before the third start.

    The middle word is a verb (``start``), ``kind.verb`` (``network.create``) or the name of an action class; the number
    may be left out.
    """

    def __init__(self, text: str) -> None:
        when, _, rest = text.partition(":")
        self._when = when
        self._what, _, count = rest.partition(":")
        self._left = int(count or 1)
        self._lock = threading.Lock()

    def check(self, when: str, step: Step) -> None:
        if when != self._when:
            return
        action = step.action
        if self._what not in (action.verb, f"{action.kind}.{action.verb}", type(action).__name__):
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), _signal.SIGKILL)


def _joined(errors: list[BaseException]) -> BaseException:
    """One error of several: the first, with the others' texts in its hint."""
    first = errors[0]
    if len(errors) == 1:
        return first
    others = [_text(error) for error in errors[1:]]
    message, hint = _text(first), getattr(first, "hint", "")
    lines = "\n  ".join([*([hint] if hint else []), *(f"also: {text}" for text in others)])
    if isinstance(first, EngineError):
        return EngineError(message, hint=lines, where=first.where, code=first.code)
    if isinstance(first, ComposeError):
        return type(first)(message, hint=lines, where=first.where)
    return EngineError(message, hint=lines)


def _text(error: BaseException) -> str:
    return getattr(error, "message", "") or str(error) or type(error).__name__
