"""The shim: one small process per container that starts it, logs it, probes it, restarts it and tells what happened.

It is forked from the launcher (or, when a shim was killed, from the helper, which then hands over the descriptors that
must not die), lives in one loop, and ends when its container has ended for good. The container outlives it: see
``runtime/shim/output.py`` for its output and ``runtime/shim/keeping.py`` for what the helper holds.
"""

from __future__ import annotations

import fcntl
import os
import time

from runtime import events, launch
from runtime.cgroups.manager import open_cgroup
from runtime.errors import RuntimeFault, StartFailed
from runtime.linux import process as proc
from runtime.linux.identity import boot_id, start_time, zombie_status
from runtime.mounts import settle_upper
from runtime.paths import Bundle, Roots, remove_run_dir
from runtime.record import EMPTY, replace
from runtime.shim import control, farewell, keeping, output, probes, restart, stdio
from runtime.shim.loop import Loop
from runtime.signals import SIGKILL
from runtime.spec import ContainerSpec, changed_files, decode
from runtime.state import (
    ALIVE,
    CREATED,
    PAUSED,
    RESTARTING,
    RUNNING,
    STOPPED,
    State,
    is_alive,
    read_json,
    state_from_plain,
    write_json,
)
from runtime.update import rewrite_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.messages import Channel
    from runtime.shim.loop import Timer

LINGER = 0.25  # seconds after the end in which a command may still ask for removal, before the upper is synced


