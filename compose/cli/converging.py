"""``up`` in a thread of its own, while the logs of what it starts are already shown."""

from __future__ import annotations

import threading

from compose.api.up import up
from compose.cli.session import Reporting
from compose.errors import Interrupted
from compose.events import StepStarted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from compose.api.up import UpOptions
    from compose.cli.render.screen import Screen
    from compose.cli.session import Session
    from compose.events import Event
    from compose.execute.executor import Executor
    from compose.plan.desired import Desired

LEAVING = 2.0  # seconds for what is cancelled; a build takes less than one


class _Reporting(Reporting):
    """Also notes when the first container starts, and which ones are stopped on purpose."""

    def __init__(self, session: Session, screen: Screen | None, first: Callable[[], None]) -> None:
        super().__init__(session, "up", summary=True, beside_logs=True, screen=screen)
        self.stopped: set[str] = set()
        self._first = first

    def emit(self, event: Event) -> None:
        if isinstance(event, StepStarted) and event.kind == "container":
            if event.verb == "start":
                self._first()
            elif event.verb in ("stop", "kill", "remove"):
                self.stopped.add(event.name)
        super().emit(event)


class Converging:
    """The thread. ``over`` when it is done; ``error`` is what it raised, if not for being cancelled.

    ``on_start`` is called before the first container starts, ``wake`` at the end, both from other threads.
    """

    def __init__(
        self,
        session: Session,
        desired: Desired,
        request: UpOptions,
        screen: Screen | None,
        *,
        on_start: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        self._session = session
        self._desired = desired
        self._request = request
        self._reporting = _Reporting(session, screen, on_start)
        self._wake = wake
        self._executor: Executor | None = None
        self._bringing: Executor | None = None  # pulls and builds
        self._cancelled = False
        self.over = False
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def has_begun(self) -> bool:
        """Whether containers are at stake; before, it waits for another command, looks, pulls and builds."""
        return self._executor is not None or self.over

    def stopped(self, name: str) -> bool:
        """Whether that container is being stopped or replaced by the plan itself."""
        return name in self._reporting.stopped

    def cancel(self) -> None:
        """Begin no further step; returns when those at work are done."""
        self._cancelled = True
        if self._executor is not None:
            self._executor.cancel()
        self._thread.join()

    def leave(self) -> None:
        """Before it has begun: pulls are left, builds end and leave nothing, and no step follows."""
        self._cancelled = True
        if self._bringing is not None:
            self._bringing.cancel()
            self._thread.join(LEAVING)

    def _brings(self, executor: Executor) -> None:
        self._bringing = executor
        if self._cancelled:
            executor.cancel()

    def _begun(self, executor: Executor) -> None:
        self._executor = executor
        if self._cancelled:
            executor.cancel()

    def _run(self) -> None:
        from compose.cli.commands.up import unchanged

        try:
            with self._reporting as reporting:
                engine = self._session.engine
                outcome = up(engine, self._desired, self._request, reporting, self._begun, self._brings)
                reporting.unchanged = unchanged(outcome, self._desired, self._request)
        except Interrupted as error:
            self.error = None if self._cancelled else error
        except BaseException as error:  # noqa: BLE001 -- raised again in the main thread
            self.error = error
        finally:
            self.over = True
            self._wake()
