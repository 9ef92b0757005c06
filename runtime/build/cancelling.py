"""A build that can be ended at any moment: it works in a thread of its own, and whoever waits for it need not.

Commands are killed and stages end at their next step, mostly within milliseconds. A thread that sits in the network or
in a long copy is left behind after ``GRACE``: what it had staged is removed under it, so that it ends in an error, or
with the process.
"""

from __future__ import annotations

import threading

from runtime.build.errors import BuildCancelled
from runtime.build.git import end_git
from runtime.images.ingest import remove_staged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.build.builder import Builder
    from runtime.build.request import BuildEvent
    from runtime.images.store import Image

    OnCancel = Callable[[Callable[[], None]], None]

GRACE = 0.6  # seconds


def run_cancellable(builder: Builder, on_cancel: OnCancel | None = None) -> Image:
    """Build; ``on_cancel`` is given what ends the build from another thread, once or more. Ctrl-C does the same.

    Raises BuildFault; BuildCancelled when it was ended, KeyboardInterrupt after Ctrl-C. Nothing of it is left then.
    """
    attempt = _Attempt(builder)
    if on_cancel is not None:
        on_cancel(attempt.cancel)
    return attempt.run()


class _Attempt:
    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._wake = threading.Event()
        self._image: Image | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        try:
            self._image = self._builder.run()
        except BaseException as error:  # noqa: BLE001 -- raised again by who waits
            self._error = error
        self._wake.set()

    def cancel(self) -> None:
        """From any thread, or a signal handler; again, and after the end, it does nothing."""
        self._builder.fail(BuildCancelled())
        self._wake.set()

    def run(self) -> Image:
        self._thread.start()
        try:
            self._wake.wait()
        except BaseException:  # Ctrl-C
            self.cancel()
            self._leave()
            raise
        if isinstance(self._builder.failure, BuildCancelled):
            self._leave()
        else:
            self._thread.join()
        if self._image is not None:
            return self._image  # it was faster
        if isinstance(self._builder.failure, BuildCancelled):
            raise self._builder.failure
        assert self._error is not None
        raise self._error

    def _leave(self) -> None:
        end_git(self._builder.threads)
        self._thread.join(GRACE)
        if self._thread.is_alive():
            self._builder.reporter = _Deaf()
            remove_staged(self._builder.threads)
            self._builder.close()


class _Deaf:
    """For a thread that was left behind: who listened may be gone."""

    def emit(self, event: BuildEvent) -> None:
        """Say nothing."""
