"""The same stack for ``asyncio``: every method in a thread, so that the event loop goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Any

    from compose.testing.results import ExecResult, LogLine
    from compose.testing.service import Service
    from compose.testing.stack import Stack


class AsyncStack:
    """``async with Stack("compose.yaml").aio as stack:``. ``stack.sync`` is the stack itself."""

    def __init__(self, stack: Stack) -> None:
        self.sync = stack

    async def __aenter__(self) -> AsyncStack:
        await asyncio.to_thread(self.sync.__enter__)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.to_thread(self.sync.down))

    async def up(self) -> AsyncStack:
        await asyncio.to_thread(self.sync.up)
        return self

    async def down(self, timeout: float | None = 0) -> None:
        await asyncio.to_thread(self.sync.down, timeout)

    async def restart(self, *services: str, timeout: float | None = None) -> None:
        await asyncio.to_thread(self.sync.restart, *services, timeout=timeout)

    async def scale(self, **counts: int) -> None:
        await asyncio.to_thread(self.sync.scale, **counts)

    async def wait(self, *services: str, timeout: float | None = None) -> None:
        await asyncio.to_thread(self.sync.wait, *services, timeout=timeout)

    async def reset(self, level: str = "", timeout: float | None = None) -> None:
        await asyncio.to_thread(self.sync.reset, level, timeout)

    async def exec(self, service: str, command: str | Sequence[str], **options: Any) -> ExecResult:
        return await asyncio.to_thread(self.sync.exec, service, command, **options)

    async def logs(self, *services: str, **options: Any) -> list[LogLine]:
        return await asyncio.to_thread(self.sync.logs, *services, **options)

    @property
    def services(self) -> Mapping[str, AsyncService]:
        return {name: AsyncService(one) for name, one in self.sync.services.items()}

    def service(self, name: str) -> AsyncService:
        return AsyncService(self.sync.service(name))

    def __getitem__(self, name: str) -> AsyncService:
        return self.service(name)


class AsyncService:
    """A service for ``asyncio``; where it is (``url``, ``port``, ``ip``) is asked of ``service.sync``."""

    def __init__(self, service: Service) -> None:
        self.sync = service

    async def exec(self, command: str | Sequence[str], **options: Any) -> ExecResult:
        return await asyncio.to_thread(self.sync.exec, command, **options)

    async def run(self, command: str | Sequence[str] = (), **options: Any) -> ExecResult:
        return await asyncio.to_thread(self.sync.run, command, **options)

    async def logs(self, **options: Any) -> list[LogLine]:
        return await asyncio.to_thread(self.sync.logs, **options)

    async def wait_log(self, pattern: str, timeout: float = 30.0, **options: Any) -> LogLine:
        return await asyncio.to_thread(self.sync.wait_log, pattern, timeout, **options)

    async def wait_healthy(self, timeout: float | None = None) -> None:
        await asyncio.to_thread(self.sync.wait_healthy, timeout)

    async def wait_exit(self, timeout: float | None = None) -> int:
        return await asyncio.to_thread(self.sync.wait_exit, timeout)

    async def start(self) -> None:
        await asyncio.to_thread(self.sync.start)

    async def stop(self, timeout: float | None = None) -> None:
        await asyncio.to_thread(self.sync.stop, timeout)

    async def restart(self, timeout: float | None = None) -> None:
        await asyncio.to_thread(self.sync.restart, timeout)

    async def kill(self, signal: str = "SIGKILL") -> None:
        await asyncio.to_thread(self.sync.kill, signal)

    async def pause(self) -> None:
        await asyncio.to_thread(self.sync.pause)

    async def unpause(self) -> None:
        await asyncio.to_thread(self.sync.unpause)

    def url(self, port: int = 0, scheme: str = "http", path: str = "/") -> str:
        return self.sync.url(port, scheme, path)
