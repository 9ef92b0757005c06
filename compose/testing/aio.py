"""The same stack for ``asyncio``: every method in a thread, so that the event loop goes on.

A task that is cancelled (``asyncio.timeout``, a task group, Ctrl-C) ends what it waits for, and only then goes on: a
command in a container is killed, a wait ends, ``up`` begins no further step and is taken down by ``async with``. What
clears up, :meth:`AsyncStack.down`, is finished whatever happens.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING

from compose.testing.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Any, TypeVar

    from compose.plan.plan import Plan
    from compose.testing.faults import Faults
    from compose.testing.results import ExecResult, LogLine, StackEvent
    from compose.testing.service import Replica, Service
    from compose.testing.stack import Stack

    T = TypeVar("T")


async def call(work: Callable[..., T], *args: Any, _whole: bool = False, **options: Any) -> T:
    """``work(...)`` in a thread; when the task is cancelled it is ended, or with ``_whole`` waited for."""
    loop, scope, context = asyncio.get_running_loop(), Scope(), contextvars.copy_context()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        scope.close()
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def body() -> None:
        result, error = None, None
        try:
            with scope.here():
                result = context.run(work, *args, **options)
        except BaseException as caught:  # noqa: BLE001 -- raised again by who waits
            error = caught
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            scope.close()  # the loop was closed over it

    threading.Thread(target=body, daemon=True).start()  # not the loop's executor, which would end with a slow call
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if not _whole and not future.done():
            scope.cancel()
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue  # it is being ended already
        future.exception()  # nobody else asks
        raise


class AsyncStack:
    """``async with Stack("compose.yaml").aio as stack:``. ``stack.sync`` is the stack itself."""

    def __init__(self, stack: Stack) -> None:
        self.sync = stack

    async def __aenter__(self) -> AsyncStack:
        try:
            await call(self.sync.up)
        except BaseException:
            await self.down()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        await self.down()

    @property
    def name(self) -> str:
        return self.sync.name

    async def up(self) -> AsyncStack:
        await call(self.sync.up)
        return self

    async def down(self, timeout: float | None = 0) -> None:
        await call(self.sync.down, timeout, _whole=True)

    async def start(self, *services: str) -> None:
        await call(self.sync.start, *services)

    async def stop(self, *services: str, timeout: float | None = None) -> None:
        await call(self.sync.stop, *services, timeout=timeout)

    async def restart(self, *services: str, timeout: float | None = None) -> None:
        await call(self.sync.restart, *services, timeout=timeout)

    async def kill(self, *services: str, signal: str = "SIGKILL") -> None:
        await call(self.sync.kill, *services, signal=signal)

    async def pause(self, *services: str) -> None:
        await call(self.sync.pause, *services)

    async def unpause(self, *services: str) -> None:
        await call(self.sync.unpause, *services)

    async def scale(self, **counts: int) -> None:
        await call(lambda: self.sync.scale(**counts))

    async def wait(self, *services: str, timeout: float | None = None) -> None:
        await call(self.sync.wait, *services, timeout=timeout)

    async def reset(self, level: str = "", timeout: float | None = None) -> None:
        await call(self.sync.reset, level, timeout, _whole=True)  # half of a reset is nobody's state

    async def exec(self, service: str, command: str | Sequence[str], **options: Any) -> ExecResult:
        return await call(self.sync.exec, service, command, **options)

    async def logs(self, *services: str, **options: Any) -> list[LogLine]:
        return await call(self.sync.logs, *services, **options)

    async def plan(self) -> Plan:
        return await call(self.sync.plan)

    def events(self, since: float = 0.0) -> list[StackEvent]:
        return self.sync.events(since)

    @property
    def faults(self) -> AsyncFaults:
        """Break things for a while: ``async with stack.faults.partition("web", "db"):``."""
        return AsyncFaults(self.sync.faults)

    @property
    def services(self) -> Mapping[str, AsyncService]:
        return {name: AsyncService(one) for name, one in self.sync.services.items()}

    def service(self, name: str) -> AsyncService:
        return AsyncService(self.sync.service(name))

    def __getitem__(self, name: str) -> AsyncService:
        return self.service(name)


class AsyncService:
    """A service for ``asyncio``. What only looks (``url``, ``port``, ``ip``, ``status``) is at hand here, too."""

    def __init__(self, service: Service) -> None:
        self.sync = service

    async def exec(self, command: str | Sequence[str], **options: Any) -> ExecResult:
        return await call(self.sync.exec, command, **options)

    async def run(self, command: str | Sequence[str] = (), **options: Any) -> ExecResult:
        return await call(self.sync.run, command, **options)

    async def logs(self, **options: Any) -> list[LogLine]:
        return await call(self.sync.logs, **options)

    async def wait_log(self, pattern: str, timeout: float = 30.0, **options: Any) -> LogLine:
        return await call(self.sync.wait_log, pattern, timeout, **options)

    async def wait_healthy(self, timeout: float | None = None) -> None:
        await call(self.sync.wait_healthy, timeout)

    async def wait_exit(self, timeout: float | None = None) -> int:
        return await call(self.sync.wait_exit, timeout)

    async def start(self) -> None:
        await call(self.sync.start)

    async def stop(self, timeout: float | None = None) -> None:
        await call(self.sync.stop, timeout)

    async def restart(self, timeout: float | None = None) -> None:
        await call(self.sync.restart, timeout)

    async def kill(self, signal: str = "SIGKILL") -> None:
        await call(self.sync.kill, signal)

    async def pause(self) -> None:
        await call(self.sync.pause)

    async def unpause(self) -> None:
        await call(self.sync.unpause)

    async def scale(self, count: int) -> None:
        await call(self.sync.scale, count)

    async def cp_to(self, source: str, destination: str) -> None:
        await call(self.sync.cp_to, source, destination)

    async def cp_from(self, source: str, destination: str) -> None:
        await call(self.sync.cp_from, source, destination)

    async def read_text(self, path: str) -> str:
        return await call(self.sync.read_text, path)

    async def write_text(self, path: str, text: str) -> None:
        await call(self.sync.write_text, path, text)

    def url(self, port: int = 0, scheme: str = "http", path: str = "/") -> str:
        return self.sync.url(port, scheme, path)

    def port(self, port: int = 0, protocol: str = "tcp") -> int:
        return self.sync.port(port, protocol)

    def address(self, port: int = 0, protocol: str = "tcp") -> tuple[str, int]:
        return self.sync.address(port, protocol)

    @property
    def host(self) -> str:
        return self.sync.host

    @property
    def ip(self) -> str:
        return self.sync.ip

    @property
    def status(self) -> str:
        return self.sync.status

    @property
    def replicas(self) -> list[Replica]:
        return self.sync.replicas


class AsyncFaults:
    """Faults for ``asyncio``: each is ``async with``, and healed at its end however that comes."""

    def __init__(self, faults: Faults) -> None:
        self.sync = faults

    def pause(self, service: str) -> _Fault:
        return _Fault(lambda: self.sync.pause(service))

    def disconnect(self, service: str) -> _Fault:
        return _Fault(lambda: self.sync.disconnect(service))

    def partition(self, one: str, other: str) -> _Fault:
        return _Fault(lambda: self.sync.partition(one, other))

    def loss(self, service: str, percent: float) -> _Fault:
        return _Fault(lambda: self.sync.loss(service, percent))

    def latency(self, service: str, ms: float, jitter: float = 0.0) -> _Fault:
        return _Fault(lambda: self.sync.latency(service, ms, jitter))

    async def kill(self, service: str, signal: str = "SIGKILL") -> None:
        await call(self.sync.kill, service, signal, _whole=True)

    async def heal(self) -> None:
        await call(self.sync.heal, _whole=True)


class _Fault:
    """Begins with ``async with``."""

    def __init__(self, begin: Callable[[], AbstractContextManager[None]]) -> None:
        self._begin = begin
        self._open: list[AbstractContextManager[None]] = []

    def _enter(self) -> None:
        fault = self._begin()
        fault.__enter__()
        self._open.append(fault)

    async def __aenter__(self) -> None:
        try:
            await call(self._enter, _whole=True)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        while self._open:
            await call(self._open.pop().__exit__, None, None, None, _whole=True)
