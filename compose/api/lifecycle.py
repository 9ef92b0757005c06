"""``stop``, ``restart``, ``kill``, ``pause``, ``unpause``, ``rm`` and ``wait``; and the plan of any verb."""

from __future__ import annotations

from compose.api.common import Outcome, execute
from compose.api.down import DownOptions, down_intent
from compose.api.lock import ProjectLock
from compose.api.up import UpOptions, create_intent, images_of, plan_start, scale_intent, up_intent
from compose.errors import UsageError
from compose.plan import lifecycle
from compose.plan.down import plan_down
from compose.plan.intent import LifeIntent
from compose.plan.reconcile import reconcile
from compose.plan.select import check_names
from compose.plan.world import is_live, service_containers
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from compose.engine.protocol import Engine
    from compose.events import Reporter
    from compose.plan.desired import Desired
    from compose.plan.observed import Observed, ObservedContainer
    from compose.plan.plan import Plan

    Planner = Callable[[Desired | None, Observed, LifeIntent], Plan]


@record
class LifeOptions:
    """Options of these verbs. ``project`` is needed when there is no file (``desired`` None). ``stop`` is ``rm -s``,
    ``volumes`` is ``rm -v``, ``timeout`` seconds."""

    services: tuple[str, ...] = ()
    timeout: float | None = None
    signal: str = "SIGKILL"
    no_deps: bool = False
    stop: bool = False
    volumes: bool = False
    remove_orphans: bool = False
    project: str = ""
    workers: int = 0
    lock: str = ""


@record
class Ended:
    """A container that ``wait`` saw end."""

    service: str
    name: str
    ident: str
    exit_code: int


def stop(engine: Engine, desired: Desired | None, options: LifeOptions, reporter: Reporter) -> Outcome:
    """Stop the services' containers and give back their networks, dependents first."""
    return _act(engine, desired, options, reporter, lifecycle.plan_stop)


def restart(engine: Engine, desired: Desired | None, options: LifeOptions, reporter: Reporter) -> Outcome:
    """Stop and start again, without looking for changes. Needs the file, for the networks."""
    return _act(engine, desired, options, reporter, _plan_restart)


def kill(engine: Engine, desired: Desired | None, options: LifeOptions, reporter: Reporter) -> Outcome:
    """Send ``options.signal`` to the services' running containers."""
    return _act(engine, desired, options, reporter, lifecycle.plan_kill)


def pause(engine: Engine, desired: Desired | None, options: LifeOptions, reporter: Reporter) -> Outcome:
    """Freeze the services' containers. One that is paused already is an error."""
    return _act(engine, desired, options, reporter, lifecycle.plan_pause)


def unpause(engine: Engine, desired: Desired | None, options: LifeOptions, reporter: Reporter) -> Outcome:
    """Thaw the services' containers. One that is not paused is an error."""
    return _act(engine, desired, options, reporter, lifecycle.plan_unpause)


def rm(engine: Engine, desired: Desired | None, options: LifeOptions, reporter: Reporter) -> Outcome:
    """Remove the services' stopped containers; asking the user first is the caller's (see ``removable``)."""
    return _act(engine, desired, options, reporter, lifecycle.plan_rm)


def removable(engine: Engine, desired: Desired | None, options: LifeOptions) -> tuple[str, ...]:
    """The names of what ``rm`` would remove."""
    _project, observed = _look(engine, desired, options)
    rows = _containers(desired, observed, options)
    return tuple(one.name for one in rows if options.stop or not is_live(one))


def wait(engine: Engine, desired: Desired | None, options: LifeOptions) -> tuple[Ended, ...]:
    """Block until every container of the services has ended; their exit codes, in the order of the services."""
    project, observed = _look(engine, desired, options)
    rows = _containers(desired, observed, options)
    if not rows:
        raise UsageError(
            f"cannot wait: project {project} has no container of {', '.join(options.services) or 'any'}",
            hint="start it: pycompose up -d",
        )
    engine.wait_until(tuple(one.id for one in rows if one.status != "stopped"), "stopped")
    codes = {one.id: one.exit_code for one in engine.observe(project, desired).containers}
    return tuple(Ended(one.service, one.name, one.id, codes.get(one.id, one.exit_code)) for one in rows)


def remove_containers(
    engine: Engine, project: str, idents: tuple[str, ...], reporter: Reporter, *, volumes: bool = False
) -> Outcome:
    """Stop and remove certain containers of a project: the end of ``run --rm``."""
    plan = lifecycle.plan_remove(None, engine.observe(project), idents, volumes=volumes)
    return Outcome(plan, execute(engine, plan, reporter))


_PLANNERS: dict[str, Planner] = {
    "stop": lifecycle.plan_stop,
    "kill": lifecycle.plan_kill,
    "pause": lifecycle.plan_pause,
    "unpause": lifecycle.plan_unpause,
    "rm": lifecycle.plan_rm,
}


def plan_for(
    command: str, engine: Engine, desired: Desired | None, options: UpOptions | DownOptions | LifeOptions
) -> Plan:
    """What a verb would do, without doing it (``pycompose plan``, ``--dry-run``). Raises as the verb itself.

    ``command``: up, create, scale, start (UpOptions); down (DownOptions); the others (LifeOptions).
    """
    if isinstance(options, UpOptions):
        desired = _needed(desired, command)
        observed = engine.observe(desired.project, desired)
        if command == "start":
            return plan_start(desired, observed, options)
        intents = {"up": up_intent, "create": create_intent, "scale": scale_intent}
        images = images_of(desired, observed, options)
        return reconcile(desired, observed, intents[command](options), images)
    _project, observed = _look(engine, desired, options)
    if isinstance(options, DownOptions):
        return plan_down(desired, observed, down_intent(options))
    planner = _plan_restart if command == "restart" else _PLANNERS[command]
    return planner(desired, observed, life_intent(options))


def life_intent(options: LifeOptions) -> LifeIntent:
    """What these verbs ask of the planner."""
    return LifeIntent(
        options.services,
        options.timeout,
        options.signal,
        options.no_deps,
        options.stop,
        options.volumes,
        options.remove_orphans,
    )


def _act(
    engine: Engine, desired: Desired | None, options: LifeOptions, reporter: Reporter, planner: Planner
) -> Outcome:
    project = desired.project if desired is not None else options.project
    with ProjectLock(options.lock, project, reporter):
        plan = planner(desired, engine.observe(project, desired), life_intent(options))
        return Outcome(plan, execute(engine, plan, reporter, options.workers))


def _look(engine: Engine, desired: Desired | None, options: LifeOptions | DownOptions) -> tuple[str, Observed]:
    project = desired.project if desired is not None else options.project
    return project, engine.observe(project, desired)


def _containers(desired: Desired | None, observed: Observed, options: LifeOptions) -> list[ObservedContainer]:
    found = service_containers(observed)
    known = [service.name for service in desired.services] if desired is not None else sorted(found)
    check_names(known, options.services)
    return [one for name in (options.services or known) for one in found.get(name, ())]


def _plan_restart(desired: Desired | None, observed: Observed, intent: LifeIntent) -> Plan:
    return lifecycle.plan_restart(_needed(desired, "restart"), observed, intent)


def _needed(desired: Desired | None, command: str) -> Desired:
    if desired is None:
        raise UsageError(f"cannot {command} without a compose file", hint="go to its directory, or name it with -f")
    return desired