class Supervisor:
    """One container's shim."""

    def __init__(self, roots: Roots, ident: str, helper_main: str) -> None:
        self.roots = roots
        self.bundle = Bundle(roots, ident)
        self.helper_main = helper_main
        self.loop = Loop()
        self.spec: ContainerSpec = decode(read_json(self.bundle.spec))
        self.cgroup = open_cgroup(roots, ident, self.spec.cgroup_parent)
        self.state = State(shim_pid=os.getpid(), shim_start_time=start_time(os.getpid()), boot_id=boot_id())
        self.spawned: launch.Spawned | None = None
        self.pidfd = -1
        self.is_parent = True
        self.netns = -1
        self.delay = 0.0
        self.began = 0.0  # monotonic seconds of the last start
        self.restart_timer: Timer | None = None
        self.kill_timer: Timer | None = None
        self.stop_asked = False
        self.notes: list[str] = []  # for whoever had the container made
        self.io = stdio.Stdio(self)
        self.control = control.Control(self)
        self.keeping = keeping.Keeping(self)
        self.probes = probes.Probes(self)
        self.farewell = farewell.Farewell(self.loop, self._say_goodbye)

    # -- beginnings

    def create(self, reply: Channel | None) -> None:
        """Boot the container up to the moment before exec, answer ``reply``, then serve until the end."""
        if not self._alone():
            return
        self.publish()
        try:
            self.io.open()
            self.control.listen()
            self._spawn()
        except RuntimeFault as fault:
            self._give_up(fault, reply)
            return
        except OSError as error:
            self._give_up(RuntimeFault(f"cannot create container {self.spec.name}: {error}"), reply)
            return
        self.notes = self.spawned.left_out if self.spawned is not None else []
        self.publish(status=CREATED)
        self.keeping.connect()
        if reply is not None:
            self.control.adopt_connection(reply)
            self.control.reply(reply, {"ok": True, "pid": self.state.pid, "notes": self.notes})
        self.loop.run()

    def adopt(self, held: Mapping[str, int] = EMPTY, reply: Channel | None = None) -> None:
        """Take over a container whose shim is gone; ``held``: descriptors the helper kept for it."""
        if not self._alone():
            return
        before = read_json(self.bundle.state)
        own = {key: self.state.__dict__[key] for key in ("shim_pid", "shim_start_time", "boot_id")}
        self.state = state_from_plain({**(before or {}), **own})
        self.is_parent = False
        self.netns = held.get("netns", -1)
        self.pidfd = held.get("pidfd", -1)
        if self.pidfd < 0 and self.state.status in ALIVE and is_alive(self.state.pid, self.state.start_time):
            self.pidfd = proc.pidfd_open(self.state.pid)
        if self.netns < 0 and self.pidfd >= 0 and self.spec.namespaces.network != "host":
            self.netns = _open_netns(self.state.pid)
        self.keeping.take(held)
        self.io.open(master=held.get("master", -1), stdin=held.get("stdin", -1), again=True)
        self.control.listen()
        self.publish()
        self.keeping.connect()
        if reply is not None:
            self.control.adopt_connection(reply)
            self.control.reply(reply, {"ok": True, "pid": self.state.pid})
        self._resume()
        self.loop.run()

    def _alone(self) -> bool:
        """Lock the container's run directory, so that it never has two shims; False when another one lives on."""
        for _attempt in range(200):  # a dying shim gives it up within microseconds of its connections
            os.makedirs(self.bundle.run, mode=0o700, exist_ok=True)
            try:
                self.lock = os.open(self.bundle.run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(self.lock), os.stat(self.bundle.run)):
                    return True
            except BlockingIOError:
                time.sleep(0.005)
            except FileNotFoundError:
                continue  # the one before us removed the directory
            os.close(self.lock)
        return False

    def _resume(self) -> None:
        """Go on where the dead shim was."""
        self.began = time.monotonic()
        if self.state.status == RESTARTING:
            self.restart_timer = self.loop.later(restart.FIRST_DELAY, self._restart)
        elif self.pidfd >= 0:
            self.loop.watch(self.pidfd, self._ended)
            if self.state.status == RUNNING:
                self.probes.start(resumed=True)
        else:
            self._finish(self.state.exit_code if self.state.status == STOPPED else 255)

    def _spawn(self) -> None:
        """A new init process, waiting before exec. Keeps the network namespace of the run before."""
        child_ends = self.io.child_ends()
        try:
            self.spawned = launch.spawn_init(
                self.spec,
                self.bundle,
                self.roots,
                stdio=child_ends,
                netns_fd=self.netns if self.netns >= 0 else None,
                resolve=self._pid_of,
            )
        finally:
            for fd in child_ends or ():
                os.close(fd)
        self.is_parent = True
        self.pidfd = self.spawned.pidfd
        if self.netns < 0:
            self.netns = self.spawned.netns_fd
        elif self.spawned.netns_fd >= 0:
            os.close(self.spawned.netns_fd)
        self.io.use_master(self.spawned.master_fd)
        self.state = replace(self.state, pid=self.spawned.pid, start_time=self.spawned.start_time)
        self.loop.watch(self.pidfd, self._ended)

    def _pid_of(self, ident: str) -> int:
        """The init of another container, for shared namespaces. Raises RuntimeFault when it does not run."""
        plain = read_json(Bundle(self.roots, ident).state) or {}
        pid = plain.get("pid", 0)
        if plain.get("status") not in ALIVE or not is_alive(pid, plain.get("start_time", 0)):
            raise RuntimeFault(
                f"cannot join the namespaces of container {ident[:12]}: it is not running", "start it first"
            )
        return int(pid)

    def _give_up(self, fault: RuntimeFault, reply: Channel | None) -> None:
        self.io.close()
        self.cgroup.remove()
        self._record_end(128, fault.message)
        remove_run_dir(self.bundle)
        if reply is not None:
            self.control.reply(reply, {"error": fault.message, "hint": fault.hint, "code": 1})

    # -- running

    def start(self) -> None:
        """Let the waiting init exec. Raises StartFailed; then the container has ended."""
        if self.state.status == RUNNING:
            return
        if self.spawned is None or self.state.status != CREATED:
            raise RuntimeFault(f"cannot start container {self.spec.name}: it is {self.state.status}")
        try:
            self._exec()
        except StartFailed as failure:
            self._failed_to_start(failure)
            raise

    def _exec(self) -> None:
        assert self.spawned is not None
        self.keeping.offer()  # from the first moment of its life the container has a second holder
        self.spawned.start()
        self.began = time.monotonic()
        self.stop_asked = False
        self.publish(
            status=RUNNING,
            started_at=output.timestamp(),
            exit_code=0,
            error="",
            oom_killed=False,
            finished_at="",
            manual=False,
            health="starting" if self.spec.health else "",
            failing_streak=0,
        )
        write_json(self.bundle.last, self.state.__dict__)
        self.probes.start()

    def _failed_to_start(self, failure: StartFailed) -> None:
        """The program could not be executed: the restart policy does not apply (as in Docker)."""
        self.loop.forget(self.pidfd)
        if self.spawned is not None:
            self.spawned.abort()
            self.spawned = None
            os.close(self.pidfd)
            self.pidfd = -1
        self._finish(failure.code, failure.message)

    def _restart(self) -> None:
        self.restart_timer = None
        try:
            self.io.forget_master()
            self._spawn()
            self._exec()
        except StartFailed as failure:
            self._failed_to_start(failure)
        except (RuntimeFault, OSError) as fault:
            self._finish(128, f"cannot restart container {self.spec.name}: {fault}")

    def signal(self, number: int) -> None:
        """Send a signal to the container's init; nothing when it is gone."""
        try:
            proc.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            return
        if self.state.status in (RUNNING, PAUSED):
            events.tell(self.roots, self.bundle.id, "kill", {"signal": str(number)})

    def stop(self, number: int, timeout: float | None) -> None:
        """Begin to end the container: the signal now, SIGKILL after ``timeout`` seconds (None: never)."""
        self.state = replace(self.state, manual=True)
        self.stop_asked = True
        if self.restart_timer is not None:
            self.restart_timer.cancel()
            self._finish(self.state.exit_code)
        elif self.state.status == CREATED and self.spawned is not None:
            self.signal(SIGKILL)
        elif self.state.status in ALIVE:
            self.signal(number)
            if self.state.status == PAUSED or timeout == 0:
                self.kill()
            elif timeout is not None and self.kill_timer is None:
                self.kill_timer = self.loop.later(timeout, self.kill)

    def _say_goodbye(self) -> None:
        """The machine goes down: stop as the container's own settings want it."""
        seconds = self.spec.stop_timeout / 1e9
        self.stop(control.stop_signal(self.spec.stop_signal), seconds if seconds >= 0 else None)

    def kill(self) -> None:
        """SIGKILL to everything in the container. A frozen v1 task dies only after the thaw."""
        self.signal(SIGKILL)
        if self.state.status == PAUSED:
            self.cgroup.thaw()

    def pause(self) -> None:
        if self.state.status != RUNNING:
            raise RuntimeFault(f"cannot pause container {self.spec.name}: it is {self.state.status}")
        self.probes.stop()
        self.cgroup.freeze()
        self.publish(status=PAUSED)

    def unpause(self) -> None:
        if self.state.status != PAUSED:
            raise RuntimeFault(f"cannot unpause container {self.spec.name}: it is {self.state.status}, not paused")
        self.cgroup.thaw()
        self.publish(status=RUNNING)
        self.probes.start(resumed=True)

    # -- the end

    def _ended(self, _events: int) -> None:
        """The container's init has exited."""
        self.loop.forget(self.pidfd)
        code = proc.exit_status(self.pidfd, self.is_parent)
        if code is None:
            code = zombie_status(self.state.pid)
        os.close(self.pidfd)
        self.pidfd = -1
        self.spawned = None
        self.probes.stop()
        if self.kill_timer is not None:
            self.kill_timer.cancel()
            self.kill_timer = None
        oom = self.cgroup.oom_kills() > 0
        self.cgroup.kill()
        self.io.drain()
        self._after_run(255 if code is None else code, oom)

    def _after_run(self, code: int, oom: bool) -> None:
        ran_for = time.monotonic() - self.began if self.began else 0.0
        was_started = self.state.status in (RUNNING, PAUSED)
        self.state = replace(self.state, oom_killed=oom)
        again = was_started and restart.should_restart(
            self.spec.restart, exit_code=code, restarts=self.state.restart_count, manual=self.state.manual
        )
        if not again:
            self._finish(code if was_started else 0)
            return
        self.cgroup.remove()
        self.delay = restart.next_delay(self.delay, ran_for)
        self.publish(
            status=RESTARTING,
            pid=0,
            exit_code=code,
            finished_at=output.timestamp(),
            restart_count=self.state.restart_count + 1,
        )
        self.restart_timer = self.loop.later(self.delay, self._restart)

    def _finish(self, code: int, error: str = "") -> None:
        """Ended for good: free the cgroup and the network, record, tell everyone, linger, go."""
        self.probes.stop()
        self.io.drain()
        self.cgroup.remove()
        self.keeping.release()
        if self.netns >= 0:
            os.close(self.netns)
            self.netns = -1
        self._record_end(code, error)
        self.io.ended(code)
        self.control.ended(self.state)
        self.keeping.leave()
        self.loop.later(LINGER, self._leave)

    def _record_end(self, code: int, error: str = "") -> None:
        self.publish(status=STOPPED, pid=0, exit_code=code, error=error, finished_at=output.timestamp())
        if os.path.isdir(self.bundle.dir):
            write_json(self.bundle.last, self.state.__dict__)

    def _leave(self) -> None:
        if os.path.isdir(self.bundle.dir):
            settle_upper(self.bundle)
        self.leave()

    def leave(self) -> None:
        """End this process; the files under /run go."""
        remove_run_dir(self.bundle)
        self.loop.stop()

    # -- telling

    def publish(self, **changes: object) -> None:
        """Replace the state, on disk and at everyone who listens."""
        before, self.state = self.state, replace(self.state, **changes)
        if os.path.isdir(self.bundle.run):
            write_json(self.bundle.state, self.state.__dict__)
        self.control.announce(self.state)
        self.keeping.announce(self.state)
        self._tell(before)

    def _tell(self, before: State) -> None:
        """The change of state, to the journal."""
        seconds = time.monotonic() - self.began if self.began else 0.0
        happened = events.transitions(before, self.state, stopped=self.stop_asked, seconds=seconds)
        for action, attributes in happened:
            events.tell(self.roots, self.bundle.id, action, attributes)

    def note(self, text: str) -> None:
        """Something that should not happen: kept beside the container for whoever looks into it."""
        fd = os.open(f"{self.bundle.dir}/shim.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, f"{output.timestamp()} {text}\n".encode())
        finally:
            os.close(fd)

    def update(self, plain: dict[str, object]) -> None:
        """Use a changed spec (``plain``, encoded): limits, restart policy, health check, stop settings, file contents.

        Raises RuntimeFault; then the old one is still in use.
        """
        old, new = self.spec, decode(plain)
        changed = changed_files(old, new)
        if changed and self.state.status in ALIVE:
            rewrite_files(self.state.pid, changed)
        self.spec = new
        if self.state.status in ALIVE and old.resources != self.spec.resources:
            self.cgroup.update(self.spec.resources)
        if old.health != self.spec.health and self.state.status == RUNNING:
            self.probes.stop()
            self.publish(health="starting" if self.spec.health else "", failing_streak=0)
            self.probes.start()


def _open_netns(pid: int) -> int:
    try:
        return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
