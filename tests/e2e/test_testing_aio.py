"""Stacks for asyncio: cancelled at any moment, nothing goes on behind the task's back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compose.testing import AsyncStack, Stack
from tests.e2e.stacks import TWO, stack_of
from tests.support.cli import Machine, eventually

NEVER = """
services:
  web:
    image: busybox:test
    command: sleep 60
    stop_signal: SIGKILL
    healthcheck: {test: ["CMD", "false"], interval: 50ms, retries: 100000}
  later: {image: "busybox:test", command: sleep 60, depends_on: {web: {condition: service_healthy}}}
"""


@pytest.fixture(scope="module")
def two(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AsyncStack]:
    with stack_of(machine, tmp_path_factory.mktemp("aio"), TWO) as stack:
        yield stack.aio


def cut_off(work: Callable[[], Awaitable[Any]], after: float = 0.5) -> float:
    """Run it in a loop of its own and cancel it; seconds until the loop was closed."""

    async def main() -> None:
        async with asyncio.timeout(after):
            await work()

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(main())
    return time.monotonic() - began - after


def processes(stack: AsyncStack, service: str = "web") -> str:
    return stack.sync[service].exec("ps -o args").stdout


def test_a_command_is_killed_with_its_task(two: AsyncStack) -> None:
    assert cut_off(lambda: two["web"].exec("sleep 4321")) < 2
    eventually(lambda: "sleep 4321" not in processes(two))


@pytest.mark.parametrize(
    "wait",
    [
        lambda stack: stack["web"].wait_log("it never says that", timeout=60),
        lambda stack: stack["web"].wait_exit(timeout=60),
        lambda stack: stack["web"].run("sleep 4321"),
    ],
    ids=["log", "exit", "run"],
)
def test_a_wait_ends_with_its_task(two: AsyncStack, wait: Callable[[AsyncStack], Awaitable[Any]]) -> None:
    before = [one.name for one in two.sync.observe().containers]
    assert cut_off(lambda: wait(two)) < 3
    assert [one.name for one in two.sync.observe().containers] == before  # the one-off container is gone


def test_a_stack_that_is_cancelled_while_it_comes_up_is_gone(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYCOMPOSE_STATE_DIR", machine.state)
    monkeypatch.setenv("PYCOMPOSE_RUN_DIR", machine.run)
    (tmp_path / "compose.yaml").write_text(NEVER)
    stack = Stack(directory=tmp_path, timeout=60)

    async def use() -> None:
        async with stack.aio:
            pytest.fail("it is never healthy")

    assert cut_off(use, 1.0) < 5
    assert stack.observe().containers == ()
    stack.close()
    assert not Path(machine.state, "leases", f"{stack.name}.json").exists()


def test_down_is_finished_whatever_happens(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYCOMPOSE_STATE_DIR", machine.state)
    monkeypatch.setenv("PYCOMPOSE_RUN_DIR", machine.run)
    (tmp_path / "compose.yaml").write_text(NEVER.split("    healthcheck")[0])
    stack = Stack(directory=tmp_path)

    async def main() -> None:
        async with stack.aio:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_later(0.01, task.cancel)  # in the middle of down

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert stack.observe().containers == ()
    stack.close()


def test_faults_end_with_their_block(two: AsyncStack) -> None:
    async def main() -> list[int]:
        async def ping() -> int:
            return (await two["db"].exec(f"ping -c 1 -W 1 {two['web'].ip}")).exit_code

        codes = [await ping()]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5), two.faults.partition("db", "web"):
                codes.append(await ping())
                await asyncio.sleep(60)
        codes.append(await ping())
        return codes

    assert asyncio.run(main()) == [0, 1, 0]
    assert two.sync.faults.active == []


def test_coroutines_have_fixtures(machine: Machine, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("anyio", reason="anyio is not installed")
    monkeypatch.setenv("PYCOMPOSE_STATE_DIR", machine.state)
    monkeypatch.setenv("PYCOMPOSE_RUN_DIR", machine.run)
    (pytester.path / "compose.yaml").write_text(TWO)
    pytester.makepyfile(
        """
        import anyio, pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.fixture
        async def ready(aio_compose):
            await aio_compose["web"].wait_log("serving")
            return aio_compose

        @pytest.mark.anyio
        async def test_it(ready, aio_stack, stack):
            assert aio_stack.sync is stack is ready.sync
            await aio_stack["web"].write_text("/data/a", "a")
            with anyio.move_on_after(0.3) as scope:
                await aio_stack["web"].exec("sleep 60")
            assert scope.cancelled_caught

        @pytest.mark.anyio
        async def test_clean(aio_stack):
            assert (await aio_stack["web"].exec("ls /data")).stdout == ""
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=120)
    result.assert_outcomes(passed=2)
