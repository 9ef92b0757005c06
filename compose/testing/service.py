"""A service of a running stack, and each of its containers."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING

from compose.api.ports import published_ports
from compose.engine.local import told
from compose.errors import EngineError, UsageError
from compose.testing.results import ExecResult
from runtime.linux.identity import boot_id
from runtime.paths import Bundle
from runtime.state import read_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from compose.plan.observed import ObservedContainer
    from compose.testing.results import LogLine
    from compose.testing.stack import Stack
    from runtime.cgroups.stats import Stats
    from runtime.state import State


class Replica:
    """One container of a service; ``number`` counts from 1. Every answer is a fresh look."""

    def __init__(self, stack: Stack, service: str, number: int = 0) -> None:
        self.stack, self.service, self._number = stack, service, number

    def observed(self) -> ObservedContainer:
        """The container as it is now. Raises UsageError when there is none."""
        mine = [one for one in self.stack.containers((self.service,)) if self._number in (0, one.number)]
        if not mine:
            which = f" #{self._number}" if self._number else ""
            raise UsageError(f"service {self.service} has no container{which}", hint="bring the stack up first")
        return min(mine, key=lambda one: one.number)

    @property
    def number(self) -> int:
        return self._number or self.observed().number

    @property
    def name(self) -> str:
        """The container's name on the machine."""
        return self.observed().name

    @property
    def status(self) -> str:
        """created, running, paused, restarting or stopped."""
        return self.observed().status

    @property
    def health(self) -> str:
        """starting, healthy or unhealthy; empty without a check."""
        return self.observed().health

    def inspect(self) -> State:
        """All that its shim knows: times, exit code, OOM, restarts, the last five results of the health check."""
        return read_state(Bundle(self.stack.roots, self.observed().id), boot_id())

    # -- where it is

    @property
    def ip(self) -> str:
        """Its address on its first network, reachable from the tests. Raises UsageError when it has none."""
        for endpoint in self.observed().endpoints:
            if endpoint.address:
                return endpoint.address
        raise UsageError(f"service {self.service} has no address", hint="is it running, and on a network?")

    def port(self, port: int = 0, protocol: str = "tcp") -> int:
        """The port on the host for the one inside; without a number, of the only one that is published."""
        return int(str(self._published(port, protocol)["PublishedPort"]))

    def address(self, port: int = 0, protocol: str = "tcp") -> tuple[str, int]:
        """Where to connect to from here: the published port, else the container's own address."""
        rows = published_ports(self.observed())
        if port and not any(row["TargetPort"] == port and row["Protocol"] == protocol for row in rows):
            return self.ip, port
        row = self._published(port, protocol)
        return _reachable(str(row["URL"])), int(str(row["PublishedPort"]))

    def url(self, port: int = 0, scheme: str = "http", path: str = "/") -> str:
        """``http://127.0.0.1:32768/`` for a port inside."""
        host, number = self.address(port)
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{number}/{path.lstrip('/')}"

    @property
    def host(self) -> str:
        """The address at which its published ports are."""
        rows = published_ports(self.observed())
        return _reachable(str(rows[0]["URL"])) if rows else self.ip

    def _published(self, port: int, protocol: str) -> dict[str, object]:
        rows = [row for row in published_ports(self.observed()) if row["Protocol"] == protocol]
        found = [row for row in rows if port in (0, row["TargetPort"])]
        if not found or (not port and len({row["TargetPort"] for row in found}) > 1):
            known = ", ".join(f"{row['TargetPort']}/{row['Protocol']}" for row in published_ports(self.observed()))
            wanted = f"{port}/{protocol}" if port else "one port"
            raise UsageError(f"service {self.service} does not publish {wanted}", hint=f"published: {known or 'none'}")
        return found[0]

    @contextmanager
    def netns(self) -> Iterator[None]:
        """The calling thread is in the container's network: ``localhost`` is the service's, and names are resolved as
        the container does (see :mod:`compose.testing.resolver`). Raises EngineError when it does not run."""
        from compose.testing.resolver import resolving
        from netplan.netns import inside

        one = self.observed()
        fd = self._open_netns(one.pid)
        try:
            with inside(fd), resolving(Bundle(self.stack.roots, one.id).resolv_conf):
                yield
        finally:
            os.close(fd)

    def _open_netns(self, pid: int) -> int:
        try:
            return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise EngineError(
                f"cannot enter the network of {self.service}: it is not running", hint="start it first"
            ) from error

    # -- running things in it

    def exec(
        self,
        command: str | Sequence[str],
        *,
        user: str = "",
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        stdin: str | bytes = "",
        timeout: float | None = 60.0,
        check: bool = False,
    ) -> ExecResult:
        """Run a command in the container; a string is split as a shell would, without one.

        ``check``: raise AssertionError when it does not exit with 0. Raises EngineError when it cannot be executed or
        takes longer than ``timeout`` seconds (it is killed).
        """
        from runtime.container import read_spec
        from runtime.spec import process_beside

        words = tuple(shlex.split(command)) if isinstance(command, str) else tuple(command)
        ident = self.observed().id
        base = read_spec(self.stack.roots, ident).process
        process = process_beside(base, words, env=env or {}, cwd=cwd, user=user)
        data = stdin.encode() if isinstance(stdin, str) else stdin
        result = _execute(self.stack, ident, process, words, data, timeout)
        return result.check() if check else result

    def logs(self, *, since: str | int | None = None, grep: str = "", tail: int | None = None) -> list[LogLine]:
        """Its lines; see :meth:`Stack.logs`."""
        from compose.testing.logs import log_lines

        return log_lines(self.stack, [self.observed()], since=since, grep=grep, tail=tail)

    # -- files

    def cp_to(self, source: str | os.PathLike[str], destination: str) -> None:
        """Copy a file or directory of the host into the container, as ``pycompose cp``."""
        from runtime.copy import copy_to

        _with_root(self, lambda root: copy_to(root, os.fspath(source), destination))

    def cp_from(self, source: str, destination: str | os.PathLike[str]) -> None:
        """Copy a file or directory of the container to the host."""
        from runtime.copy import copy_from

        _with_root(self, lambda root: copy_from(root, source, os.fspath(destination)))

    def read_text(self, path: str) -> str:
        """The text of a file in the container. Raises EngineError when there is none."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="pycompose-") as directory:
            target = os.path.join(directory, "file")
            self.cp_from(path, target)
            with open(target, encoding="utf-8", errors="replace", newline="") as file:
                return file.read()

    def write_text(self, path: str, text: str) -> None:
        """Write a file in the container, owned by root."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="pycompose-") as directory:
            source = os.path.join(directory, "file")
            with open(source, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            self.cp_to(source, path)

    @told
    def stats(self) -> Stats:
        """What it uses now: CPU nanoseconds, memory bytes, processes (runtime/cgroups/stats.py)."""
        from runtime.cgroups.manager import open_cgroup
        from runtime.cgroups.stats import read_stats

        return read_stats(open_cgroup(self.stack.roots, self.observed().id))


class Service(Replica):
    """A service. Questions are answered by its first container; verbs are done to all of them."""

    def __init__(self, stack: Stack, name: str) -> None:
        super().__init__(stack, name)

    @property
    def replicas(self) -> list[Replica]:
        """Its containers by number."""
        rows = sorted(one.number for one in self.stack.containers((self.service,)))
        return [Replica(self.stack, self.service, number) for number in rows]

    def start(self) -> None:
        """Start its stopped containers and wait for them."""
        self.stack.start(self.service)

    def stop(self, timeout: float | None = None) -> None:
        """Stop them; ``timeout`` seconds between the stop signal and SIGKILL."""
        self.stack.stop(self.service, timeout=timeout)

    def restart(self, timeout: float | None = None) -> None:
        """Stop, start, and wait until running or healthy."""
        self.stack.restart(self.service, timeout=timeout)

    def kill(self, signal: str = "SIGKILL") -> None:
        """Send a signal."""
        self.stack.kill(self.service, signal=signal)

    def pause(self) -> None:
        """Freeze its processes."""
        self.stack.pause(self.service)

    def unpause(self) -> None:
        """Let them go on."""
        self.stack.unpause(self.service)

    def scale(self, count: int) -> None:
        """Bring it to that many containers."""
        self.stack.scale(**{self.service: count})

    def run(self, command: str | Sequence[str] = (), **options: Any) -> ExecResult:
        """A one-off container of the service, to its end; it is removed. See :func:`compose.testing.oneoff.run`."""
        from compose.testing.oneoff import run

        return run(self.stack, self.service, command, **options)

    def wait_healthy(self, timeout: float | None = None) -> None:
        """Until all are healthy. Raises DependencyFailed with the last probe and the last lines of the log."""
        self._wait("healthy", timeout)

    def wait_exit(self, timeout: float | None = None) -> int:
        """Until all have ended; the exit code of the first."""
        self._wait("stopped", timeout)
        return self.observed().exit_code

    def wait_log(
        self, pattern: str, timeout: float = 30.0, *, since: str | int | None = None, count: int = 1
    ) -> LogLine:
        """The first (``count``-th) line that matches the regex, of the past too unless ``since`` says otherwise."""
        from compose.testing.logs import wait_log

        return wait_log(self.stack, self.service, pattern, timeout=timeout, since=since, count=count)

    def _wait(self, condition: str, timeout: float | None) -> None:
        from compose.testing.scope import wait_until

        idents = tuple(one.id for one in self.stack.containers((self.service,)))
        wait_until(self.stack, idents, condition, self.stack.timeout if timeout is None else timeout)


def _reachable(address: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(address, address)


@told
def _execute(
    stack: Stack, ident: str, process: Any, words: tuple[str, ...], stdin: bytes, timeout: float | None
) -> ExecResult:
    from compose.testing import scope
    from runtime.collect import collect

    found = collect(stack.roots, ident, process, stdin=stdin, timeout=timeout, cancel=scope.cancel_fd())
    scope.check()
    out, err = found.stdout.decode("utf-8", "replace"), found.stderr.decode("utf-8", "replace")
    if found.timed_out:
        raise EngineError(
            f"cannot wait longer for {' '.join(words)}: {timeout} s; it said:\n{out}{err}", hint="wait longer: timeout="
        )
    return ExecResult(words, found.exit_code, out, err, found.seconds)


@told
def _with_root(replica: Replica, work: Any) -> None:
    from runtime.opening import close_root, open_root

    root = open_root(replica.stack.roots, replica.observed().id)
    try:
        work(root)
    finally:
        close_root(root)
