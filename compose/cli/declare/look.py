"""Declarations of the commands that look, talk and copy."""

# ruff: noqa: B006, A002 -- the defaults are read by Typer, never changed
from __future__ import annotations

from typing import Annotated

from compose.cli.declare.kinds import (
    Env,
    Format,
    Index,
    NoTty,
    Quiet,
    Services,
    User,
    Workdir,
    arg,
    hidden,
    one_service,
    opt,
)


def ps(
    services: Services = [],
    all: Annotated[bool, opt("--all", "-a", help="Stopped ones and one-off ones, too.")] = False,
    quiet: Quiet = False,
    list_services: Annotated[bool, opt("--services", help="Only names of services.")] = False,
    status: Annotated[list[str], opt("--status", metavar="STATUS", help="Only with this status; may repeat.")] = [],
    filter: Annotated[list[str], opt("--filter", metavar="KEY=VALUE", help="status=... is known.")] = [],
    format: Format = "table",
    no_trunc: Annotated[bool, opt("--no-trunc", help="Show everything in full.")] = False,
    orphans: Annotated[bool, opt("--orphans/--no-orphans", help="Include orphans.")] = True,
) -> None:
    """List containers."""


def logs(
    services: Services = [],
    follow: Annotated[bool, opt("--follow", "-f", help="Wait for more.")] = False,
    tail: Annotated[str, opt("--tail", "-n", metavar="N", help="Only the last N lines of each container.")] = "all",
    timestamps: Annotated[bool, opt("--timestamps", "-t", help="With times.")] = False,
    since: Annotated[str, opt("--since", metavar="TIME", help="2026-01-02T03:04:05Z, or 5m for ago.")] = "",
    until: Annotated[str, opt("--until", metavar="TIME", help="As --since.")] = "",
    no_color: Annotated[bool, opt("--no-color", help="Without colours.")] = False,
    no_log_prefix: Annotated[bool, opt("--no-log-prefix", help="Without the container's name.")] = False,
    index: Index = 0,
) -> None:
    """Show containers' output."""


def exec(
    service: Annotated[str, one_service("In whose container.")],
    command: Annotated[list[str], arg("COMMAND...", "What to execute.")],
    user: User = "",
    workdir: Workdir = "",
    env: Env = [],
    detach: Annotated[bool, opt("--detach", "-d", help="Do not wait for it.")] = False,
    no_tty: NoTty = False,
    index: Index = 0,
    privileged: Annotated[bool, opt("--privileged", help="With all capabilities.")] = False,
    interactive: Annotated[bool, hidden("--interactive/--no-interactive", "-i")] = True,
    tty: Annotated[bool, hidden("--tty", "-t")] = False,
) -> None:
    """Execute a command in a running container."""


def attach(
    service: Annotated[str, one_service("To whose container.")],
    detach_keys: Annotated[str, opt("--detach-keys", metavar="KEYS", help="Keys that leave.")] = "",
    index: Index = 0,
    no_stdin: Annotated[bool, opt("--no-stdin", help="Only output.")] = False,
    sig_proxy: Annotated[bool, opt("--sig-proxy/--no-sig-proxy", help="Pass signals on.")] = True,
) -> None:
    """Attach to a container's first process."""


def top(services: Services = []) -> None:
    """Show the processes of containers."""


def port(
    service: Annotated[str, one_service("Of which service.")],
    private_port: Annotated[str, arg("PORT", "The port in the container.")],
    protocol: Annotated[str, opt("--protocol", metavar="NAME", help="tcp or udp.")] = "tcp",
    index: Index = 0,
) -> None:
    """Show where a container's port is published."""


def cp(
    source: Annotated[str, arg("SOURCE", "SERVICE:PATH, PATH, or - for a tar stream.")],
    destination: Annotated[str, arg("DESTINATION", "SERVICE:PATH, PATH, or - for a tar stream.")],
    all: Annotated[bool, opt("--all", help="One-off containers, too.")] = False,
    archive: Annotated[bool, opt("--archive", "-a", help="Keep owners.")] = False,
    follow_link: Annotated[bool, opt("--follow-link", "-L", help="Follow a link in SOURCE.")] = False,
    index: Index = 0,
) -> None:
    """Copy between a container and this machine."""


