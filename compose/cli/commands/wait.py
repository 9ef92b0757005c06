"""``wait``: prints exit codes, and ends with the last one, as docker compose does."""

from __future__ import annotations

from compose.api import lifecycle
from compose.cli.session import Reporting
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session
    from compose.plan.desired import Desired


@record
class Options:
    services: tuple[str, ...]
    down_project: bool = False


def run(session: Session, options: Options) -> int:
    project, desired = session.project(options.services)
    life = lifecycle.LifeOptions(services=options.services, project=project)
    if options.down_project:
        code = _first_end(session, project, desired, options.services)
        _down(session, project, desired)
        return code
    ended = lifecycle.wait(session.engine, desired, life)
    for one in ended:
        session.write(_words(one.ident, one.exit_code))
    return ended[-1].exit_code if ended else 0


def _first_end(session: Session, project: str, desired: Desired | None, services: tuple[str, ...]) -> int:
    """The exit code of the first container that ends."""
    from compose.api.follow import Ended, ProjectFollower
    from compose.api.read import select
    from compose.errors import UsageError

    containers = select(session.observe(project, desired), desired, services)
    if not containers:
        raise UsageError(f'cannot wait: no containers for project "{project}"', hint="start it: pycompose up -d")
    with ProjectFollower(session.roots, project, services, containers, tail=0) as follower:
        while True:
            for event in follower.wait():
                if isinstance(event, Ended):
                    session.write(_words(event.ident, event.exit_code))
                    return event.exit_code


def _words(ident: str, code: int) -> str:
    """docker compose's line for a container that ended."""
    return f'container "{ident}" exited with status code {code}\n'


def _down(session: Session, project: str, desired: Desired | None) -> None:
    from compose.api.down import DownOptions, down

    options = DownOptions(project=project, lock=session.lock(project), workers=session.workers)
    with Reporting(session, "down") as reporting:
        down(session.engine, desired, options, reporting)
