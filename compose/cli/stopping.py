"""The end of an attached ``up``: stop all in a thread of its own, and kill what will not, while the logs go on."""

from __future__ import annotations

import threading

from compose.api import lifecycle
from compose.cli.session import Reporting
from compose.errors import ComposeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from compose.cli.converging import Converging
    from compose.cli.render.screen import Screen
    from compose.cli.session import Session
    from compose.plan.desired import Desired


class Stopping:
    """Begins at once. ``done`` when everything has stopped, after which ``wake`` is called; ``error`` if it could not.

    ``converging``: what is to be cancelled first. ``services``: empty for all.
    """

    def __init__(
        self,
        session: Session,
        desired: Desired,
        services: tuple[str, ...],
        timeout: int | None,
        *,
        screen: Screen | None,
        converging: Converging | None,
        wake: Callable[[], None],
    ) -> None:
        self._session = session
        self._desired = desired
        self._screen = screen
        self._converging = converging
        self._wake = wake
        self._options = lifecycle.LifeOptions(
            services=services,
            timeout=timeout,
            project=desired.project,
            lock=session.lock(desired.project),
            workers=session.workers,
        )
        self.done = False
        self.error: ComposeError | None = None
        self._thread = threading.Thread(target=self._stop, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """It still has to write to what the caller closes."""
        self._thread.join()

    def _stop(self) -> None:
        try:
            if self._converging is not None:
                self._converging.cancel()
            shown = {"beside_logs": True, "summary": self._screen is not None}
            with Reporting(self._session, "stop", screen=self._screen, **shown) as reporting:
                lifecycle.stop(self._session.engine, self._desired, self._options, reporting)
        except ComposeError as error:
            self.error = error
        finally:
            self.done = True
            self._wake()

    def kill(self) -> None:
        """SIGKILL to everything. The stop that is going on holds the project's lock, so this goes past it."""
        threading.Thread(target=self._kill, daemon=True).start()

    def _kill(self) -> None:
        from compose.cli.render.progress import Quiet
        from compose.record import replace

        try:
            lifecycle.kill(self._session.engine, self._desired, replace(self._options, lock=""), Quiet())
        except ComposeError as error:
            self.error = error
