"""The few forms that options and arguments take, so that the declarations read as a list."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def one_service(text: str) -> Any:
    """The argument SERVICE."""
    return typer.Argument(metavar="SERVICE", help=text)


Services = Annotated[
    list[str],
    typer.Argument(metavar="[SERVICE...]", help="Services; all when none is named."),
]
Timeout = Annotated[int | None, typer.Option("--timeout", "-t", metavar="SECONDS", help="Grace before SIGKILL.")]
Format = Annotated[str, typer.Option("--format", metavar="FORMAT", help="table, json, or a Go template.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the identifiers.")]
NoDeps = Annotated[bool, typer.Option("--no-deps", help="Leave the services it depends on alone.")]
Index = Annotated[int, typer.Option("--index", metavar="N", help="Which replica; 0 is the first.")]
Orphans = Annotated[bool, typer.Option("--remove-orphans", help="Remove containers of services not in the file.")]
Scale = Annotated[list[str], typer.Option("--scale", metavar="SERVICE=N", help="How many replicas.")]
User = Annotated[str, typer.Option("--user", "-u", metavar="USER", help="User, or user:group.")]
Workdir = Annotated[str, typer.Option("--workdir", "-w", metavar="DIR", help="Working directory in the container.")]
WatchConfig = Annotated[
    str, typer.Option("--watch-config", metavar="MODE", help="When the Compose file changes: apply, plan or off.")
]
Env = Annotated[list[str], typer.Option("--env", "-e", metavar="KEY[=VALUE]", help="Set a variable.")]
NoTty = Annotated[bool, typer.Option("--no-tty", "-T", help="No terminal, even when started in one.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Answer every question with yes.")]


def opt(*names: str, **settings: Any) -> Any:
    """An option; ``settings`` as typer.Option's."""
    return typer.Option(*names, **settings)


def hidden(*names: str) -> Any:
    """An option that is accepted because docker compose has it, and that help does not show."""
    return typer.Option(*names, hidden=True)


def arg(metavar: str, text: str) -> Any:
    """A positional argument."""
    return typer.Argument(metavar=metavar, help=text)
