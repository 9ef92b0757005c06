"""A running stack in a test: what a Compose file describes, with names and ports of its own, and gone at the end."""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from compose.api import lifecycle
from compose.api.up import UpOptions, scale, start, up
from compose.engine.local import LocalEngine
from compose.errors import UsageError
from compose.project import LoadOptions
from compose.spec.desire import desired_from_loaded
from compose.spec.pipeline import load
from compose.testing.guard import Guard
from compose.testing.lease import Lease, sweep
from compose.testing.recorder import Recorder
from compose.testing.removal import remove_project, stack_dir
from compose.testing.scope import shielded, wait_until
from compose.testing.wanted import isolated
from runtime.paths import project_run_dir, roots_from_env

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from compose.plan.desired import Desired
    from compose.plan.observed import Observed, ObservedContainer
    from compose.plan.plan import Plan
    from compose.testing.aio import AsyncStack
    from compose.testing.faults import Faults
    from compose.testing.reset import Resetter
    from compose.testing.results import ExecResult, LogLine, StackEvent
    from compose.testing.service import Service

PORTS = ("random", "as-is")
LEVELS = ("none", "volumes", "full")
_guards: dict[tuple[int, int], Guard] = {}  # by our pid and the watched one: a fork must not use its parent's


class Stack:
    """A project from Compose files, to be used as a context or with :meth:`up` and :meth:`down`.

    ``files``: paths, relative to ``directory`` (default: the working directory); none: the usual names. ``env``:
    variables for interpolation and ``environment:`` entries without value, beside the process's own. ``services``: only
    these, with what they depend on. ``scale``: number of containers by service. ``ports``: ``random`` (ephemeral, on
    loopback) or ``as-is``. ``resettable``: a level of :meth:`reset` to prepare for, ``volumes`` or ``full``.
    ``timeout``: seconds for everything to be running or healthy. ``watched``: the process with which the stack ends, by
    default this one.

    Raises ComposeError: SpecError for wrong files, DependencyFailed when a service does not come up.
    """

    def __init__(
        self,
        *files: str | os.PathLike[str],
        directory: str | os.PathLike[str] = "",
        project_name: str = "",
        services: Sequence[str] = (),
        profiles: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        scale: Mapping[str, int] | None = None,
        ports: str = "random",
        resettable: str = "none",
        timeout: float = 60.0,
        watched: int = 0,
    ) -> None:
        if ports not in PORTS:
            raise UsageError(f"cannot use ports={ports!r}", hint=f"choose one of {', '.join(PORTS)}")
        if resettable not in LEVELS:
            raise UsageError(f"cannot use resettable={resettable!r}", hint=f"choose one of {', '.join(LEVELS)}")
        self.environ = {**os.environ, **(env or {})}
        self.roots = roots_from_env(self.environ)
        self.directory = os.path.abspath(os.fspath(directory) or os.getcwd())
        self.name = project_name or new_name(os.path.basename(self.directory))
        self.timeout = timeout
        self.recorder = Recorder()
        self._files = tuple(os.path.join(self.directory, os.fspath(one)) for one in files)
        self._selected, self._profiles = tuple(services), tuple(profiles)
        self._scale, self._ports, self.resettable = dict(scale or {}), ports, resettable
        self._watched = watched or os.getpid()
        self._engine: LocalEngine | None = None
        self._desired: Desired | None = None
        self._lease: Lease | None = None
        self._resetter: Resetter | None = None
        self._faults: Faults | None = None
        self._lock = threading.Lock()
        self.alone: Callable[[float], AbstractContextManager[None]] = lambda _timeout: nullcontext()  # with the stack
        self.mark = time.time_ns()  # since when ``logs(since="test")`` counts

    # -- life

    def __enter__(self) -> Stack:
        try:
            return self.up()
        except BaseException:
            self.down()
            raise

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.down()

    def up(self) -> Stack:
        """Create and start everything, and wait until it is running or healthy. Does nothing twice."""
        self._hold()
        if self.resettable != "none":
            self._prepare_volumes()
        up(self.engine, self.desired, self._options(wait=True, wait_timeout=self.timeout), self.recorder)
        if self.resettable != "none":
            self.resetter.take_baseline()
        return self

    def down(self, timeout: float | None = 0) -> None:
        """Remove everything, volumes too, with a grace period of ``timeout`` seconds for the processes."""
        if self._faults is not None:
            self._faults.heal()
        self.close()
        with shielded():
            remove_project(
                self.roots, self.name, self.environ, desired=self._desired, reporter=self.recorder, timeout=timeout
            )
        if self._lease is not None:
            self._lease.end()
            self._lease = None
        self._guard().drop(self.name)

    def keep(self) -> str:
        """Leave it running when the tests have ended, for somebody to look at; the command to look with."""
        self._guard().drop(self.name)
        if self._lease is not None:
            self._lease.end()
            self._lease = None
        self.close()
        return f"pycompose -p {self.name} ps; pycompose -p {self.name} logs; pycompose -p {self.name} down -v"

    def join(self) -> Stack:
        """Use the stack of that name which another process has started, and hold it."""
        self._hold()
        return self

    def leave(self) -> None:
        """Let go of a stack that others go on using."""
        self.close()
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    def close(self) -> None:
        """Close connections; the stack stays."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _hold(self) -> None:
        if self._lease is None:
            sweep(self.roots, self.environ, lambda text: self.recorder.say("note", "", "warning", text))
            self._lease = Lease(self.roots, self.name)
            self._guard().add(self.roots, self.name)

    def _guard(self) -> Guard:
        key = (os.getpid(), self._watched)
        if key not in _guards:
            _guards[key] = Guard(self._watched)
        return _guards[key]

    def _prepare_volumes(self) -> None:
        from runtime.generations import prepare

        for volume in self.desired.volumes:
            if not volume.external and (volume.config.get("driver_opts") or {}).get("type") == "overlay":
                prepare(f"{stack_dir(self.roots, self.name)}/{volume.key}")

    # -- what there is

    @property
    def engine(self) -> LocalEngine:
        with self._lock:
            if self._engine is None:
                self._engine = LocalEngine(self.roots, self.environ)
            return self._engine

    @property
    def desired(self) -> Desired:
        """The project as it is run: the files', isolated."""
        if self._desired is None:
            options = LoadOptions(
                files=self._files,
                project_name=self.name,
                profiles=self._profiles,
                cwd=self.directory,
                targets=self._selected,
            )
            loaded = desired_from_loaded(load(options, self.environ))  # no memo: the name is never used again
            below = stack_dir(self.roots, self.name) if self.resettable != "none" else ""
            self._desired = isolated(loaded, ports=self._ports, resettable=below)
        return self._desired

    def observe(self) -> Observed:
        """One look at the machine."""
        return self.engine.observe(self.name, self.desired)

    @property
    def services(self) -> Mapping[str, Service]:
        """The services of the project by name, in file order."""
        from compose.testing.service import Service

        return {one.name: Service(self, one.name) for one in self.desired.services}

    def service(self, name: str) -> Service:
        """One service. Raises UsageError with the names that there are."""
        services = self.services
        if name not in services:
            raise UsageError(f"no such service: {name}", hint=f"services: {', '.join(services)}")
        return services[name]

    def __getitem__(self, name: str) -> Service:
        return self.service(name)

    def containers(self, services: Sequence[str] = ()) -> list[ObservedContainer]:
        """The containers of these services (of all, when none is named), in file order."""
        from compose.api.read import select

        return select(self.observe(), self.desired, services)

    # -- doing

    def exec(self, service: str, command: str | Sequence[str], **options: object) -> ExecResult:
        """Run a command in a service's container; see :meth:`Service.exec`."""
        return self.service(service).exec(command, **options)  # type: ignore[arg-type]

    def start(self, *services: str) -> None:
        """Start stopped containers, and wait until they are running or healthy."""
        options = self._options(services=services, wait=True, wait_timeout=self.timeout)
        start(self.engine, self.desired, options, self.recorder)

    def stop(self, *services: str, timeout: float | None = None) -> None:
        """Stop containers; ``timeout`` seconds between the stop signal and SIGKILL."""
        lifecycle.stop(self.engine, self.desired, self._life(services, timeout=timeout), self.recorder)

    def restart(self, *services: str, timeout: float | None = None) -> None:
        """Stop and start again, and wait until everything is running or healthy."""
        lifecycle.restart(self.engine, self.desired, self._life(services, timeout=timeout), self.recorder)
        self.wait(*services)

    def kill(self, *services: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the first process of each container."""
        lifecycle.kill(self.engine, self.desired, self._life(services, signal=signal), self.recorder)

    def pause(self, *services: str) -> None:
        """Freeze all processes of the services."""
        lifecycle.pause(self.engine, self.desired, self._life(services), self.recorder)

    def unpause(self, *services: str) -> None:
        """Let them go on."""
        lifecycle.unpause(self.engine, self.desired, self._life(services), self.recorder)

    def scale(self, **counts: int) -> None:
        """``stack.scale(web=3)``: bring services to these numbers of containers, and wait for them."""
        self._scale.update(counts)
        options = self._options(services=tuple(counts), scale=counts, wait=True, wait_timeout=self.timeout)
        scale(self.engine, self.desired, options, self.recorder)

    def wait(self, *services: str, timeout: float | None = None) -> None:
        """Until the services are running or healthy; one that has exited with 0 counts as done."""
        idents = tuple(one.id for one in self.containers(services))
        wait_until(self, idents, "running_or_healthy", self.timeout if timeout is None else timeout)

    def plan(self) -> Plan:
        """What :meth:`up` would do now."""
        return lifecycle.plan_for("up", self.engine, self.desired, self._options())

    def logs(
        self, *services: str, since: str | int | None = None, grep: str = "", tail: int | None = None
    ) -> list[LogLine]:
        """Lines of the services by time. ``since``: ``"test"`` or nanoseconds since the epoch; ``grep``: a regex."""
        from compose.testing.logs import log_lines

        return log_lines(self, self.containers(services), since=since, grep=grep, tail=tail)

    def events(self, since: float = 0.0) -> list[StackEvent]:
        """What was done to the stack by this process: plan steps, faults, resets."""
        return self.recorder.since(since)

    # -- resetting and breaking

    @property
    def resetter(self) -> Resetter:
        if self._resetter is None:
            from compose.testing.reset import Resetter

            self._resetter = Resetter(self)
        return self._resetter

    def reset(self, level: str = "", timeout: float | None = None) -> None:
        """Back to the state right after start-up: ``volumes``, or ``full`` (the containers' own files, too).

        Default: what the stack was made resettable for. Costs the same however much data there is; containers whose
        processes have files of a volume open are restarted. A stack that pytest-xdist workers share is reset when no
        test of another worker uses it, which is waited for ``timeout`` seconds (default: the stack's). Raises
        UsageError when the stack was not made for it, or is used by others for longer.
        """
        with self.alone(self.timeout if timeout is None else timeout):
            self.resetter.reset(level or self.resettable)

    @property
    def faults(self) -> Faults:
        """Break things for a while; all is healed by ``faults.heal()`` and by :meth:`down`."""
        if self._faults is None:
            from compose.testing.faults import Faults

            self._faults = Faults(self)
        return self._faults

    @property
    def aio(self) -> AsyncStack:
        """The same for ``asyncio``."""
        from compose.testing.aio import AsyncStack

        return AsyncStack(self)

    # -- options

    @property
    def lock(self) -> str:
        return f"{project_run_dir(self.roots, self.name)}/lock"

    def _options(
        self,
        *,
        services: Iterable[str] = (),
        scale: Mapping[str, int] | None = None,
        wait: bool = False,
        wait_timeout: float | None = None,
    ) -> UpOptions:
        return UpOptions(
            services=tuple(services) or self._selected,
            scale=self._scale if scale is None else scale,
            wait=wait,
            wait_timeout=wait_timeout,
            ignore_orphans=True,
            lock=self.lock,
        )

    def _life(
        self, services: Iterable[str], *, timeout: float | None = None, signal: str = "SIGKILL"
    ) -> lifecycle.LifeOptions:
        return lifecycle.LifeOptions(services=tuple(services), timeout=timeout, signal=signal, lock=self.lock)


def new_name(stem: str, worker: str = "") -> str:
    """A project name that nobody else has: ``t-shop-1f2e3d4c``, with a test worker's name at the end."""
    slug = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:20] or "stack"
    return "-".join(filter(None, ("t", slug, os.urandom(4).hex(), worker)))


def find_file(start: str | os.PathLike[str]) -> str:
    """The Compose file of ``start`` or of the nearest directory above it; empty when there is none."""
    from compose.spec.inputs import CANDIDATES

    here = Path(start).resolve()
    for directory in (here, *here.parents):
        for name in CANDIDATES:
            if (directory / name).is_file():
                return str(directory / name)
    return ""
