"""Declarations of the commands of registries and of the store's upkeep. Help comes from the docstrings."""

# ruff: noqa: B006, A002 -- the defaults are read by Typer, never changed
from __future__ import annotations

from typing import Annotated

from compose.cli.declare.kinds import Format, Quiet, Services, arg, hidden, opt

SaysNothing = Annotated[bool, opt("--quiet", "-q", help="Without progress.")]
WithoutLayers = Annotated[bool, opt("--quiet", "-q", help="Without the progress of layers.")]
Platform = Annotated[str, opt("--platform", metavar="OS/ARCH", help="Another platform than this machine's.")]


def pull(
    services: Services = [],
    ignore_buildable: Annotated[bool, opt("--ignore-buildable", help="Not what can be built.")] = False,
    ignore_pull_failures: Annotated[bool, opt("--ignore-pull-failures", help="Go on without what fails.")] = False,
    include_deps: Annotated[bool, opt("--include-deps", help="Also what the services depend on.")] = False,
    policy: Annotated[str, opt("--policy", metavar="POLICY", help="missing or always, over the file's.")] = "",
    quiet: WithoutLayers = False,
    no_parallel: Annotated[bool, hidden("--no-parallel")] = False,
    parallel: Annotated[bool, hidden("--parallel")] = False,
) -> None:
    """Pull the images of services from their registries."""


def push(
    services: Services = [],
    ignore_push_failures: Annotated[bool, opt("--ignore-push-failures", help="Go on without what fails.")] = False,
    include_deps: Annotated[bool, opt("--include-deps", help="Also what the services depend on.")] = False,
    quiet: SaysNothing = False,
) -> None:
    """Push the images of services that are built to their registries."""


def login(
    server: Annotated[str, arg("[SERVER]", "The registry; Docker Hub when none is named.")] = "",
    username: Annotated[str, opt("--username", "-u", metavar="NAME", help="Your name there.")] = "",
    password: Annotated[str, opt("--password", "-p", metavar="TEXT", help="Better: --password-stdin.")] = "",
    password_stdin: Annotated[bool, opt("--password-stdin", help="Read the password from stdin.")] = False,
) -> None:
    """Log in to a registry, and keep the login where docker keeps its own."""


def logout(server: Annotated[str, arg("[SERVER]", "The registry; Docker Hub when none is named.")] = "") -> None:
    """Forget the login of a registry."""


def image_pull(
    references: Annotated[list[str], arg("IMAGE...", "Which.")],
    platform: Platform = "",
    quiet: Annotated[bool, opt("--quiet", "-q", help="Only the names.")] = False,
) -> None:
    """Pull images, whatever services want."""


def image_push(
    references: Annotated[list[str], arg("IMAGE...", "Which.")],
    quiet: Annotated[bool, opt("--quiet", "-q", help="Only the names.")] = False,
    compression: Annotated[str, opt("--compression", metavar="KIND", help="gzip or zstd.")] = "gzip",
) -> None:
    """Push images to the registries that their names say."""


def image_save(
    references: Annotated[list[str], arg("IMAGE...", "Which.")],
    output: Annotated[str, opt("--output", "-o", metavar="FILE", help="Write to a file instead of stdout.")] = "",
) -> None:
    """Write images as an archive that docker, podman and skopeo load."""


def image_history(
    reference: Annotated[str, arg("IMAGE", "Which.")],
    quiet: Quiet = False,
    no_trunc: Annotated[bool, opt("--no-trunc", help="Show everything in full.")] = False,
    format: Format = "table",
) -> None:
    """Show how an image was made, the latest step first."""


def image_prune(
    all: Annotated[bool, opt("--all", "-a", help="All that no container uses, not only those without a name.")] = False,
    force: Annotated[bool, opt("--force", "-f", help="Do not ask.")] = False,
    filter: Annotated[
        list[str], opt("--filter", metavar="KEY=VALUE", help="until=24h, label=KEY[=VALUE], label!=...")
    ] = [],
) -> None:
    """Remove images that nobody needs."""


def image_verify(references: Annotated[list[str], arg("[IMAGE...]", "Which; all when none is named.")] = []) -> None:
    """Hash everything that the store has of images, and compare."""


def system_df(format: Format = "table") -> None:
    """Show how much disk images, containers, volumes and the build cache take."""


def builder_prune(
    all: Annotated[bool, hidden("--all", "-a")] = False,
    force: Annotated[bool, opt("--force", "-f", help="Do not ask.")] = False,
    filter: Annotated[list[str], opt("--filter", metavar="until=24h", help="Only what is older.")] = [],
) -> None:
    """Forget what builds have kept."""
