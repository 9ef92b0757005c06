"""``watch``: up, then hot reload until Ctrl-C. The containers stay."""

from __future__ import annotations

import _signal
import os
import select

from compose.api.up import UpOptions, up
from compose.api.watch import Watcher, WatchOptions, explain
from compose.cli.commands.common import show_dry_run
from compose.cli.main import INTERRUPTED
from compose.cli.session import Reporting
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from compose.cli.session import Session
    from compose.engine.local import LocalEngine
    from compose.events import Reporter
    from compose.plan.desired import Desired


@record
class Options:
    services: tuple[str, ...] = ()
    no_up: bool = False
    prune: bool = True
    quiet: bool = False
    watch_config: str = "apply"
    explain: str = ""


def run(session: Session, options: Options) -> int:
    desired = session.desired(options.services)
    if options.explain:
        session.write("".join(f"{line}\n" for line in explain(desired, options.explain, options.services)))
        return 0
    request = UpOptions(
        services=options.services,
        workers=session.workers,
        lock=session.lock(desired.project),
        quiet_build=options.quiet,
    )
    if session.shared.dry_run:
        return show_dry_run(session, "up", desired, request)
    progress = session.progress("watch", beside_logs=True)
    watcher = watcher_for(session, desired, options, request, progress)
    watcher.prepare()
    if not options.no_up:
        with Reporting(session, "up", summary=True) as reporting:
            up(session.engine, desired, request, reporting)
    watcher.start()
    return _until_interrupted(watcher)


def watcher_for(
    session: Session, desired: Desired, options: Options, request: UpOptions, reporter: Reporter
) -> Watcher:
    """A watcher over what this command line is about. Raises UsageError."""
    settings = WatchOptions(
        load=session.load_options(tuple(name for name in options.services if name in desired.disabled)),
        up=request,
        services=options.services,
        config=options.watch_config,
        prune=options.prune,
        quiet=options.quiet,
        environ=session.environ,
    )
    return Watcher(session.roots, desired, settings, engines(session), reporter)


def engines(session: Session) -> Callable[[], LocalEngine]:
    """Makes an engine for each action."""

    def make() -> LocalEngine:
        from compose.engine.local import LocalEngine

        return LocalEngine(session.roots, session.environ)

    return make


def _until_interrupted(watcher: Watcher) -> int:
    """The first Ctrl-C lets the file or the step at hand finish, the second leaves at once."""
    pressed = os.eventfd(0, os.EFD_CLOEXEC)
    before = _signal.signal(_signal.SIGINT, lambda _number, _frame: os.eventfd_write(pressed, 1))
    try:
        select.select([pressed, watcher.ended], [], [])
        if not watcher.loop.stopping and not select.select([pressed], [], [], 0)[0]:
            watcher.stop()  # it has ended itself, and said why
            return 1
        os.eventfd_read(pressed)
        watcher.loop.stop()
        if select.select([pressed, watcher.ended], [], [])[0] != [pressed]:
            watcher.stop()
        return INTERRUPTED
    finally:
        _signal.signal(_signal.SIGINT, before)
        os.close(pressed)
