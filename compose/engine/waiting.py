"""Waiting for containers without polling: every shim pushes its state to whoever subscribes."""

from __future__ import annotations

import select
import time

from compose.errors import DependencyFailed, Interrupted
from runtime import container as containers
from runtime.errors import Conflict
from runtime.linux.identity import boot_id
from runtime.logs import read_log
from runtime.messages import Channel, Closed
from runtime.paths import Bundle
from runtime.state import PAUSED, RESTARTING, RUNNING, STOPPED, State, read_state, state_from_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.paths import Roots

TAIL = 30
SETTLE = 0.1  # seconds that what nothing checks must go on running: a program that fails at once does not "run"
WHY = "pycompose why says more"


def verdict(condition: str, state: State, *, has_check: bool) -> bool | None:
    """True: met; False: can never be met; None: not yet."""
    ended = state.status == STOPPED
    if condition == "stopped":
        return True if ended else None
    if condition == "started":
        return True if state.started_at and not state.error else (False if ended else None)
    if condition == "completed":
        return (state.exit_code == 0 and not state.error) if ended else None
    if condition == "running_or_healthy" and ended:  # a job that is done is as good as one that runs
        return state.exit_code == 0 and not state.error
    if ended:
        return False
    if condition == "running_or_healthy" and not has_check:
        return True if state.status in (RUNNING, PAUSED) else None
    return {"healthy": True, "unhealthy": False}.get(state.health)


class Watch:
    """Subscriptions to a set of containers. ``cancel``: a descriptor; readable, it ends the waiting."""

    def __init__(self, roots: Roots, idents: tuple[str, ...], cancel: int = -1) -> None:
        self.roots = roots
        self.cancel = cancel
        self.channels: dict[int, tuple[str, Channel]] = {}
        self.states: dict[str, State] = {}
        self.poll = select.poll()
        if cancel >= 0:
            self.poll.register(cancel, select.POLLIN)
        for ident in idents:
            self._subscribe(ident)

    def _subscribe(self, ident: str) -> None:
        try:
            channel = containers.connect(self.roots, ident)
            message, _fds = channel.ask({"op": "subscribe"})
        except (Conflict, Closed):
            self.states[ident] = read_state(Bundle(self.roots, ident), boot_id())
            return
        self.states[ident] = state_from_plain(message["state"])
        self.channels[channel.fileno()] = (ident, channel)
        self.poll.register(channel.fileno(), select.POLLIN)

    def next(self, timeout: float | None) -> bool:
        """Wait for a change of any state; False after ``timeout`` seconds without one."""
        if not self.channels:
            return False
        ready = self.poll.poll(None if timeout is None else max(0.0, timeout) * 1000)
        for fd, _events in ready:
            if fd == self.cancel:
                raise Interrupted("cannot wait: interrupted")
            self._read(fd)
        return bool(ready)

    def _read(self, fd: int) -> None:
        ident, channel = self.channels[fd]
        try:
            message, _fds = channel.receive()
            if "state" in message:
                self.states[ident] = state_from_plain(message["state"])
        except (Closed, OSError):
            self._close(fd)
            if self.states[ident].status != STOPPED:
                self._subscribe(ident)  # its shim was killed and is being replaced

    def _close(self, fd: int) -> None:
        _ident, channel = self.channels.pop(fd)
        self.poll.unregister(fd)
        channel.close()

    def close(self) -> None:
        for fd in list(self.channels):
            self._close(fd)


def wait_until(
    roots: Roots, idents: tuple[str, ...], condition: str, timeout: float | None = None, cancel: int = -1
) -> None:
    """Block until all meet the condition. Raises DependencyFailed when one cannot, or after ``timeout`` seconds, and
    Interrupted once the descriptor ``cancel`` is readable."""
    checks = {ident: containers.read_spec(roots, ident).health is not None for ident in idents}
    for ident in idents:
        if condition == "healthy" and not checks[ident]:
            name = containers.read_spec(roots, ident).name
            raise DependencyFailed(
                f"cannot wait for container {name} to be healthy: it has no healthcheck",
                hint="give the service a healthcheck, or use condition: service_started",
            )
    watch = Watch(roots, idents, cancel)
    end = None if timeout is None else time.monotonic() + timeout
    settled = 0.0
    try:
        while True:
            verdicts = {ident: verdict(condition, watch.states[ident], has_check=checks[ident]) for ident in idents}
            for ident, met in verdicts.items():
                if met is False:
                    raise DependencyFailed(_why(roots, ident, watch.states[ident], condition), hint=WHY)
            if all(verdicts.values()):
                if condition != "running_or_healthy" or all(checks.values()) or not watch.channels:
                    return
                settled = settled or time.monotonic() + SETTLE
                if time.monotonic() >= settled:
                    return
                watch.next(settled - time.monotonic())
                continue
            left = None if end is None else end - time.monotonic()
            if (left is not None and left <= 0) or (not watch.next(left) and left is None):
                late = [ident for ident, met in verdicts.items() if not met]
                name = containers.read_spec(roots, late[0]).name
                raise DependencyFailed(
                    f"cannot wait longer for container {name}: not {condition} after {timeout}s",
                    hint=f"{WHY}; or wait longer",
                )
    finally:
        watch.close()


def _why(roots: Roots, ident: str, state: State, condition: str) -> str:
    """One sentence with the reason, then what the container or its probe said last."""
    spec = containers.read_spec(roots, ident)
    if state.error:
        said = state.error
    elif state.status == STOPPED:
        killed = ", killed for want of memory" if state.oom_killed else ""
        said = f"it exited with code {state.exit_code}{killed}"
    elif state.status == RESTARTING:
        said = f"it keeps exiting (code {state.exit_code})"
    else:
        said = f"it is {state.health or state.status}"
    text = f"cannot go on: container {spec.name} is not {condition.replace('_', ' ')}: {said}"
    if state.health == "unhealthy" and state.probes:
        last = state.probes[-1]
        text += f"\n  last probe exited with code {last['exit_code']}: {last['output'].strip()}"
    tail = list(read_log(Bundle(roots, ident).log, tail=TAIL, since_ns=None, until_ns=None))
    for line in tail:
        text += f"\n  {spec.name} | {line.text.decode('utf-8', 'replace').rstrip()}"
    return text
