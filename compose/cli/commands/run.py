"""``run``: one command in a container of its own; its exit code is ours. Dependencies come up first."""

from __future__ import annotations

import os

from compose.api.run import RunOptions, RunResult, run_oneoff
from compose.cli.commands.common import check_pull
from compose.cli.commands.exec import variables, wants_terminal
from compose.cli.session import Reporting
from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from compose.cli.session import Session
    from compose.plan.desired import Desired


@record
class Options:
    service: str
    command: tuple[str, ...] = ()
    detach: bool = False
    rm: bool = False
    env: tuple[str, ...] = ()
    env_from_file: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    volume: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    service_ports: bool = False
    user: str = ""
    workdir: str = ""
    entrypoint: str | None = None
    name: str = ""
    no_deps: bool = False
    no_tty: bool = False
    interactive: bool = True
    tty: bool = False
    use_aliases: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    remove_orphans: bool = False
    pull: str = ""
    build: bool = False
    quiet: bool = False
    quiet_build: bool = False
    quiet_pull: bool = False


def run(session: Session, options: Options) -> int:
    check_pull(options.pull)
    session.hides_parts = options.quiet_pull
    session.warm_up()
    desired = session.desired((options.service,))
    if options.service not in [one.name for one in desired.services]:
        from compose.api.read import check_services

        check_services(None, desired, (options.service,))
    terminal = wants_terminal(options.no_tty) and not options.detach
    request = RunOptions(
        service=options.service,
        overrides=overrides_of(options, desired, terminal),
        name=options.name,
        no_deps=options.no_deps,
        use_aliases=options.use_aliases,
        service_ports=options.service_ports,
        remove_orphans=options.remove_orphans,
        ignore_orphans=True,
        workers=session.workers,
        lock=session.lock(desired.project),
        pull=options.pull,
        build=options.build,
        quiet_build=options.quiet_build,
    )
    if session.shared.dry_run:
        from compose.api.run import plan_run
        from compose.cli.commands.common import tell_plan

        tell_plan(session, plan_run(session.engine, desired, request, "0" * 64))
        return 0
    with _Quietly(session, options.quiet) as reporting:
        result = run_oneoff(session.engine, desired, request, reporting)
    return _start(session, desired, options, result, terminal)


class _Quietly(Reporting):
    """Progress of the dependencies; the one-off itself is not worth a line on a screen that the command wants."""

    def __init__(self, session: Session, quiet: bool) -> None:
        super().__init__(session, "run")
        self.quiet = quiet

    def emit(self, event: Any) -> None:
        shown = "-run-" not in getattr(event, "name", "") and getattr(event, "verb", "") != "wait"
        if shown and not self.quiet:
            super().emit(event)
        else:
            self.timings.collect(event)


def _start(session: Session, desired: Desired, options: Options, result: RunResult, terminal: bool) -> int:
    """Attach, then start, so that no byte is missed."""
    from runtime.client import attach

    engine = session.engine
    if options.detach:
        try:
            engine.start_container(result.ident)
        except Exception:
            _remove(session, desired, options, result)
            raise
        session.write(f"{result.name}\n")
        return 0
    try:
        code = attach(
            session.roots,
            result.ident,
            tty=terminal,
            stdin=options.interactive,
            start=lambda: engine.start_container(result.ident),
        )
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and options.rm:
            engine.kill_container(result.ident)  # it did not listen: no grace
        _remove(session, desired, options, result)
        raise
    session.timings.mark("attached")
    if code is None and _leave_running(session, options, result):
        return 0
    _remove(session, desired, options, result)
    return code or 0


def _leave_running(session: Session, options: Options, result: RunResult) -> bool:
    """The user detached: what ``--rm`` asks for is left to the project's helper. False when it has ended meanwhile."""
    from runtime.container import read_annotations, read_spec, rewrite_spec
    from runtime.linux.identity import boot_id
    from runtime.paths import Bundle
    from runtime.record import replace
    from runtime.state import ACTIVE, read_state

    if options.rm:
        spec = replace(read_spec(session.roots, result.ident), auto_remove=True)
        rewrite_spec(session.roots, spec, read_annotations(session.roots, result.ident))
    return read_state(Bundle(session.roots, result.ident), boot_id()).status in ACTIVE


