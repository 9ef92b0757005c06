"""``down``: remove what ``up`` made."""

from __future__ import annotations

from compose.api.common import Outcome, execute
from compose.api.lock import ProjectLock
from compose.plan.down import plan_down
from compose.plan.intent import DownIntent
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.engine.protocol import Engine
    from compose.events import Reporter
    from compose.plan.desired import Desired


@record
class DownOptions:
    """Options of ``down``. ``project`` is needed when there is no file (``desired`` None)."""

    services: tuple[str, ...] = ()
    volumes: bool = False
    remove_orphans: bool = False
    timeout: float | None = None
    images: str = ""  # --rmi: "local" or "all"
    project: str = ""
    workers: int = 0
    lock: str = ""


def down(engine: Engine, desired: Desired | None, options: DownOptions, reporter: Reporter) -> Outcome:
    """Stop and remove the project's containers and networks. Raises ComposeError."""
    project = desired.project if desired is not None else options.project
    with ProjectLock(options.lock, project, reporter) as lock:
        engine.settle(project)
        plan = plan_down(desired, engine.observe(project, desired), down_intent(options))
        results = execute(engine, plan, reporter, options.workers)
        if not options.services:
            engine.forget(project)
            lock.remove_at_end()
    return Outcome(plan, results)


def down_intent(options: DownOptions) -> DownIntent:
    """What ``down`` asks of the planner."""
    return DownIntent(options.services, options.volumes, options.remove_orphans, options.timeout, options.images)
