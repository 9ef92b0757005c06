"""``exec``: the exit code is the command's; 127 not found, 126 not executable."""

from __future__ import annotations

import os

from compose.api.read import check_services, replica
from compose.record import record
from runtime.client import exec_process
from runtime.container import read_spec
from runtime.spec import process_beside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session
    from runtime.spec import ContainerSpec, Process


@record
class Options:
    service: str
    command: tuple[str, ...]
    user: str = ""
    workdir: str = ""
    env: tuple[str, ...] = ()
    detach: bool = False
    no_tty: bool = False
    index: int = 0
    privileged: bool = False
    interactive: bool = True
    tty: bool = False


def run(session: Session, options: Options) -> int:
    project, desired = session.project((options.service,))
    observed = session.observe(project)
    check_services(observed, desired, (options.service,))
    container = replica(observed.containers, options.service, options.index)
    terminal = wants_terminal(options.no_tty) and not options.detach
    process = process_of(read_spec(session.roots, container.id), options, terminal, session.environ.get("TERM", ""))
    return exec_process(
        session.roots,
        container.id,
        process,
        tty=terminal,
        detach=options.detach,
        privileged=options.privileged,
        stdin=options.interactive and not options.detach,
    )


def wants_terminal(no_tty: bool) -> bool:
    """A terminal when we have one on both sides and it was not refused."""
    return not no_tty and os.isatty(0) and os.isatty(1)


def process_of(spec: ContainerSpec, options: Options, terminal: bool, term: str) -> Process:
    """The container's process with what ``exec`` changes. A variable without value is taken from our environment."""
    env = variables(options.env, os.environ)
    if terminal and term and not any(entry.startswith("TERM=") for entry in spec.process.env):
        env = {"TERM": term, **env}
    return process_beside(
        spec.process, options.command, env=env, cwd=options.workdir, user=options.user, terminal=terminal
    )


def variables(words: tuple[str, ...], environ: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    """``A=1`` sets, ``A`` passes ours on if it is set."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            found[name] = value
        elif name in environ:
            found[name] = environ[name]
    return found
