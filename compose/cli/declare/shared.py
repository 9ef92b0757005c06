"""The global options, as the root of the command line declares them."""

# ruff: noqa: B006, A002 -- the defaults are read by Typer, never changed
from __future__ import annotations

from typing import Annotated

from compose.cli.declare.kinds import hidden, opt


def shared(
    file: Annotated[list[str], opt("--file", "-f", metavar="FILE", help="Compose file; repeat to merge.")] = [],
    project_name: Annotated[str, opt("--project-name", "-p", metavar="NAME", help="Project name.")] = "",
    project_directory: Annotated[
        str, opt("--project-directory", "--workdir", metavar="DIR", help="Base of relative paths.")
    ] = "",
    env_file: Annotated[list[str], opt("--env-file", metavar="FILE", help="Instead of .env; may repeat.")] = [],
    profile: Annotated[list[str], opt("--profile", metavar="NAME", help="Enable a profile; may repeat.")] = [],
    ansi: Annotated[str, opt("--ansi", metavar="WHEN", help="Colours: auto, never, always.")] = "",
    progress: Annotated[str, opt("--progress", metavar="MODE", help="auto, tty, plain, json, quiet.")] = "",
    parallel: Annotated[
        int | None, opt("--parallel", metavar="N", help="At most N steps at once; -1: no limit.")
    ] = None,
    dry_run: Annotated[bool, opt("--dry-run", help="Show what would be done, do nothing.")] = False,
    verbose: Annotated[bool, opt("--verbose", help="Also show the reason of each step.")] = False,
    timings: Annotated[bool, opt("--timings", help="At the end, say where the time went.")] = False,
    all_resources: Annotated[
        bool, opt("--all-resources", help="Also networks and volumes that no service uses.")
    ] = False,
    compatibility: Annotated[bool, opt("--compatibility", help="Names of containers with _ instead of -.")] = False,
    no_ansi: Annotated[bool, hidden("--no-ansi")] = False,
    insecure_registry: Annotated[list[str], hidden("--insecure-registry")] = [],
) -> None:
    """Run Compose applications without Docker: no daemon, one command."""
