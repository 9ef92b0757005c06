"""What was done to a project and why, kept for ``pycompose why``: one JSON line a step, bounded.

``STATE/journals/PROJECT.jsonl``, mode 0600. A line is ``{"time", "kind", "name", "verb", "reason", "error"}``, the last
only of a step that failed. Lines are appended in one write under the lock of the project; the oldest go by rename.
It is a help, never needed: whatever cannot be written or read is left out.
"""

from __future__ import annotations

import os
import time

from compose import plain_json as json
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.execute.executor import Results
    from compose.plan.plan import Plan

MOST = 128 * 1024  # bytes, then the older half goes
KINDS = ("container", "service", "network", "volume", "image")
INNER = ("connect", "disconnect", "prepare", "rename")  # parts of other steps: told only when they fail


@record
class Entry:
    """One step that was done, or that failed with ``error``. ``time``: seconds since the epoch."""

    time: float
    kind: str
    name: str
    verb: str
    reason: str
    error: str = ""


def path_of(state_dir: str, project: str) -> str:
    return f"{state_dir}/journals/{project}.jsonl"


def entries_of(plan: Plan, results: Results) -> list[Entry]:
    """The steps of a run that are worth remembering, in the plan's order."""
    now = round(time.time(), 3)
    done = frozenset(results.done)
    failed = {failure.step.number: failure.error for failure in results.failures}
    entries = []
    for step in plan.steps:
        action = step.action
        error = failed.get(step.number)
        told = step.number in done and action.verb not in (*INNER, "wait")
        if action.kind in KINDS and (told or error is not None):
            text = "" if error is None else str(error) or type(error).__name__
            entries.append(Entry(now, action.kind, action.title, action.verb, step.reason, text))
    return entries


def append(path: str, entries: list[Entry]) -> None:
    """Add to the journal; silent where that is not possible."""
    if not entries:
        return
    data = "".join(f"{json.dumps(_plain(entry), ensure_ascii=False)}\n" for entry in entries).encode()
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        try:
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError:
            return
    except OSError:
        return
    try:
        os.write(fd, data)
        if os.fstat(fd).st_size > MOST:
            _shorten(path)
    except OSError:
        pass
    finally:
        os.close(fd)


def read(path: str) -> list[Entry]:
    """What is remembered, oldest first; a line that was cut by a kill is left out."""
    entries = []
    for line in _lines(path):
        try:
            row = json.loads(line)
            entries.append(Entry(**{"error": "", **row}))
        except (ValueError, TypeError):
            continue
    return entries


def remove(path: str) -> None:
    """Of a project that is gone."""
    try:
        os.unlink(path)
    except OSError:
        pass


def _plain(entry: Entry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in Entry.__match_args__ if name != "error" or entry.error}


def _lines(path: str) -> list[bytes]:
    try:
        with open(path, "rb", buffering=0) as file:
            return (file.readall() or b"").splitlines(keepends=True)
    except OSError:
        return []


def _shorten(path: str) -> None:
    """Keep the newer half, by whole lines."""
    kept: list[bytes] = []
    size = 0
    for line in reversed(_lines(path)):
        size += len(line)
        if size > MOST // 2:
            break
        kept.append(line)
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, b"".join(reversed(kept)))
    finally:
        os.close(fd)
    os.rename(temporary, path)
