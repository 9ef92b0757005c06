"""``up``, ``create``, ``scale`` and ``start``: the verbs that converge."""

from __future__ import annotations

from compose.api.common import Outcome, execute, members
from compose.api.lock import ProjectLock
from compose.errors import ComposeError, UsageError
from compose.plan.actions import StartProvider
from compose.plan.intent import Intent
from compose.plan.reconcile import reconcile, volumes_to_ask_about
from compose.plan.select import select_services
from compose.record import EMPTY, record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from compose.engine.protocol import Engine
    from compose.events import Reporter
    from compose.execute.executor import Executor
    from compose.plan.desired import Desired, DesiredService
    from compose.plan.intent import ImageIntent
    from compose.plan.observed import Observed
    from compose.plan.plan import Plan


@record
class UpOptions:
    """Options of ``up``; ``create``, ``scale`` and ``start`` use some of them.

    ``lock``: path of the project's lock file, empty for none. ``workers``: threads, 0 for the default (``--parallel``).
    ``timeout`` seconds for stops; ``wait_timeout`` seconds for ``wait``. ``pull``: a policy over the file's.
    ``remake``: volumes that may be made anew when their configuration changed, ``*`` for any; ``ask``: raise
    VolumesChanged for others, in place of keeping them with a warning.
    """

    services: tuple[str, ...] = ()
    force_recreate: bool = False
    no_recreate: bool = False
    always_recreate_deps: bool = False
    scale: Mapping[str, int] = EMPTY
    no_deps: bool = False
    no_start: bool = False
    timeout: float | None = None
    remove_orphans: bool = False
    ignore_orphans: bool = False
    renew_anon_volumes: bool = False
    wait: bool = False
    wait_timeout: float | None = None
    show_values: bool = False
    workers: int = 0
    lock: str = ""
    pull: str = ""
    build: bool = False
    no_build: bool = False
    quiet_build: bool = False
    remake: tuple[str, ...] = ()
    ask: bool = False


class VolumesChanged(ComposeError):
    """Before anything is done: the configuration of volumes changed, and ``ask`` said that somebody can be asked.

    ``names``: the volumes. Call again without ``ask``, and with ``remake`` for those whose content may be lost.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__(
            f"cannot tell whether to make {', '.join(names)} anew: the configuration changed",
            hint="--yes makes them anew and loses their data",
        )
        self.names = names


def up(
    engine: Engine,
    desired: Desired,
    options: UpOptions,
    reporter: Reporter,
    begun: Callable[[Executor], None] | None = None,
    bringing: Callable[[Executor], None] | None = None,
) -> Outcome:
    """Converge the project, or the named services with their dependencies. Raises ComposeError.

    ``begun`` is given the executor before it starts, ``bringing`` those that pull and build before.
    """
    return _converge(engine, desired, up_intent(options), options, reporter, begun, bringing)


def create(engine: Engine, desired: Desired, options: UpOptions, reporter: Reporter) -> Outcome:
    """As ``up``, starting nothing."""
    return _converge(engine, desired, create_intent(options), options, reporter)


def scale(engine: Engine, desired: Desired, options: UpOptions, reporter: Reporter) -> Outcome:
    """Bring the services of ``options.scale`` to their numbers, recreating nothing."""
    return _converge(engine, desired, scale_intent(options), options, reporter)


def start(engine: Engine, desired: Desired, options: UpOptions, reporter: Reporter) -> Outcome:
    """Start the services' containers, and those they depend on, creating none. Raises UsageError if there are none."""
    with ProjectLock(options.lock, desired.project, reporter):
        engine.settle(desired.project)
        observed = engine.observe(desired.project, desired)
        plan = plan_start(desired, observed, options)
        results = execute(engine, plan, reporter, options.workers)
    return Outcome(plan, results, members(plan, results, observed))


def plan_start(desired: Desired, observed: Observed, options: UpOptions) -> Plan:
    """The plan of ``start``."""
    there = {container.service for container in observed.containers if not container.oneoff}
    selected = select_services(desired, options.services, dependencies=not options.no_deps)
    for name in selected:
        if name not in there and desired.service(name).replicas:
            raise UsageError(f"cannot start {name}: it has no container", hint=f"create one: pycompose up {name}")
    return reconcile(desired, observed, start_intent(options))


