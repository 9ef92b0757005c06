"""Declaration of ``watch``. Help comes from the docstring."""

# ruff: noqa: B006 -- the defaults are read by Typer, never changed
from __future__ import annotations

from typing import Annotated

from compose.cli.declare.kinds import Services, WatchConfig, opt


def watch(
    services: Services = [],
    no_up: Annotated[bool, opt("--no-up", help="Do not build and start the services first.")] = False,
    prune: Annotated[bool, opt("--prune/--no-prune", help="Remove images that a rebuild has replaced.")] = True,
    quiet: Annotated[bool, opt("--quiet", help="Without the output of builds.")] = False,
    watch_config: WatchConfig = "apply",
    explain: Annotated[str, opt("--explain", metavar="PATH", help="Say what a change of PATH would do, and end.")] = "",
) -> None:
    """Bring changed files into running containers: sync, restart, rebuild."""
