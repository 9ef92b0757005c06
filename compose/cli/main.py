"""The entry point: parse, run, and turn every error into one message and an exit code.

Codes: 0, 1 for errors of all kinds, 130 after Ctrl-C or SIGTERM, 141 when the reader of our output is gone, and for
``run``, ``exec`` and ``up --exit-code-from`` the code of the command inside (126 not executable, 127 not found).
"""

from __future__ import annotations

import errno
import gc
import os
import sys

from compose.cli.timings import Timings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compose.cli.options import Parsed
    from compose.cli.session import Session
    from compose.errors import SpecError

INTERRUPTED, BROKEN_PIPE = 130, 141
_COLLECT = (50_000, 20, 50)  # as often as usual costs a command 3 ms and frees nothing
_DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
_ROOTLESS = "without root there are no mounts, cgroups, networks and images today, only config and version"
_MODULES = {
    "load": "image_load",
    "save": "image_save",
    "import": "image_import",
    "rmi": "image_rm",
    "convert": "config",
}


def main() -> int:
    """The console script. Ends the process itself: taking the interpreter down in order costs 3 ms for nothing."""
    gc.set_threshold(*_COLLECT)
    _take_sigterm_as_sigint()
    timings = Timings()
    code = run(sys.argv[1:], os.environ, timings)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = BROKEN_PIPE
    except OSError as error:
        _print_error(f"cannot go on: output: {error.strerror}", _wants_json(sys.argv[1:], os.environ))
        code = 1
    os._exit(code)


def run(argv: Sequence[str], environ: Mapping[str, str], timings: Timings | None = None) -> int:
    """Do what a command line says; the exit code."""
    json_errors = _wants_json(argv, environ)
    parsed = None
    try:
        found = parse(argv)
        if isinstance(found, int):
            return found
        parsed = found
        return _perform(parsed, environ, timings or Timings())
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _abandon_stdout()
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 -- the one boundary
        return _failed(error, argv, json_errors, parsed)


def _take_sigterm_as_sigint() -> None:
    """Both mean the same to a command; whoever handles SIGINT for a while need not know of the other."""
    import _signal  # ``signal`` without its enums, which cost 1 ms

    def interrupt(_number: int, _frame: object) -> None:
        if _signal.getsignal(_signal.SIGINT) in (_signal.SIG_IGN, _signal.SIG_DFL):  # started in the background
            raise KeyboardInterrupt
        _signal.raise_signal(_signal.SIGINT)

    _signal.signal(_signal.SIGTERM, interrupt)


def parse(argv: Sequence[str]) -> Parsed | int:
    """The command line; an int when there is nothing left to do (help, completion). Raises UsageError."""
    from compose.cli import fast

    if not argv:
        from compose.cli.topics import INTRO

        return _printed(INTRO)
    if argv[0] == "__complete":
        from compose.cli import complete

        return _printed(complete.answer(argv[1:], os.environ))
    parsed = fast.parse(argv)
    if parsed is not None:
        return parsed
    if "--help" in argv or "-h" in argv:
        from compose.cli import manual
        from compose.cli.manual_table import PAGES

        topic = manual.topic_of(argv)
        if topic is not None and topic in PAGES:
            return _printed(manual.page(topic) if topic else manual.overview())
    from compose.cli import app

    return app.parse(argv)


def _printed(text: str) -> int:
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    return 0


def _perform(parsed: Parsed, environ: Mapping[str, str], timings: Timings) -> int:
    from compose.cli.session import Session

    name = _MODULES.get(parsed.command, parsed.command.replace(" ", "_"))
    session = Session(parsed.shared, environ, timings)
    if name in ("up", "create"):
        session.warm_up(now=True)
    module = __import__(f"compose.cli.commands.{name}", fromlist=["run"])
    timings.mark("imports")
    try:
        code = module.run(session, module.Options(**parsed.values))
        timings.mark("command")
        return int(code)
    except Exception as error:
        better = _explained(error, session)
        if better is error:
            raise
        raise better from error
    finally:
        session.close()


def _explained(error: Exception, session: Session) -> Exception:
    """An error of the machine, with what Docker has to do with it."""
    from compose.errors import EngineError

    if not isinstance(error, EngineError):
        return error
    from compose.cli.foreign import explained

    return explained(error, session.project_name, session.environ)


def _failed(error: Exception, argv: Sequence[str], as_json: bool, parsed: Parsed | None) -> int:
    """Print the error; its exit code."""
    from compose.errors import ComposeError, SpecError
    from netplan.errors import NetworkFault
    from runtime.errors import RuntimeFault

    code = int(getattr(error, "exit_code", 1))
    if parsed is not None and parsed.command in ("run", "exec"):  # why the program could not start: 126, 127
        code = int(getattr(error, "code", 0) or code)
    if isinstance(error, ComposeError):
        text = _problems(error) if isinstance(error, SpecError) else error.text()
    elif isinstance(error, (RuntimeFault, NetworkFault)):
        text = f"{error.message}\n  {error.hint}" if error.hint else error.message
    elif isinstance(error, OSError) and (error.filename or error.errno in _DISK_TROUBLE):
        text = f"cannot go on: {os.fsdecode(error.filename or 'output')}: {error.strerror}"
    else:
        code = 1
        text = _unexpected(error, argv)
    if os.geteuid() != 0 and any(os.strerror(number) in text for number in (errno.EACCES, errno.EPERM)):
        text = f"{text.partition(chr(10))[0]}\n  {_ROOTLESS}; type: sudo pycompose {' '.join(argv)}"
    _print_error(text, as_json)
    return code


def _problems(error: SpecError) -> str:
    """Every problem of the files; for a terminal each with the line it is in."""
    texts = [problem.text() for problem in error.problems]
    if os.isatty(2):
        from compose.spec.problems import with_excerpt

        texts = [with_excerpt(problem) for problem in error.problems]
    return "\n".join(texts)


def _print_error(text: str, as_json: bool) -> None:
    if as_json:
        import json

        text = json.dumps({"error": True, "message": text}, ensure_ascii=False)
    try:
        os.write(2, f"{text}\n".encode("utf-8", "surrogateescape"))
    except OSError:
        pass  # nobody is there to be told


def _unexpected(error: Exception, argv: Sequence[str]) -> str:
    """A sentence, and a file with all that a report of the bug needs."""
    import platform
    import tempfile
    import traceback

    from compose.cli.commands.version import VERSION

    head = f"pycompose {VERSION}, Python {sys.version}, Linux {platform.release()}\narguments: {list(argv)}\n\n"
    trace = "".join(traceback.format_exception(error))
    summary = f"cannot go on: unexpected {type(error).__name__}: {error}"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="pycompose-error-", suffix=".txt", delete=False) as file:
            file.write(head + trace)
    except OSError as trouble:
        place = os.fsdecode(trouble.filename or "/tmp")
        return f"{summary}\n  this is a bug; its details could not be written to {place}: {trouble.strerror}"
    return f"{summary}\n  this is a bug; details are in {file.name}"


def _wants_json(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether errors are to be JSON; asked before parsing, whose errors count too."""
    for place, word in enumerate(argv):
        if word == "--progress=json" or (word == "--progress" and list(argv[place + 1 : place + 2]) == ["json"]):
            return True
    return environ.get("COMPOSE_PROGRESS") == "json"


def _abandon_stdout() -> None:
    """Nobody reads: what is still buffered must not raise again at the end."""
    os.dup2(os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC), 1)


if __name__ == "__main__":
    sys.exit(main())
