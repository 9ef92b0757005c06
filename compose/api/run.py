"""``run``: a one-off container of a service, its dependencies first."""

from __future__ import annotations

from compose.api.common import Outcome, execute
from compose.api.lock import ProjectLock
from compose.api.up import UpOptions, images_of
from compose.execute.executor import new_ident
from compose.plan.intent import Intent, OneOff
from compose.plan.reconcile import reconcile
from compose.record import EMPTY, record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from compose.engine.protocol import Engine
    from compose.events import Reporter
    from compose.plan.desired import Desired, DesiredService
    from compose.plan.intent import ImageIntent
    from compose.plan.observed import Observed
    from compose.plan.plan import Plan


@record
class RunOptions:
    """Options of ``run``. ``overrides``: keys of RUN_OVERRIDES. ``name`` empty: project-service-run-slug.

    Ports: those of ``overrides["ports"]`` (``-p``), with ``service_ports`` (``-P``) the service's own too.
    """

    service: str
    overrides: Mapping[str, Any] = EMPTY
    name: str = ""
    no_deps: bool = False
    use_aliases: bool = False
    service_ports: bool = False
    remove_orphans: bool = False
    ignore_orphans: bool = False
    timeout: float | None = None
    workers: int = 0
    lock: str = ""
    pull: str = ""
    build: bool = False
    quiet_build: bool = False


@record
class RunResult:
    """The container, created and connected: attach to it, then ``engine.start_container(ident)``."""

    ident: str
    name: str
    outcome: Outcome


def run_oneoff(engine: Engine, desired: Desired, options: RunOptions, reporter: Reporter) -> RunResult:
    """Bring up what the service depends on, then create and connect a one-off container. Raises ComposeError."""
    ident = new_ident()
    with ProjectLock(options.lock, desired.project, reporter):
        observed = engine.observe(desired.project, desired)
        images = _images(desired, observed, options)
        if images is not None:
            from compose.api.images import bring_images

            observed = bring_images(engine, desired, observed, images, reporter, options.workers)
        plan = _plan(desired, observed, options, ident)
        results = execute(engine, plan, reporter, options.workers)
    return RunResult(ident, _name(desired, options, ident), Outcome(plan, results))


def plan_run(engine: Engine, desired: Desired, options: RunOptions, ident: str) -> Plan:
    """The plan of ``run`` with this id; all but the start of the one-off itself."""
    observed = engine.observe(desired.project, desired)
    return _plan(desired, observed, options, ident, _images(desired, observed, options))


def _plan(
    desired: Desired, observed: Observed, options: RunOptions, ident: str, images: ImageIntent | None = None
) -> Plan:
    desired = _with_ports(desired, options)
    oneoff = OneOff(
        options.service, ident, _name(desired, options, ident), _overrides(options), aliases=options.use_aliases
    )
    intent = Intent(
        no_deps=options.no_deps,
        remove_orphans=options.remove_orphans,
        ignore_orphans=options.ignore_orphans,
        timeout=options.timeout,
        oneoff=oneoff,
    )
    return reconcile(desired, observed, intent, images)


def _images(desired: Desired, observed: Observed, options: RunOptions) -> ImageIntent | None:
    """What is asked of the images of the service and of what it depends on."""
    names = (options.service,)
    asked = UpOptions(
        names, no_deps=options.no_deps, pull=options.pull, build=options.build, quiet_build=options.quiet_build
    )
    return images_of(desired, observed, asked)


def _name(desired: Desired, options: RunOptions, ident: str) -> str:
    return options.name or desired.separator.join((desired.project, options.service, "run", ident[:12]))


def _overrides(options: RunOptions) -> dict[str, Any]:
    """``ports`` is left out: they are in the service that the plan carries, where ``connect`` finds them."""
    overrides = {key: value for key, value in options.overrides.items() if key != "ports"}
    return {**overrides, "oneoff": True}


def _with_ports(desired: Desired, options: RunOptions) -> Desired:
    """The project with the one-off's ports in place of its service's own."""
    services = tuple(_replace_ports(one, options) if one.name == options.service else one for one in desired.services)
    return replace(desired, services=services)


def _replace_ports(service: DesiredService, options: RunOptions) -> DesiredService:
    own = list(service.config.get("ports") or ()) if options.service_ports else []
    return replace(service, config={**service.config, "ports": [*own, *(options.overrides.get("ports") or ())]})
