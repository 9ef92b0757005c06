"""Runs the health check's probes by the schedule of ``runtime/shim/health.py``."""

from __future__ import annotations

import os
import time

from runtime.errors import RuntimeFault, StartFailed
from runtime.exec import spawn_exec
from runtime.linux import process as proc
from runtime.record import replace
from runtime.shim import health
from runtime.shim.output import timestamp
from runtime.signals import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shim.loop import Timer
    from runtime.shim.supervisor import Supervisor

TIMED_OUT = -1


class Probes:
    """One probe at a time while the container runs."""

    def __init__(self, shim: Supervisor) -> None:
        self.shim = shim
        self.condition = health.Condition()
        self.timer: Timer | None = None
        self.running: _Probe | None = None

    @property
    def plan(self) -> health.Schedule:
        assert self.shim.spec.health is not None
        return health.schedule(self.shim.spec.health)

    def start(self, *, resumed: bool = False) -> None:
        if self.shim.spec.health is None:
            return
        if resumed and self.shim.state.health:
            self.condition = health.Condition(self.shim.state.health, self.shim.state.failing_streak)
        else:
            self.condition = health.Condition()
        self._arm()

    def stop(self) -> None:
        """No more probes; a running one is killed and its result dropped."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.running is not None:
            self.running.abandon()
            self.running = None

    def _arm(self) -> None:
        since_start = time.monotonic() - self.shim.began
        self.timer = self.shim.loop.later(health.wait_before_probe(self.plan, self.condition, since_start), self._probe)

    def _probe(self) -> None:
        self.timer = None
        self.running = _Probe(self, self.plan.timeout)
        self.running.begin()

    def finished(self, code: int, text: str, began: float, began_at: str) -> None:
        """A probe's result: exit code, or TIMED_OUT."""
        self.running = None
        before = self.condition
        self.condition = health.after_probe(self.plan, before, ok=code == 0, began_since_start=began - self.shim.began)
        row = {"start": began_at, "end": timestamp(), "exit_code": code, "output": health.shorten(text)}
        kept = (*self.shim.state.probes, row)[-health.KEPT_RESULTS :]
        self.shim.publish(health=self.condition.status, failing_streak=self.condition.streak, probes=kept)
        self._arm()


class _Probe:
    """One execution of the test inside the container."""

    def __init__(self, owner: Probes, timeout: float) -> None:
        self.owner = owner
        self.shim = owner.shim
        self.timeout = timeout
        self.began = time.monotonic()
        self.began_at = timestamp()
        self.output = b""
        self.pipe = -1
        self.pidfd = -1
        self.timer: Timer | None = None
        self.timed_out = False

    def begin(self) -> None:
        assert self.shim.spec.health is not None
        reader, writer = os.pipe2(os.O_CLOEXEC)
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        process = replace(self.shim.spec.process, args=self.shim.spec.health.test, terminal=False, oom_score_adj=0)
        try:
            done = spawn_exec(
                self.shim.state.pid,
                self.shim.pidfd,
                self.shim.spec,
                self.shim.bundle,
                self.shim.roots,
                process,
                (null, writer, writer),
            )
        except (StartFailed, RuntimeFault) as fault:
            os.close(reader)
            code = fault.code if isinstance(fault, StartFailed) else 128
            self.owner.finished(code, fault.message, self.began, self.began_at)
            return
        finally:
            os.close(writer)
            os.close(null)
        self.pipe, self.pidfd = reader, done.pidfd
        os.set_blocking(reader, False)
        self.shim.loop.watch(reader, self._readable)
        self.shim.loop.watch(self.pidfd, self._exited)
        self.timer = self.shim.loop.later(self.timeout, self._expire)

    def _readable(self, _events: int) -> None:
        try:
            data = os.read(self.pipe, 4096)
        except BlockingIOError:
            return
        if not data:
            self.shim.loop.forget(self.pipe)
        elif len(self.output) <= health.OUTPUT_LIMIT:
            self.output += data

    def _expire(self) -> None:
        """Only the probe's own process is killed, as Docker does."""
        self.timed_out = True
        try:
            proc.pidfd_send_signal(self.pidfd, SIGKILL)
        except ProcessLookupError:
            pass

    def _exited(self, _events: int) -> None:
        code = proc.exit_status(self.pidfd, parent=True)
        self._readable(0)
        text = self.output.decode("utf-8", "replace")
        self._close()
        if self.timed_out:
            code, text = TIMED_OUT, f"health check exceeded timeout ({self.timeout:g}s): {text}"
        self.owner.finished(255 if code is None else code, text, self.began, self.began_at)

    def abandon(self) -> None:
        self._expire()
        proc.exit_status(self.pidfd, parent=True)
        self._close()

    def _close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        for fd in (self.pipe, self.pidfd):
            self.shim.loop.forget(fd)
            os.close(fd)
