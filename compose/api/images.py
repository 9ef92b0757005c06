"""Images for the verbs: brought before anything is decided; ``pull``, ``push`` and ``build`` as plans of their own."""

from __future__ import annotations

import time

from compose.api.common import Outcome, execute
from compose.plan.actions import PullImage, PushImage
from compose.plan.images import plan_images
from compose.plan.intent import BuildOptions, ImageIntent
from compose.plan.plan import PlanBuilder
from compose.plan.select import select_services
from compose.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from compose.engine.protocol import Engine
    from compose.events import Reporter
    from compose.execute.executor import Executor
    from compose.plan.desired import Desired, DesiredService
    from compose.plan.observed import Observed
    from compose.plan.plan import Plan
    from runtime.images.upkeep import Usage


@record
class ImageOptions:
    """What a verb that makes containers wants of images; as ImageIntent's fields."""

    pull: str = ""
    build: bool = False
    no_build: bool = False
    options: BuildOptions = BuildOptions()  # noqa: RUF009 -- a record does not change


@record
class PullOptions:
    """Options of ``pull`` and ``push``. ``workers``: threads, 0 for the default."""

    services: tuple[str, ...] = ()
    ignore_buildable: bool = False
    ignore_failures: bool = False
    include_deps: bool = False
    policy: str = ""
    workers: int = 0


def image_intent(services: tuple[str, ...], no_deps: bool, options: ImageOptions) -> ImageIntent:
    """What a converging verb asks of the planner about images."""
    return ImageIntent(
        services=services,
        no_deps=no_deps,
        pull="" if options.pull in ("", "policy") else options.pull,
        build=options.build,
        no_build=options.no_build,
        now=time.time(),
        options=options.options,
    )


def bring_images(
    engine: Engine,
    desired: Desired,
    observed: Observed,
    intent: ImageIntent,
    reporter: Reporter,
    workers: int = 0,
    begun: Callable[[Executor], None] | None = None,
) -> Observed:
    """Pull and build what is missing or too old; then the world as it is. Raises the first error of a step.

    ``begun`` is given each executor before it starts.
    Two rounds: what can be built is built in the second when it could not be pulled in the first.
    """
    plan = plan_images(desired, observed, intent)
    for again in (True, False):
        if not plan.steps:
            break
        execute(engine, plan, reporter, workers, begun)
        observed = engine.observe(desired.project, desired)
        if again:
            plan = plan_images(desired, observed, _rest(intent))
    return observed


def _rest(intent: ImageIntent) -> ImageIntent:
    """Of the second round: only what is still missing and can be built."""
    return replace(intent, pull="never", build=False, first_look=False)


def pull(engine: Engine, desired: Desired, options: PullOptions, reporter: Reporter) -> Outcome:
    """Pull the images of the services. Raises ComposeError unless failures are ignored."""
    observed = engine.observe(desired.project, desired)
    plan = plan_pull(desired, observed, options)
    return Outcome(plan, execute(engine, plan, reporter, options.workers))


def plan_pull(desired: Desired, observed: Observed, options: PullOptions) -> Plan:
    """The plan of ``pull``: every image once; those that can be built are tried, and told when it fails."""
    builder = PlanBuilder()
    have = {image.reference for image in observed.images}
    skipped: list[str] = []
    done: set[str] = set()
    for name in select_services(desired, options.services, dependencies=options.include_deps):
        service = desired.service(name)
        reason = _why_not(service, options, have)
        if reason and service.config.get("build"):
            skipped.append(name)
        if reason or service.image in done or service.config.get("provider"):
            continue
        done.add(service.image)
        required = not (options.ignore_failures or service.config.get("build"))
        platform = str(service.config.get("platform") or "")
        builder.add(PullImage(service.image, platform, required), "asked for")
    if skipped:
        builder.warn(f"not pulled, as they are built: {', '.join(skipped)}; pycompose build makes them")
    return builder.build(desired.project, desired)


def _why_not(service: DesiredService, options: PullOptions, have: set[str]) -> str:
    if not service.config.get("image"):
        return "it has no image to pull"
    if options.ignore_buildable and service.config.get("build"):
        return "it can be built"
    policy = options.policy or str(service.config.get("pull_policy") or "")
    if policy == "never" or (policy == "build" and service.config.get("build")):
        return f"policy {policy}"
    if policy in ("missing", "if_not_present") and service.image in have:
        return "it is there"
    return ""


def push(engine: Engine, desired: Desired, options: PullOptions, reporter: Reporter) -> Outcome:
    """Push the images of the services that have a build section (docker compose's rule). Raises ComposeError."""
    plan = plan_push(desired, options)
    return Outcome(plan, execute(engine, plan, reporter, options.workers))


def plan_push(desired: Desired, options: PullOptions) -> Plan:
    """The plan of ``push``: services with a build section, and the further tags of it."""
    builder = PlanBuilder()
    done: set[str] = set()
    for name in select_services(desired, options.services, dependencies=options.include_deps):
        service = desired.service(name)
        build = service.config.get("build")
        if not build:
            continue
        if not service.config.get("image") and not options.services:
            builder.warn(f"not pushed: {name} has no image")
            continue
        for image in (service.image, *(build.get("tags") or ())):
            if image not in done:
                done.add(image)
                builder.add(PushImage(image, not options.ignore_failures), "asked for")
    if not builder.steps:
        builder.warn("nothing to push: only services with a build section and an image are pushed")
    return builder.build(desired.project, desired)


def bring(engine: Engine, references: tuple[str, ...], platform: str, reporter: Reporter, workers: int = 0) -> None:
    """Pull images by name. Raises ComposeError."""
    builder = PlanBuilder()
    for reference in dict.fromkeys(references):
        builder.add(PullImage(reference, platform), "asked for")
    execute(engine, builder.build(""), reporter, workers)


def send(engine: Engine, references: tuple[str, ...], compression: str, reporter: Reporter, workers: int = 0) -> None:
    """Push images by name. Raises ComposeError."""
    builder = PlanBuilder()
    for reference in dict.fromkeys(references):
        builder.add(PushImage(reference, compression=compression), "asked for")
    execute(engine, builder.build(""), reporter, workers)


def disk_usage(engine: Engine) -> dict[str, Usage]:
    """What takes the disk, by docker's words for kinds of things."""
    return engine.disk_usage()