def _remove(session: Session, desired: Desired, options: Options, result: RunResult) -> None:
    """The end of ``--rm``. A detached one is removed by its shim when it ends."""
    if options.rm:
        from compose.api.lifecycle import remove_containers
        from compose.cli.render.progress import Quiet

        remove_containers(session.engine, desired.project, (result.ident,), Quiet(), volumes=True)


def overrides_of(options: Options, desired: Desired, terminal: bool) -> dict[str, Any]:
    """What differs from the service, as the engine takes it (RUN_OVERRIDES)."""
    overrides: dict[str, Any] = {"tty": terminal, "stdin_open": options.interactive and not options.detach}
    if options.command:
        overrides["command"] = list(options.command)
    if options.entrypoint is not None:
        from compose.model.units import split_words

        overrides["entrypoint"] = split_words(options.entrypoint)[0]
        overrides.setdefault("command", [])
    environment = {**_from_files(options.env_from_file), **variables(options.env, os.environ)}
    given = {
        "environment": environment,
        "user": options.user,
        "working_dir": options.workdir,
        "volumes": [_volume(text, desired) for text in options.volume],
        "ports": [port for text in options.publish for port in _ports(text)],
        "labels": _labels(options.label),
        "cap_add": list(options.cap_add),
        "cap_drop": list(options.cap_drop),
        "auto_remove": options.rm and options.detach,
    }
    overrides.update({key: value for key, value in given.items() if value})
    return overrides


def _from_files(paths: tuple[str, ...]) -> dict[str, str]:
    """Files in the syntax of ``env_file``: quotes, interpolation, a key alone for our own value. Raises UsageError."""
    if not paths:
        return {}
    from compose.spec.dotenv import parse

    found: dict[str, str] = {}
    for path in paths:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}", hint="name a file that can be read") from None
        entries = parse(content, path, os.environ.get)
        found.update({key: value for key, value in entries.items() if value is not None})
    return found


def _labels(words: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _ports(text: str) -> list[dict[str, Any]]:
    """``8080:80`` and its like in the canonical form. Raises UsageError."""
    from compose.model.units import parse_ports

    try:
        ports = parse_ports(text)
    except ValueError as error:
        raise UsageError(f"cannot publish {text}: {error}", hint="write [HOST_IP:][PORT:]PORT[/udp]") from None
    return [canonical_port(port) for port in ports]


def canonical_port(port: Any) -> dict[str, Any]:
    """A parsed port as ``config`` shows it: nothing that was not said."""
    row: dict[str, Any] = {"mode": "ingress", "target": port.target, "protocol": port.protocol}
    if port.host_ip:
        row["host_ip"] = port.host_ip
    if port.published:
        row["published"] = str(port.published)
    return row


def _volume(text: str, desired: Desired) -> dict[str, Any]:
    """``./a:/b:ro``, ``name:/b``, ``/b`` in the canonical form. Raises UsageError."""
    source, target, mode = ([*text.split(":"), "", ""] if ":" in text else ["", text, ""])[:3]
    if not target.startswith("/"):
        raise UsageError(f"cannot mount {text}: the target must be absolute", hint="write SOURCE:/TARGET[:ro]")
    row: dict[str, Any] = {"type": "volume", "target": target, "volume": {}}
    if source.startswith(("/", ".", "~")):
        path = os.path.join(desired.working_dir, os.path.expanduser(source))
        row = {"type": "bind", "source": os.path.normpath(path), "target": target, "bind": {"create_host_path": True}}
    elif source:
        row["source"] = source
    if "ro" in mode.split(","):
        row["read_only"] = True
    return row
