"""``stats``: what the containers use, once a second until Ctrl-C, or once."""

from __future__ import annotations

import os
import sys
import time

from compose.api.read import RUNNING, select, state_of
from compose.api.stats import STATS_COLUMNS, Sample, sample, stats_rows
from compose.cli.render.table import show
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session
    from compose.plan.desired import Desired
    from compose.plan.observed import ObservedContainer

FIRST = 0.5  # seconds between the first two samples: CPU time of the machine comes in ticks of 10 ms
EVERY = 1.0
HOME, END_OF_LINE, BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


@record
class Options:
    services: tuple[str, ...] = ()
    all: bool = False
    format: str = "table"
    no_stream: bool = False
    no_trunc: bool = False


def run(session: Session, options: Options) -> int:
    project, desired = session.project(options.services)
    before: dict[str, Sample] = sample(session.roots, _chosen(session, project, desired, options))
    screen = os.isatty(1) and not options.no_stream and "json" not in options.format
    if screen:
        session.write(HOME + BELOW)
    pause = FIRST
    while True:
        time.sleep(pause)
        containers = _chosen(session, project, desired, options)
        after = sample(session.roots, containers)
        rows = stats_rows(containers, before, after, full=options.no_trunc)
        text = show(options.format, rows, STATS_COLUMNS, lines=True)
        session.write(HOME + text.replace("\n", f"{END_OF_LINE}\n") + BELOW if screen else text)
        sys.stdout.flush()
        if options.no_stream:
            return 0
        before, pause = after, EVERY


def _chosen(session: Session, project: str, desired: Desired | None, options: Options) -> list[ObservedContainer]:
    """Those that run; with --all the stopped ones, too."""
    found = select(session.observe(project), desired, options.services, oneoffs=True)
    return [one for one in found if options.all or state_of(one) in RUNNING]
