"""Declarations of the commands that explain."""

# ruff: noqa: B006, A002 -- the defaults are read by Typer, never changed
from __future__ import annotations

from typing import Annotated

from compose.cli.declare.kinds import Services, arg, opt


def why(
    services: Services = [],
    format: Annotated[str, opt("--format", metavar="FORMAT", help="text or json.")] = "text",
) -> None:
    """Say why services run, wait, were recreated, or failed; also of networks and volumes."""


def completion(
    shell: Annotated[str, arg("[SHELL]", "bash, zsh or fish; without it, the one in $SHELL.")] = "",
) -> None:
    """Print the completion script of a shell.

    In bash and zsh: source <(pycompose completion bash). In fish: pycompose completion fish | source. It completes
    commands, options, services, profiles, projects and files.
    """


def help(
    topic: Annotated[list[str], arg("[TOPIC...]", "A command; first-steps, environment, exit-codes, progress.")] = [],
    man: Annotated[str, opt("--man", metavar="DIR", help="Write the man pages of all commands there.")] = "",
) -> None:
    """Explain a command or a topic."""
