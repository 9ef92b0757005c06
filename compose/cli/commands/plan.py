"""``plan``: what ``up`` or ``down`` would do, and why. Reads only."""

from __future__ import annotations

from compose.api.down import DownOptions
from compose.api.lifecycle import plan_for
from compose.api.up import UpOptions
from compose.cli.commands.common import scales
from compose.cli.render.plan import show_plan
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    services: tuple[str, ...] = ()
    format: str = "text"
    show_values: bool = False
    scale: tuple[str, ...] = ()
    force_recreate: bool = False
    no_recreate: bool = False
    no_deps: bool = False
    remove_orphans: bool = False
    down: bool = False
    volumes: bool = False


def run(session: Session, options: Options) -> int:
    desired = session.desired(options.services)
    if options.down:
        down = DownOptions(options.services, options.volumes, options.remove_orphans, project=desired.project)
        plan = plan_for("down", session.engine, desired, down)
    else:
        plan = plan_for("up", session.engine, desired, _up(options))
    for warning in plan.warnings:
        session.warn(warning)
    session.write(show_plan(plan, options.format))
    return 0


def _up(options: Options) -> UpOptions:
    return UpOptions(
        services=options.services,
        force_recreate=options.force_recreate,
        no_recreate=options.no_recreate,
        scale=scales(options.scale),
        no_deps=options.no_deps,
        remove_orphans=options.remove_orphans,
        show_values=options.show_values,
    )
