"""Declarations of the commands that make plans: up, down and their like. Help comes from the docstrings."""

# ruff: noqa: B006, A002 -- the defaults are read by Typer, never changed
from __future__ import annotations

from typing import Annotated

from compose.cli.declare.kinds import (
    Env,
    NoDeps,
    NoTty,
    Orphans,
    Scale,
    Services,
    Timeout,
    User,
    WatchConfig,
    Workdir,
    Yes,
    arg,
    hidden,
    one_service,
    opt,
)


def up(
    services: Services = [],
    detach: Annotated[bool, opt("--detach", "-d", help="Return when everything has started.")] = False,
    wait: Annotated[bool, opt("--wait", help="Return when everything runs or is healthy; implies -d.")] = False,
    wait_timeout: Annotated[int | None, opt("--wait-timeout", metavar="SECONDS", help="Give up waiting.")] = None,
    scale: Scale = [],
    force_recreate: Annotated[bool, opt("--force-recreate", help="Recreate what has not changed, too.")] = False,
    no_recreate: Annotated[bool, opt("--no-recreate", help="Keep existing containers, changed or not.")] = False,
    always_recreate_deps: Annotated[bool, opt("--always-recreate-deps", help="Recreate dependencies.")] = False,
    no_deps: NoDeps = False,
    no_start: Annotated[bool, opt("--no-start", help="Create, but do not start.")] = False,
    renew_anon_volumes: Annotated[bool, opt("--renew-anon-volumes", "-V", help="New anonymous volumes.")] = False,
    timeout: Timeout = None,
    remove_orphans: Orphans = False,
    abort_on_container_exit: Annotated[
        bool, opt("--abort-on-container-exit", help="Stop everything when a container exits.")
    ] = False,
    abort_on_container_failure: Annotated[
        bool, opt("--abort-on-container-failure", help="Stop everything when a container fails.")
    ] = False,
    exit_code_from: Annotated[
        str, opt("--exit-code-from", metavar="SERVICE", help="Exit with that service's code; stop when it exits.")
    ] = "",
    attach: Annotated[list[str], opt("--attach", metavar="SERVICE", help="Show these logs only.")] = [],
    no_attach: Annotated[list[str], opt("--no-attach", metavar="SERVICE", help="Do not show these logs.")] = [],
    attach_dependencies: Annotated[bool, opt("--attach-dependencies", help="Dependencies' logs, too.")] = False,
    no_color: Annotated[bool, opt("--no-color", help="Logs without colours.")] = False,
    no_log_prefix: Annotated[bool, opt("--no-log-prefix", help="Logs without the container's name.")] = False,
    timestamps: Annotated[bool, opt("--timestamps", help="Logs with times.")] = False,
    pull: Annotated[str, opt("--pull", metavar="POLICY", help="always, missing or never, over the file's.")] = "",
    build: Annotated[bool, hidden("--build")] = False,
    no_build: Annotated[bool, hidden("--no-build")] = False,
    quiet_pull: Annotated[bool, opt("--quiet-pull", help="Without the layers of pulls.")] = False,
    quiet_build: Annotated[bool, opt("--quiet-build", help="Without the output of builds.")] = False,
    watch: Annotated[bool, opt("--watch", "-w", help="Also watch: changed files go into the containers.")] = False,
    watch_config: WatchConfig = "apply",
    menu: Annotated[bool | None, opt("--menu/--no-menu", help="Show the line of keys below the logs.")] = None,
    yes: Yes = False,
) -> None:
    """Create and start containers."""


def down(
    services: Services = [],
    volumes: Annotated[bool, opt("--volumes", "-v", help="Also named and anonymous volumes.")] = False,
    timeout: Timeout = None,
    remove_orphans: Orphans = False,
    rmi: Annotated[str, opt("--rmi", metavar="WHICH", help="Also images: local, or all.")] = "",
) -> None:
    """Stop and remove containers and networks."""


def create(
    services: Services = [],
    force_recreate: Annotated[bool, opt("--force-recreate", help="Recreate what has not changed, too.")] = False,
    no_recreate: Annotated[bool, opt("--no-recreate", help="Keep existing containers, changed or not.")] = False,
    scale: Scale = [],
    remove_orphans: Orphans = False,
    pull: Annotated[str, opt("--pull", metavar="POLICY", help="always, missing or never, over the file's.")] = "",
    build: Annotated[bool, hidden("--build")] = False,
    no_build: Annotated[bool, hidden("--no-build")] = False,
    quiet_pull: Annotated[bool, opt("--quiet-pull", help="Without the layers of pulls.")] = False,
    yes: Yes = False,
) -> None:
    """Create containers without starting them."""


def scale(services: Annotated[list[str], arg("SERVICE=N...", "How many of what.")], no_deps: NoDeps = False) -> None:
    """Set the number of a service's containers."""


