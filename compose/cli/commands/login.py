"""``login``: try a name and a password at a registry, and keep them where docker keeps its own."""

from __future__ import annotations

import os
import sys

from compose.errors import UsageError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    server: str = ""
    username: str = ""
    password: str = ""
    password_stdin: bool = False


def run(session: Session, options: Options) -> int:
    from runtime.images.registry.login import login

    if options.password and options.password_stdin:
        raise UsageError(
            "cannot use --password with --password-stdin",
            hint="leave one of them out; --password-stdin keeps it out of the shell's history",
        )
    if options.password_stdin and not options.username:
        raise UsageError("cannot read the password from stdin without a name", hint="add --username NAME")
    if options.password:
        session.warn("--password shows in the list of processes; use --password-stdin")
    name = options.username or _ask("Username: ", secret=False)
    password = _password(options)
    place = login(options.server, name, password, session.environ)
    session.write(f"Login Succeeded: {place}\n")
    return 0


def _password(options: Options) -> str:
    if options.password_stdin:
        return sys.stdin.read().removesuffix("\n").removesuffix("\r")
    return options.password or _ask("Password: ", secret=True)


def _ask(prompt: str, secret: bool) -> str:
    if not os.isatty(0):
        raise UsageError(
            "cannot ask for a name and a password: this is no terminal", hint="use --username and --password-stdin"
        )
    if secret:
        from getpass import getpass

        return getpass(prompt)
    return input(prompt).strip()
