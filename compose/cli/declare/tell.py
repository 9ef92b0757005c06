"""Declarations of the commands that explain."""

# ruff: noqa: B006, A002 -- the defaults are read by Typer, never changed
from __future__ import annotations

from typing import Annotated

from compose.cli.declare.kinds import Services, opt


def why(
    services: Services = [],
    format: Annotated[str, opt("--format", metavar="FORMAT", help="text or json.")] = "text",
) -> None:
    """Say why services run, wait, were recreated, or failed."""
