"""The watcher of an attached ``up``: from the start with ``--watch``, or switched on and off by a key of the menu."""

from __future__ import annotations

from compose.cli.commands.watch import Options as WatchOptions
from compose.cli.commands.watch import watcher_for
from compose.cli.render.progress import STDERR, Plain
from compose.errors import ComposeError
from compose.events import WatchEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.api.up import UpOptions
    from compose.api.watch import Watcher
    from compose.cli.commands.up import Options
    from compose.cli.render.progress import Progress
    from compose.cli.render.screen import Output, Screen
    from compose.cli.session import Session
    from compose.plan.desired import Desired


class _Above(Plain):
    """Plain lines above a screen's region."""

    def __init__(self, output: Output) -> None:
        super().__init__(STDERR)
        self._output = output

    def _write(self, line: str) -> None:
        self._output.write(STDERR, f"{line}\n".encode())


class Watching:
    """At most one watcher at a time; each start is a new one."""

    def __init__(
        self,
        session: Session,
        desired: Desired,
        options: Options,
        request: UpOptions,
        output: Output,
        screen: Screen | None,
    ) -> None:
        self._session = session
        self._desired = desired
        self._settings = WatchOptions(options.services, quiet=options.quiet_build, watch_config=options.watch_config)
        self._request = request
        self._reporter: Progress = _Above(output) if screen is not None else session.progress("watch", beside_logs=True)
        self._watcher: Watcher | None = None

    @property
    def is_on(self) -> bool:
        return self._watcher is not None

    def prepare(self) -> None:
        """From here on no change is missed. Raises ComposeError."""
        watcher = watcher_for(self._session, self._desired, self._settings, self._request, self._reporter)
        watcher.prepare()
        self._watcher = watcher

    def begin(self) -> None:
        """Act on what changed since ``prepare``; once."""
        if self._watcher is not None and not self._watcher.is_running:
            self._watcher.start()

    def toggle(self) -> None:
        """The key: on, or off again. What hinders it is told."""
        if self._watcher is not None:
            self.end()
            self._reporter.emit(WatchEvent("ready", "watch is off"))
            return
        try:
            self.prepare()
            self.begin()
        except ComposeError as error:
            self._reporter.emit(WatchEvent("error", error.text()))

    def quiesce(self) -> None:
        """Begin nothing further; what is at work goes on."""
        if self._watcher is not None:
            self._watcher.loop.stop()

    def end(self) -> None:
        """Wait for the step at hand, then stop."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None
