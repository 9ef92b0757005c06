"""``image build``: any directory with a Dockerfile, without a Compose file; docker build's flags."""

from __future__ import annotations

import os
import sys

from compose.cli.commands.build import pairs
from compose.cli.session import Reporting
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from compose.cli.session import Session
    from runtime.build.request import BuildRequest, Secret
    from runtime.spec import Rlimit

LIMIT = 500 * 1024  # of a secret, as BuildKit has it


@record
class Options:
    context: str
    dockerfile: str = ""
    tag: tuple[str, ...] = ()
    build_arg: tuple[str, ...] = ()
    build_context: tuple[str, ...] = ()
    add_host: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    check: bool = False
    iidfile: str = ""
    label: tuple[str, ...] = ()
    memory: str = ""
    network: str = "default"
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    platform: str = ""
    pull: bool = False
    quiet: bool = False
    secret: tuple[str, ...] = ()
    shm_size: str = ""
    ssh: tuple[str, ...] = ()
    target: str = ""
    ulimit: tuple[str, ...] = ()


def run(session: Session, options: Options) -> int:
    if options.context != "-":
        return _run(session, options, "")
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="pycompose-context-") as file:
        while piece := sys.stdin.buffer.read(1 << 20):
            file.write(piece)
        file.flush()
        return _run(session, options, file.name)


def _run(session: Session, options: Options, given: str) -> int:
    from compose.engine.building import build_image

    request = request_of(session, options, given)
    if options.check:
        from runtime.build.checking import check

        found = check(request, session.roots)
        session.write("".join(f"{line}\n" for line in found))
        return 1 if found else 0
    name = options.tag[0] if options.tag else "image"
    with Reporting(session, "build", beside_logs=True) as reporting:
        image = build_image(
            session.roots,
            request,
            name,
            reporting,
            quiet=options.quiet,
            store=lambda: session.engine.store,
            environ=session.environ,
        )
    if options.iidfile:
        with open(options.iidfile, "w", encoding="ascii") as file:
            file.write(image)
    session.write(f"{image}\n")
    return 0


def request_of(session: Session, options: Options, given: str = "") -> BuildRequest:
    """The flags as a request. ``given``: the file that has what came on stdin as the context. Raises UsageError."""
    from compose.engine.building import ssh_agents
    from runtime.build.request import BuildRequest

    context, inline = options.context, ""
    if given:
        from runtime.build.adding import is_archive

        if is_archive(os.fsencode(given)):
            context = given
        else:
            with open(given, "rb") as file:
                context, inline = "", file.read().decode("utf-8", "surrogateescape")
    if options.dockerfile == "-":
        inline = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    epoch = session.environ.get("SOURCE_DATE_EPOCH", "")
    return BuildRequest(
        context=context,
        dockerfile=_dockerfile(options, context) if not inline else "",
        inline=inline,
        tags=options.tag,
        args=pairs(options.build_arg, session.environ),
        labels=pairs(options.label, {}),
        contexts=pairs(options.build_context, {}),
        secrets=dict(_secret(word, session) for word in options.secret),
        ssh=ssh_agents(options.ssh, session.environ),
        target=options.target,
        platform=options.platform,
        network=options.network,
        extra_hosts=tuple(_host(word) for word in options.add_host),
        shm_size=_size(options.shm_size, "--shm-size"),
        memory=_size(options.memory, "--memory"),
        ulimits=tuple(_ulimit(word) for word in options.ulimit),
        entitlements=options.allow,
        no_cache=options.no_cache,
        no_cache_stages=tuple(name for word in options.no_cache_filter for name in word.split(",")),
        pull=options.pull,
        cache_from=options.cache_from,
        cache_to=options.cache_to,
        epoch=int(epoch) if epoch.isdigit() else -1,
    )


def _dockerfile(options: Options, context: str) -> str:
    """``--file`` is relative to where the command runs, as docker build has it; of a remote context to that."""
    if not options.dockerfile or "://" in context or context.startswith("git@") or options.context == "-":
        return options.dockerfile
    return os.path.abspath(options.dockerfile)


def _secret(word: str, session: Session) -> tuple[str, Secret]:
    """``id=NAME[,src=FILE|,env=VARIABLE]``. Raises UsageError."""
    from runtime.build.request import Secret

    values = dict(part.partition("=")[::2] for part in word.split(","))
    ident = values.get("id", "")
    path = values.get("src") or values.get("source") or ""
    variable = values.get("env") or ("" if path else ident if ident in session.environ else "")
    if not ident or not (path or variable):
        raise UsageError(f"cannot use --secret {word}", hint="write id=NAME,src=FILE or id=NAME,env=VARIABLE")
    if not path:
        return ident, Secret(session.environ.get(variable, "").encode("utf-8", "surrogateescape"))
    try:
        with open(path, "rb") as file:
            content = file.read(LIMIT + 1)
    except OSError as error:
        raise UsageError(
            f"cannot use --secret {word}: cannot read {path}: {error.strerror}",
            hint="write id=NAME,src=PATH of a file that can be read, or id=NAME,env=VARIABLE",
        ) from error
    if len(content) > LIMIT:
        raise UsageError(
            f"cannot use --secret {word}: it is larger than 500 KiB",
            hint="give larger files with --build-context, and RUN --mount=from=NAME",
        )
    return ident, Secret(content)


def _host(word: str) -> tuple[str, str]:
    name, mark, address = word.partition("=") if "=" in word else word.partition(":")
    if not mark or not address:
        raise UsageError(f"cannot use --add-host {word}", hint="write NAME=ADDRESS")
    return name, address.strip("[]")


def _size(text: str, flag: str) -> int:
    from compose.model.units import parse_bytes

    try:
        return parse_bytes(text) if text else 0
    except ValueError as error:
        raise UsageError(f"cannot use {flag} {text}: {error}", hint="write 512m or 2g") from None


def _ulimit(word: str) -> Rlimit:
    from runtime.spec import Rlimit

    name, _, limits = word.partition("=")
    numbers: Sequence[str] = limits.split(":")
    if not name or not all(number.lstrip("-").isdigit() for number in numbers):
        raise UsageError(f"cannot use --ulimit {word}", hint="write NAME=SOFT[:HARD]")
    return Rlimit(name, int(numbers[0]), int(numbers[-1]))
