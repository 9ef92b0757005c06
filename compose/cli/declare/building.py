"""Declarations of the commands that build images. Help comes from the docstrings."""

# ruff: noqa: B006, A002 -- the defaults are read by Typer, never changed
from __future__ import annotations

from typing import Annotated

from compose.cli.declare.kinds import Index, Services, arg, hidden, one_service, opt

BuildArg = Annotated[list[str], opt("--build-arg", metavar="NAME[=VALUE]", help="Set an ARG; may repeat.")]
Ssh = Annotated[list[str], opt("--ssh", metavar="ID[=SOCKET]", help="Lend an ssh agent; may repeat.")]
NoCache = Annotated[bool, opt("--no-cache", help="Carry out every step anew.")]
Pull = Annotated[bool, opt("--pull", help="Fetch base images even if they are here.")]
Memory = Annotated[str, opt("--memory", "-m", metavar="BYTES", help="Memory limit of each RUN.")]
Check = Annotated[bool, opt("--check", help="Say what is doubtful in the Dockerfiles; build nothing.")]
Quiet = Annotated[bool, opt("--quiet", "-q", help="Only the image's id.")]


def build(
    services: Services = [],
    build_arg: BuildArg = [],
    builder: Annotated[str, hidden("--builder")] = "",
    check: Check = False,
    memory: Memory = "",
    no_cache: NoCache = False,
    print: Annotated[bool, opt("--print", help="Show what would be built, as a bake file.")] = False,
    provenance: Annotated[str, hidden("--provenance")] = "",
    pull: Pull = False,
    push: Annotated[bool, opt("--push", help="Push the images afterwards.")] = False,
    quiet: Annotated[bool, opt("--quiet", "-q", help="Without output.")] = False,
    sbom: Annotated[str, hidden("--sbom")] = "",
    ssh: Ssh = [],
    with_dependencies: Annotated[bool, opt("--with-dependencies", help="Also what the services depend on.")] = False,
    compress: Annotated[bool, hidden("--compress")] = False,
    force_rm: Annotated[bool, hidden("--force-rm")] = False,
    parallel: Annotated[bool, hidden("--parallel")] = False,
    no_rm: Annotated[bool, hidden("--no-rm")] = False,
) -> None:
    """Build the images of services."""


def image_build(
    context: Annotated[str, arg("CONTEXT", "A directory, a git or http URL; - reads a Dockerfile.")],
    dockerfile: Annotated[str, opt("--file", "-f", metavar="FILE", help="The Dockerfile.")] = "",
    tag: Annotated[list[str], opt("--tag", "-t", metavar="NAME", help="Name the image; may repeat.")] = [],
    build_arg: BuildArg = [],
    build_context: Annotated[
        list[str], opt("--build-context", metavar="NAME=PLACE", help="One more context; may repeat.")
    ] = [],
    add_host: Annotated[list[str], opt("--add-host", metavar="NAME=IP", help="A line of /etc/hosts.")] = [],
    allow: Annotated[list[str], opt("--allow", metavar="RIGHT", help="network.host or security.insecure.")] = [],
    cache_from: Annotated[
        list[str], opt("--cache-from", metavar="PLACE", help="type=registry,ref=NAME or type=local,src=DIR")
    ] = [],
    cache_to: Annotated[
        list[str], opt("--cache-to", metavar="PLACE", help="type=registry,ref=NAME, type=inline or type=local,dest=DIR")
    ] = [],
    check: Check = False,
    iidfile: Annotated[str, opt("--iidfile", metavar="FILE", help="Write the image's id there.")] = "",
    label: Annotated[list[str], opt("--label", metavar="NAME=VALUE", help="Set a label; may repeat.")] = [],
    memory: Memory = "",
    network: Annotated[str, opt("--network", metavar="MODE", help="Of RUN: default, none or host.")] = "default",
    no_cache: NoCache = False,
    no_cache_filter: Annotated[list[str], opt("--no-cache-filter", metavar="STAGE", help="Build it anew.")] = [],
    platform: Annotated[str, opt("--platform", metavar="PLATFORM", help="This machine's, such as linux/amd64.")] = "",
    pull: Pull = False,
    quiet: Quiet = False,
    secret: Annotated[list[str], opt("--secret", metavar="id=NAME,src=FILE", help="Lend a secret to RUN.")] = [],
    shm_size: Annotated[str, opt("--shm-size", metavar="BYTES", help="Size of /dev/shm.")] = "",
    ssh: Ssh = [],
    target: Annotated[str, opt("--target", metavar="STAGE", help="Build up to this stage.")] = "",
    ulimit: Annotated[list[str], opt("--ulimit", metavar="NAME=SOFT[:HARD]", help="A limit of RUN.")] = [],
) -> None:
    """Build an image of a directory with a Dockerfile, without a Compose file."""


def commit(
    service: Annotated[str, one_service("Whose container.")],
    reference: Annotated[str, arg("[NAME[:TAG]]", "The new image's name.")] = "",
    author: Annotated[str, opt("--author", "-a", metavar="TEXT", help="Who made it.")] = "",
    change: Annotated[
        list[str], opt("--change", "-c", metavar="INSTRUCTION", help="A Dockerfile instruction; may repeat.")
    ] = [],
    index: Index = 0,
    message: Annotated[str, opt("--message", "-m", metavar="TEXT", help="What it is.")] = "",
    pause: Annotated[bool, opt("--pause/--no-pause", "-p", help="Pause the container meanwhile.")] = True,
) -> None:
    """Make an image of a container as it is now."""
