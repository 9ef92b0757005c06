"""``build``: the images of services that have a build."""

from __future__ import annotations

from compose.cli.session import Reporting
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compose.cli.session import Session
    from compose.engine.building import BuildOptions
    from compose.plan.desired import Desired


@record
class Options:
    services: tuple[str, ...] = ()
    build_arg: tuple[str, ...] = ()
    builder: str = ""
    check: bool = False
    memory: str = ""
    no_cache: bool = False
    print: bool = False
    provenance: str = ""
    pull: bool = False
    push: bool = False
    quiet: bool = False
    sbom: str = ""
    ssh: tuple[str, ...] = ()
    with_dependencies: bool = False
    compress: bool = False
    force_rm: bool = False
    parallel: bool = False
    no_rm: bool = False


def run(session: Session, options: Options) -> int:
    from compose.api import build as api

    if options.builder:
        raise UsageError("cannot use --builder: there is one builder, pycompose's own", hint="leave the option out")
    desired = session.desired(options.services, runs=False)
    names = api.select(desired, options.services, dependencies=options.with_dependencies)
    settings = settings_of(session, options)
    if not names:
        session.warn("no service to build")
        return 0
    if options.print:
        return _print(session, desired, names, settings)
    if options.check:
        return _check(session, desired, names, settings)
    if session.shared.dry_run:
        for name in names:
            session.tell(f"DRY-RUN MODE -  Image {desired.service(name).image}  would be built\n")
        return 0
    with Reporting(session, "build", beside_logs=True) as reporting:
        built = api.build(
            session.roots, desired, names, settings, reporting, session.environ, store=lambda: session.engine.store
        )
    for one in () if options.quiet else built:
        session.tell(f" Image {one.names[0]}  Built\n")
    if options.push:
        named = [one for one in built if desired.service(one.service).config.get("image")]  # others have no registry
        _push(session, [name for one in named for name in one.names])
    return 0


def settings_of(session: Session, options: Options) -> BuildOptions:
    """What the engine is to be told. Raises UsageError."""
    from compose.engine.building import BuildOptions, ssh_agents
    from compose.model.units import parse_bytes

    try:
        memory = parse_bytes(options.memory) if options.memory else 0
    except ValueError as error:
        raise UsageError(
            f"cannot use --memory {options.memory}: {error}", hint="write a number of bytes, or 512m or 2g"
        ) from None
    return BuildOptions(
        args=pairs(options.build_arg, session.environ),
        no_cache=options.no_cache,
        pull=options.pull,
        quiet=options.quiet,
        memory=memory,
        ssh=ssh_agents(options.ssh, session.environ),
    )


def pairs(words: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """``NAME=VALUE``; a name alone has its value from the environment, or is left out."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        text = value if equals else environ.get(name)
        if text is not None:
            found[name] = text
    return found


def _push(session: Session, names: list[str]) -> None:
    from compose.api.images import send

    with Reporting(session, "push") as reporting:
        send(session.engine, tuple(names), "gzip", reporting, session.workers)


def _print(session: Session, desired: Desired, names: list[str], settings: BuildOptions) -> int:
    """What would be built, as docker compose prints it: a bake file."""
    import json

    from compose.engine.building import request_of

    targets = {}
    for name in names:
        request = request_of(desired, desired.service(name), settings, session.environ)
        row = {
            "context": request.context,
            "contexts": dict(request.contexts),
            "dockerfile": request.dockerfile,
            "dockerfile-inline": request.inline,
            "args": dict(request.args),
            "labels": dict(request.labels),
            "tags": list(request.tags),
            "cache-from": list(request.cache_from),
            "cache-to": list(request.cache_to),
            "target": request.target,
            "secret": sorted(f"id={ident}" for ident in request.secrets),
            "ssh": sorted(f"{ident}={path}" for ident, path in request.ssh.items()),
            "platforms": [request.platform] if request.platform else [],
            "pull": request.pull,
            "no-cache": request.no_cache,
            "no-cache-filter": list(request.no_cache_stages),
            "shm-size": str(request.shm_size) if request.shm_size else "",
            "network": request.network if request.network != "default" else "",
            "entitlements": list(request.entitlements),
        }
        targets[name] = {key: value for key, value in row.items() if value}
    text = json.dumps({"group": {"default": {"targets": names}}, "target": targets}, indent=2)
    session.write(f"{text}\n")
    return 0


def _check(session: Session, desired: Desired, names: list[str], settings: BuildOptions) -> int:
    """Read every Dockerfile and its stages, without building; 1 when something is to be said."""
    from compose.engine.building import request_of
    from runtime.build.checking import check

    code = 0
    for name in names:
        request = request_of(desired, desired.service(name), settings, session.environ)
        for line in check(request, session.roots):
            session.write(f"{name}: {line}\n")
            code = 1
    return code
