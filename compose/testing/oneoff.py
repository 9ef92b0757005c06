"""``Service.run``: a one-off container to its end, and what it said."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

from compose.api.lifecycle import remove_containers
from compose.api.run import RunOptions, run_oneoff
from compose.errors import DependencyFailed
from compose.testing.results import ExecResult
from compose.testing.scope import shielded, wait_until
from runtime.linux.identity import boot_id
from runtime.logs import read_log
from runtime.paths import Bundle
from runtime.state import read_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from compose.testing.stack import Stack


def run(
    stack: Stack,
    service: str,
    command: str | Sequence[str] = (),
    *,
    env: Mapping[str, str] | None = None,
    user: str = "",
    cwd: str = "",
    no_deps: bool = False,
    timeout: float | None = 60.0,
    check: bool = False,
) -> ExecResult:
    """As ``pycompose run --rm SERVICE COMMAND``. Raises DependencyFailed after ``timeout`` seconds (it is removed)."""
    words = tuple(shlex.split(command)) if isinstance(command, str) else tuple(command)
    overrides: dict[str, Any] = {"environment": dict(env or {}), "user": user, "working_dir": cwd, "tty": False}
    if words:
        overrides["command"] = list(words)
    kept = {key: value for key, value in overrides.items() if value not in ("", {})}
    options = RunOptions(service, overrides=kept, no_deps=no_deps, ignore_orphans=True, lock=stack.lock)
    made = run_oneoff(stack.engine, stack.desired, options, stack.recorder)
    began = time.monotonic()
    try:
        stack.engine.start_container(made.ident)
        wait_until(stack, (made.ident,), "stopped", timeout)
        result = _result(stack, made.ident, words, time.monotonic() - began)
    except DependencyFailed as error:
        said = _result(stack, made.ident, words, 0.0)
        raise DependencyFailed(f"{error.message}; it said:\n{said.stdout}{said.stderr}", hint=error.hint) from error
    finally:
        with shielded():
            remove_containers(stack.engine, stack.name, (made.ident,), stack.recorder, volumes=True)
    return result.check() if check else result


def _result(stack: Stack, ident: str, words: tuple[str, ...], seconds: float) -> ExecResult:
    bundle = Bundle(stack.roots, ident)
    text = {"stdout": "", "stderr": ""}
    for line in read_log(bundle.log, tail=None, since_ns=None, until_ns=None):
        text[line.stream] += line.text.decode("utf-8", "replace")
    return ExecResult(words, read_state(bundle, boot_id()).exit_code, text["stdout"], text["stderr"], seconds)