def plan(
    services: Services = [],
    format: Annotated[str, opt("--format", metavar="FORMAT", help="text or json.")] = "text",
    show_values: Annotated[bool, opt("--show-values", help="Show the values of variables and secrets.")] = False,
    scale: Scale = [],
    force_recreate: Annotated[bool, opt("--force-recreate", help="As up's.")] = False,
    no_recreate: Annotated[bool, opt("--no-recreate", help="As up's.")] = False,
    no_deps: NoDeps = False,
    remove_orphans: Orphans = False,
    down: Annotated[bool, opt("--down", help="The plan of down instead of up.")] = False,
    volumes: Annotated[bool, opt("--volumes", "-v", help="With --down: volumes, too.")] = False,
) -> None:
    """Show what up would do, and why."""


def run(
    service: Annotated[str, one_service("Whose image and settings.")],
    command: Annotated[list[str], arg("[COMMAND...]", "Instead of the service's.")] = [],
    detach: Annotated[bool, opt("--detach", "-d", help="Print the name and return.")] = False,
    rm: Annotated[bool, opt("--rm", help="Remove the container when it has exited.")] = False,
    env: Env = [],
    env_from_file: Annotated[list[str], opt("--env-from-file", metavar="FILE", help="Variables from a file.")] = [],
    label: Annotated[list[str], opt("--label", "-l", metavar="KEY=VALUE", help="Add a label.")] = [],
    volume: Annotated[list[str], opt("--volume", "-v", metavar="SRC:DST", help="Mount one more.")] = [],
    publish: Annotated[list[str], opt("--publish", "-p", metavar="PORT", help="Publish a port.")] = [],
    service_ports: Annotated[bool, opt("--service-ports", "-P", help="Publish the service's ports.")] = False,
    user: User = "",
    workdir: Workdir = "",
    entrypoint: Annotated[str | None, opt("--entrypoint", metavar="COMMAND", help="Instead of the image's.")] = None,
    name: Annotated[str, opt("--name", metavar="NAME", help="Name of the container.")] = "",
    no_deps: NoDeps = False,
    no_tty: NoTty = False,
    interactive: Annotated[bool, hidden("--interactive/--no-interactive", "-i")] = True,
    tty: Annotated[bool, hidden("--tty", "-t")] = False,
    use_aliases: Annotated[bool, opt("--use-aliases", help="Answer to the service's names, too.")] = False,
    cap_add: Annotated[list[str], opt("--cap-add", metavar="CAP", help="Add a capability.")] = [],
    cap_drop: Annotated[list[str], opt("--cap-drop", metavar="CAP", help="Drop a capability.")] = [],
    remove_orphans: Orphans = False,
    pull: Annotated[str, hidden("--pull")] = "",
    build: Annotated[bool, hidden("--build")] = False,
    quiet: Annotated[bool, hidden("--quiet", "-q")] = False,
    quiet_build: Annotated[bool, opt("--quiet-build", help="Without the output of builds.")] = False,
    quiet_pull: Annotated[bool, opt("--quiet-pull", help="Without the layers of pulls.")] = False,
) -> None:
    """Run one command in a new container of a service."""


def start(
    services: Services = [],
    wait: Annotated[bool, opt("--wait", help="Return when everything runs or is healthy.")] = False,
    wait_timeout: Annotated[int | None, opt("--wait-timeout", metavar="SECONDS", help="Give up waiting.")] = None,
) -> None:
    """Start existing containers."""


def stop(services: Services = [], timeout: Timeout = None) -> None:
    """Stop containers, keep them."""


def restart(services: Services = [], timeout: Timeout = None, no_deps: NoDeps = False) -> None:
    """Stop and start containers."""


def kill(
    services: Services = [],
    signal: Annotated[str, opt("--signal", "-s", metavar="SIGNAL", help="Which signal.")] = "SIGKILL",
    remove_orphans: Orphans = False,
) -> None:
    """Send a signal to containers."""


def pause(services: Services = []) -> None:
    """Freeze containers."""


def unpause(services: Services = []) -> None:
    """Let frozen containers go on."""


def rm(
    services: Services = [],
    force: Annotated[bool, opt("--force", "-f", help="Do not ask.")] = False,
    stop: Annotated[bool, opt("--stop", "-s", help="Stop them first.")] = False,
    volumes: Annotated[bool, opt("--volumes", "-v", help="Also their anonymous volumes.")] = False,
    all: Annotated[bool, hidden("--all", "-a")] = False,
) -> None:
    """Remove stopped containers."""


def wait(
    services: Annotated[list[str], arg("SERVICE...", "Whose containers.")],
    down_project: Annotated[bool, opt("--down-project", help="Take everything down when the first stops.")] = False,
) -> None:
    """Wait until containers stop; print their exit codes."""