def export(
    service: Annotated[str, one_service("Whose container.")],
    output: Annotated[str, opt("--output", "-o", metavar="FILE", help="Write to a file instead of stdout.")] = "",
    index: Index = 0,
) -> None:
    """Write a container's file system as a tar archive."""


def events(
    services: Services = [],
    json: Annotated[bool, opt("--json", help="An object a line.")] = False,
    since: Annotated[str, opt("--since", metavar="TIME", help="Past ones, too: 2026-01-02T03:04:05Z, or 5m.")] = "",
    until: Annotated[str, opt("--until", metavar="TIME", help="End then. As --since.")] = "",
) -> None:
    """Show what happens to containers."""


def stats(
    services: Services = [],
    all: Annotated[bool, opt("--all", "-a", help="Stopped ones, too.")] = False,
    format: Format = "table",
    no_stream: Annotated[bool, opt("--no-stream", help="Once, not every second.")] = False,
    no_trunc: Annotated[bool, opt("--no-trunc", help="Show everything in full.")] = False,
) -> None:
    """Show what containers use: CPU, memory, network, disk, processes."""


def volumes(services: Services = [], quiet: Quiet = False, format: Format = "table") -> None:
    """List the project's volumes."""


def images(services: Services = [], quiet: Quiet = False, format: Format = "table") -> None:
    """List the images of the project's containers."""


def ls(
    all: Annotated[bool, opt("--all", "-a", help="Stopped ones, too.")] = False,
    quiet: Quiet = False,
    filter: Annotated[list[str], opt("--filter", metavar="name=TEXT", help="Only these.")] = [],
    format: Format = "table",
) -> None:
    """List projects."""


def version(
    format: Annotated[str, opt("--format", "-f", metavar="FORMAT", help="pretty or json.")] = "pretty",
    short: Annotated[bool, opt("--short", help="Only the number.")] = False,
) -> None:
    """Show the version."""


def doctor(format: Annotated[str, opt("--format", metavar="FORMAT", help="text or json.")] = "text") -> None:
    """Say what this machine offers, what is missing, and what to do."""


def image_ls(
    name: Annotated[str, arg("[NAME[:TAG]]", "Only these; * and ? stand for what differs.")] = "",
    quiet: Quiet = False,
    format: Format = "table",
    all: Annotated[bool, opt("--all", "-a", help="The same: there are no images of steps.")] = False,
    no_trunc: Annotated[bool, opt("--no-trunc", help="Whole identifiers.")] = False,
    digests: Annotated[bool, opt("--digests", help="Also the digests of registries.")] = False,
    filter: Annotated[
        list[str],
        opt(
            "--filter", "-f", metavar="KEY=VALUE", help="reference, dangling, label, before, since, until; may repeat."
        ),
    ] = [],
) -> None:
    """List the images of the store."""


def image_load(
    source: Annotated[str, arg("[FILE]", "An archive of docker save, or an OCI layout; - reads stdin.")] = "",
    input: Annotated[str, opt("--input", "-i", metavar="FILE", help="The same.")] = "",
    quiet: Annotated[bool, opt("--quiet", "-q", help="Say nothing.")] = False,
) -> None:
    """Load images from an archive."""


def image_import(
    source: Annotated[str, arg("FILE", "A tar of a root file system; - reads stdin.")],
    reference: Annotated[str, arg("NAME[:TAG]", "What to call it.")],
    change: Annotated[list[str], opt("--change", "-c", metavar="INSTRUCTION", help="CMD, ENV, USER ...")] = [],
) -> None:
    """Make an image of a root file system."""


def image_rm(
    references: Annotated[list[str], arg("IMAGE...", "Which.")],
    force: Annotated[bool, opt("--force", "-f", help="Even if containers use it.")] = False,
) -> None:
    """Remove images."""


def image_inspect(
    references: Annotated[list[str], arg("IMAGE...", "Which.")],
    format: Annotated[str, opt("--format", "-f", metavar="FORMAT", help="json, or a Go template for each.")] = "",
) -> None:
    """Show images in full."""


def image_tag(
    source: Annotated[str, arg("SOURCE", "An image.")],
    target: Annotated[str, arg("TARGET", "Its new name.")],
) -> None:
    """Give an image one more name."""
