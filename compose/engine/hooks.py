"""Lifecycle hooks: containers that run before a start, commands inside after it and before a stop."""

from __future__ import annotations

import os

from compose import labels as key
from compose.engine.translate_network import text
from compose.engine.waiting import wait_until
from compose.errors import EngineError
from runtime import container as containers
from runtime.capture import capture
from runtime.errors import NotFound, StartFailed
from runtime.logs import read_log
from runtime.paths import Bundle
from runtime.spec import process_beside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from runtime.container import Container
    from runtime.paths import Roots
    from runtime.spec import Process

    Tell = Callable[[str, str, bytes], None]

SHOWN = 5  # last lines of a failed command's output, for the hint


def pending_mark(bundle: Bundle) -> str:
    """The file that is there from a start until the ``post_start`` commands have succeeded; it ends with the run."""
    return f"{bundle.run}/post_start"


def mark_pending(bundle: Bundle) -> None:
    """To be done before the start, so that a command that is killed between the two leaves the mark."""
    os.close(os.open(pending_mark(bundle), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def run_hooks(roots: Roots, ident: str, phase: str, tell: Tell) -> None:
    """Execute a phase's commands one after another. ``tell`` gets (container, service, line) of their output.

    Raises EngineError for the first that fails, as docker compose does: ``up`` ends, or the container is not stopped.
    """
    one = containers.read_container(roots, ident)
    if one is None:
        raise NotFound(f"cannot run the hooks of container {ident[:12]}: it was removed")
    rows = containers.read_annotations(roots, ident).get("config", {}).get(phase) or ()
    for number, row in enumerate(rows, 1):
        _run(roots, one, phase, number, row, tell)
    if phase == "post_start":
        try:
            os.unlink(pending_mark(Bundle(roots, ident)))
        except FileNotFoundError:
            pass


def finish_container(roots: Roots, ident: str, tell: Tell) -> None:
    """Wait for the end of the container of a ``pre_start`` command, and tell what it wrote. Raises EngineError."""
    one = containers.read_container(roots, ident)
    if one is None:
        raise NotFound(f"cannot wait for container {ident[:12]}: it was removed")
    wait_until(roots, (ident,), "stopped", None)
    lines = [line.text for line in read_log(Bundle(roots, ident).log)]
    for line in lines:
        tell(one.name, one.labels.get(key.SERVICE, ""), line)
    code = containers.settled_state(roots, ident).exit_code
    if code:
        raise EngineError(
            f"cannot start {one.labels.get(key.SERVICE, '')}: its pre_start command {one.labels.get(key.NUMBER)} "
            f"exited with status {code}",
            hint=f"{_last(lines)}its container {one.name} is kept until the next up or down".strip(),
        )


def _last(lines: list[bytes]) -> str:
    """The last lines of an output, for a hint."""
    said = b"".join(lines[-SHOWN:]).decode(errors="replace").rstrip()
    return f"{said}\n  " if said else ""


def _run(roots: Roots, one: Container, phase: str, number: int, row: Mapping[str, Any], tell: Tell) -> None:
    service = one.labels.get(key.SERVICE, "")
    last: list[bytes] = []

    def line(data: bytes) -> None:
        tell(one.name, service, data)
        last.append(data)
        del last[:-SHOWN]

    process = _process(containers.read_spec(roots, one.id).process, row)
    try:
        code = capture(roots, one.id, process, line, privileged=bool(row.get("privileged")))
    except StartFailed as failure:
        raise EngineError(
            f"cannot run {phase} command {number} of {one.name}: {failure.message}", hint=failure.hint
        ) from failure
    if code:
        hint = "kill stops it without its pre_stop commands" if phase == "pre_stop" else ""
        raise EngineError(
            f"cannot {'stop' if phase == 'pre_stop' else 'start'} {one.name}: {phase} command {number} "
            f"({' '.join(process.args)}) exited with status {code}",
            hint=f"{_last(last)}{hint}".rstrip(),
        )


def _process(base: Process, row: Mapping[str, Any]) -> Process:
    """The container's own process with what the hook changes; its user and directory are the container's otherwise."""
    given = (row.get("environment") or {}).items()
    env = {name: None if value is None else text(value) for name, value in given}
    cwd, user = row.get("working_dir") or "", str(row.get("user") or "")
    return process_beside(base, tuple(row["command"]), env=env, cwd=cwd, user=user)