def up_intent(options: UpOptions) -> Intent:
    """What ``up`` asks of the planner. Raises UsageError for options that exclude each other."""
    _check(options)
    policy = "diverged"
    if options.force_recreate or options.renew_anon_volumes:
        policy = "force"
    elif options.no_recreate:
        policy = "never"
    deps = "never" if options.no_recreate else "diverged"
    if options.always_recreate_deps or (policy == "force" and not options.services):
        deps = "force"
    return Intent(
        services=options.services,
        recreate=policy,
        recreate_deps=deps,
        scale=options.scale,
        no_deps=options.no_deps,
        no_start=options.no_start,
        timeout=options.timeout,
        remove_orphans=options.remove_orphans,
        ignore_orphans=options.ignore_orphans,
        renew_anon_volumes=options.renew_anon_volumes,
        wait=options.wait,
        wait_timeout=options.wait_timeout,
        show_values=options.show_values,
        remake=options.remake,
    )


def create_intent(options: UpOptions) -> Intent:
    """What ``create`` asks of the planner."""
    return replace(up_intent(options), no_start=True, wait=False)


def scale_intent(options: UpOptions) -> Intent:
    """What ``scale`` asks of the planner."""
    names = options.services or tuple(options.scale)
    return replace(up_intent(options), services=names, recreate="never", recreate_deps="never")


def start_intent(options: UpOptions) -> Intent:
    """What ``start`` asks of the planner."""
    return Intent(
        services=options.services,
        no_deps=options.no_deps,
        converge=False,
        ignore_orphans=True,
        wait=options.wait,
        wait_timeout=options.wait_timeout,
    )


def _check(options: UpOptions) -> None:
    pairs = (
        (options.force_recreate and options.no_recreate, "--force-recreate and --no-recreate"),
        (options.no_recreate and options.renew_anon_volumes, "--no-recreate and --renew-anon-volumes"),
        (options.no_recreate and options.always_recreate_deps, "--no-recreate and --always-recreate-deps"),
        (options.no_start and options.wait, "--no-start and --wait"),
    )
    for clash, names in pairs:
        if clash:
            raise UsageError(f"cannot use {names} together", hint="leave one of them out")
    for name, count in options.scale.items():
        if count < 0:
            raise UsageError(
                f"cannot scale {name} to {count}: the number must be 0 or more",
                hint="write SERVICE=NUMBER, such as web=3",
            )


def images_of(desired: Desired, observed: Observed, options: UpOptions) -> ImageIntent | None:
    """What is asked of images; None when all are there, so that the planner for them need not be imported."""
    plain = not options.build and options.pull in ("", "policy", "never", "missing", "if_not_present")
    if plain:
        have = {image.reference for image in observed.images}
        services = desired.services
        if all(one.image in have and not one.config.get("pull_policy") and not _mounts_images(one) for one in services):
            return None
    from compose.api.images import ImageOptions, image_intent
    from compose.plan.intent import BuildOptions

    asked = ImageOptions(options.pull, options.build, options.no_build, BuildOptions(quiet=options.quiet_build))
    return image_intent(options.services, options.no_deps, asked)


def _mounts_images(service: DesiredService) -> bool:
    return any(mount.get("type") == "image" for mount in service.config.get("volumes") or ())


def _converge(
    engine: Engine,
    desired: Desired,
    intent: Intent,
    options: UpOptions,
    reporter: Reporter,
    begun: Callable[[Executor], None] | None = None,
    bringing: Callable[[Executor], None] | None = None,
) -> Outcome:
    with ProjectLock(options.lock, desired.project, reporter):
        engine.settle(desired.project)
        observed = engine.observe(desired.project, desired)
        if options.ask and (names := volumes_to_ask_about(desired, observed, intent)):
            raise VolumesChanged(names)
        images = images_of(desired, observed, options)
        if images is not None:
            from compose.api.images import bring_images

            observed = bring_images(engine, desired, observed, images, reporter, options.workers, bringing)
        return _reach(engine, desired, observed, intent, reporter, options.workers, begun)


def _reach(
    engine: Engine,
    desired: Desired,
    observed: Observed,
    intent: Intent,
    reporter: Reporter,
    workers: int,
    begun: Callable[[Executor], None] | None,
) -> Outcome:
    """Plan and do. Once more when a provider said something new, for those that were there already."""
    plan = reconcile(desired, observed, intent)
    results = execute(engine, plan, reporter, workers, begun)
    outcome = Outcome(plan, results, members(plan, results, observed))
    asked = any(isinstance(step.action, StartProvider) for step in plan.steps)
    if not asked or engine.provided(desired.project) == observed.provided:
        return outcome
    observed = engine.observe(desired.project, desired)
    again = _reach(engine, desired, observed, replace(intent, providers=False), reporter, workers, begun)
    return again if again.plan.steps else outcome
