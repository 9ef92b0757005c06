"""``up``: converge, and when attached show the logs until everything has ended or the user has had enough."""

from __future__ import annotations

from compose import labels
from compose.api.up import UpOptions, up
from compose.cli.commands.common import asking, check_pull, refuse_pair, scales, show_dry_run
from compose.cli.options import is_yes
from compose.cli.session import Reporting
from compose.errors import UsageError
from compose.plan.select import select_services
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.api.common import Outcome
    from compose.cli.session import Session
    from compose.plan.desired import Desired


@record
class Options:
    services: tuple[str, ...] = ()
    detach: bool = False
    wait: bool = False
    wait_timeout: int | None = None
    scale: tuple[str, ...] = ()
    force_recreate: bool = False
    no_recreate: bool = False
    always_recreate_deps: bool = False
    no_deps: bool = False
    no_start: bool = False
    renew_anon_volumes: bool = False
    timeout: int | None = None
    remove_orphans: bool = False
    abort_on_container_exit: bool = False
    abort_on_container_failure: bool = False
    exit_code_from: str = ""
    attach: tuple[str, ...] = ()
    no_attach: tuple[str, ...] = ()
    attach_dependencies: bool = False
    no_color: bool = False
    no_log_prefix: bool = False
    timestamps: bool = False
    pull: str = ""
    build: bool = False
    no_build: bool = False
    quiet_pull: bool = False
    quiet_build: bool = False
    watch: bool = False
    watch_config: str = "apply"
    menu: bool | None = None
    yes: bool = False

    @property
    def attached(self) -> bool:
        return not (self.detach or self.wait or self.no_start)


def run(session: Session, options: Options) -> int:
    _check(options)
    session.hides_parts = options.quiet_pull
    desired = session.desired(options.services)
    if options.exit_code_from and options.exit_code_from not in [one.name for one in desired.services]:
        raise UsageError(f"no such service: {options.exit_code_from}", hint="--exit-code-from names a service")
    request = request_of(session, options, desired)
    return asking(session, options.yes, request, lambda request: _run(session, options, desired, request))


def _run(session: Session, options: Options, desired: Desired, request: UpOptions) -> int:
    if session.shared.dry_run:
        return show_dry_run(session, "up", desired, request)
    if options.attached:
        from compose.cli.attached import attend

        return attend(session, desired, options, request)
    with Reporting(session, "up", summary=True) as reporting:
        outcome = up(session.engine, desired, request, reporting)
        reporting.unchanged = unchanged(outcome, desired, request)
    return 0


def request_of(session: Session, options: Options, desired: Desired) -> UpOptions:
    """What the api is asked for."""
    environ = session.environ
    return UpOptions(
        services=options.services,
        force_recreate=options.force_recreate,
        no_recreate=options.no_recreate,
        always_recreate_deps=options.always_recreate_deps,
        scale=scales(options.scale),
        no_deps=options.no_deps,
        no_start=options.no_start,
        timeout=options.timeout,
        remove_orphans=options.remove_orphans or is_yes(environ.get("COMPOSE_REMOVE_ORPHANS", "")),
        ignore_orphans=is_yes(environ.get("COMPOSE_IGNORE_ORPHANS", "")),
        renew_anon_volumes=options.renew_anon_volumes,
        wait=options.wait,
        wait_timeout=options.wait_timeout,
        workers=session.workers,
        lock=session.lock(desired.project),
        pull=options.pull,
        build=options.build,
        no_build=options.no_build,
        quiet_build=options.quiet_build,
    )


def unchanged(outcome: Outcome, desired: Desired, request: UpOptions) -> int:
    """How many containers of the services asked for, and of those they need, the plan did not touch."""
    asked = select_services(desired, request.services, dependencies=not request.no_deps)
    touched = {step.action.title for step in outcome.plan.steps if step.action.kind == "container"}
    project = outcome.plan.project
    names = [one.name for one in outcome.containers if one.service in asked]
    # Steps call a container_name in full when it is made, and as any other name later.
    return sum(not touched & {name, labels.without_project(project, name)} for name in names)


def _check(options: Options) -> None:
    """Refuse what is not supported, and pairs that exclude each other: both are named. Raises UsageError."""
    check_pull(options.pull)
    aborts = {
        "--abort-on-container-exit": options.abort_on_container_exit,
        "--abort-on-container-failure": options.abort_on_container_failure,
        "--exit-code-from": bool(options.exit_code_from),
    }
    attaches = {"--attach": bool(options.attach), "--attach-dependencies": options.attach_dependencies}
    refuse_pair({"--detach": options.detach, "--wait": options.wait}, {**aborts, **attaches})
    refuse_pair({"--abort-on-container-exit": options.abort_on_container_exit}, dict(list(aborts.items())[1:2]))
    refuse_pair({"--attach": attaches["--attach"]}, {"--attach-dependencies": options.attach_dependencies})
    refuse_pair({"--build": options.build}, {"--no-build": options.no_build})
    gone = {"--detach": options.detach, "--wait": options.wait, "--no-start": options.no_start}
    refuse_pair({"--watch": options.watch}, {**gone, "--no-build": options.no_build})
