"""Status words and the state file of a container.

``state.json`` under /run has one writer, the container's shim, and is replaced by rename. ``last.json`` beside the
bundle is a copy written at the end, so that exit code and times survive a reboot. Formats: docs/formats/container.md.
"""

from __future__ import annotations

import os

from runtime import plain_json as json
from runtime.linux.identity import start_time
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.paths import Bundle

CREATING, CREATED, RUNNING, PAUSED, RESTARTING, STOPPED = (
    "creating",
    "created",
    "running",
    "paused",
    "restarting",
    "stopped",
)
ALIVE = (CREATED, RUNNING, PAUSED)  # an init process exists
ACTIVE = (CREATED, RUNNING, PAUSED, RESTARTING)  # a shim has work


@record
class State:
    """What the shim knows. Times: RFC 3339 UTC or empty. ``health``: "", starting, healthy, unhealthy.

    ``manual``: stopped or killed by a command, which ends the restart policy. ``probes``: the last five results of the
    health check, each {"start", "end", "exit_code", "output"}.
    """

    status: str = CREATING
    pid: int = 0
    start_time: int = 0  # field 22 of /proc/PID/stat: clock ticks after boot
    shim_pid: int = 0
    shim_start_time: int = 0
    boot_id: str = ""
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    manual: bool = False
    started_at: str = ""
    finished_at: str = ""
    restart_count: int = 0
    health: str = ""
    failing_streak: int = 0
    probes: tuple[Any, ...] = ()


def is_alive(pid: int, started: int) -> bool:
    """Whether that very process still runs."""
    return pid > 0 and started > 0 and start_time(pid) == started


def write_atomic(path: str, data: bytes, mode: int = 0o600) -> None:
    """Replace a file by rename, so that a reader sees the old or the new content."""
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.rename(temporary, path)


def write_json(path: str, value: object) -> None:
    write_atomic(path, json.dumps(value, separators=(",", ":")).encode())


def read_json(path: str) -> Any:
    """The parsed file, or None when it is missing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        chunks = []
        while chunk := os.read(fd, 1 << 20):
            chunks.append(chunk)
    finally:
        os.close(fd)
    return json.loads(b"".join(chunks))


def state_from_plain(plain: dict[str, Any]) -> State:
    known = State.__match_args__
    values = {key: value for key, value in plain.items() if key in known}
    values["probes"] = tuple(values.get("probes", ()))
    return State(**values)


def read_state(bundle: Bundle, boot: str) -> State:
    """The state as it is now: the shim's file when it is of this boot, else the last exit, else a never-started one.

    Liveness is checked by pid and start time: a container whose process is gone without a shim is reported stopped
    with code 255 ("lost"), unless the shim recorded the exit.
    """
    plain = read_json(bundle.state)
    if plain is None or plain.get("boot_id") != boot:
        plain = read_json(bundle.last)
        if plain is None:
            return State(status=STOPPED)
        if plain["status"] != STOPPED:  # it ran when the machine, or all of ours, went down
            plain["exit_code"] = 255
        return state_from_plain({**plain, "status": STOPPED, "pid": 0, "shim_pid": 0, "health": ""})
    state = state_from_plain(plain)
    if state.status in ACTIVE and not is_alive(state.shim_pid, state.shim_start_time):
        return _unsupervised(state)
    return state


def _unsupervised(state: State) -> State:
    if state.status in ALIVE and is_alive(state.pid, state.start_time):
        return state_from_plain({**state.__dict__, "shim_pid": 0})
    lost = {"status": STOPPED, "pid": 0, "shim_pid": 0, "exit_code": 255, "health": ""}
    return state_from_plain({**state.__dict__, **lost})
