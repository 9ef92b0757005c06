"""The executor: order, parallelism, failures, cancellation, waits, cost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from compose.errors import DependencyFailed, EngineError, Interrupted
from compose.events import StepFinished, StepStarted
from compose.execute.executor import Executor
from compose.plan.actions import Existing, PullImage, StartContainer, WaitFor
from compose.plan.intent import Intent
from compose.plan.plan import Plan, PlanBuilder, Step
from compose.plan.reconcile import reconcile
from tests.support.fake_engine import FakeEngine, Recorder
from tests.support.projects import project, service


class Calls:
    """An engine of which only start and wait are used; what they do is given."""

    def __init__(self, start: Any = None, wait: Any = None) -> None:
        self.started: list[str] = []
        self._start, self._wait = start, wait
        self._lock = threading.Lock()

    def start_container(self, ident: str) -> None:
        if self._start:
            self._start(ident)
        with self._lock:
            self.started.append(ident)

    def wait_until(self, idents: tuple[str, ...], condition: str, timeout: float | None = None) -> None:
        if self._wait:
            self._wait(idents)


def starts(*rows: tuple[str, tuple[int, ...]]) -> Plan:
    """A plan of starts; each row is (id, steps before); an id ``wait`` makes a wait."""
    builder = PlanBuilder()
    for ident, after in rows:
        wait = ident.startswith("wait")
        action = WaitFor(ident, (), "healthy", "?" not in ident) if wait else StartContainer(ident, Existing(ident))
        builder.add(action, "test", after)
    return builder.build("shop")


def run(engine: Any, plan: Plan, **options: Any) -> Any:
    return Executor(engine, options.pop("reporter", Recorder()), **options).run(plan)


def test_order_follows_the_edges() -> None:
    engine = Calls(start=lambda ident: time.sleep(0.002 if ident == "a" else 0))
    results = run(engine, starts(("a", ()), ("b", (1,)), ("c", (2,)), ("d", (1,))))
    assert engine.started.index("a") == 0
    assert engine.started.index("b") < engine.started.index("c")
    assert (sorted(results.done), results.skipped, results.failures) == ([1, 2, 3, 4], (), ())


def test_independent_steps_run_at_the_same_time() -> None:
    together = threading.Barrier(4, timeout=5)
    results = run(Calls(start=lambda _ident: together.wait()), starts(*(((name), ()) for name in "abcd")), workers=4)
    assert len(results.done) == 4


def test_no_more_threads_than_workers() -> None:
    lock, running, most = threading.Lock(), [0], [0]

    def start(_ident: str) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.003)
        with lock:
            running[0] -= 1

    run(Calls(start=start), starts(*((f"c{number}", ()) for number in range(20))), workers=3)
    assert most[0] == 3


def test_waits_take_no_worker() -> None:
    """Ten waits that end only when a container behind one worker has started: with one pool this would hang."""
    started = threading.Event()
    engine = Calls(start=lambda _ident: started.set(), wait=lambda _idents: started.wait(5) or pytest.fail("deadlock"))
    plan = starts(*((f"wait{number}", ()) for number in range(10)), ("a", ()), ("b", tuple(range(1, 12))))
    assert len(run(engine, plan, workers=1).done) == 12


def test_first_failure_stops_the_scheduling_and_running_steps_end() -> None:
    both = threading.Barrier(2, timeout=5)

    def start(ident: str) -> None:
        if ident in ("bad", "slow"):
            both.wait()
        if ident == "bad":
            raise EngineError("cannot start bad", hint="try", code=126)
        if ident == "slow":
            time.sleep(0.02)

    engine = Calls(start=start)
    results = run(engine, starts(("bad", ()), ("slow", ()), ("after bad", (1,)), ("after slow", (2,))))
    assert engine.started == ["slow"]
    assert (results.done, results.skipped) == ((2,), (3, 4))
    with pytest.raises(EngineError, match="cannot start bad") as caught:
        results.check()
    assert caught.value.code == 126


def test_all_errors_are_reported() -> None:
    both = threading.Barrier(2, timeout=5)

    def start(ident: str) -> None:
        both.wait()
        raise EngineError(f"cannot start {ident}", hint=f"hint {ident}", code=127)

    with pytest.raises(EngineError) as caught:
        run(Calls(start=start), starts(("a", ()), ("b", ()))).check()
    first = caught.value.message[-1]
    other = "b" if first == "a" else "a"
    assert (caught.value.hint, caught.value.code) == (f"hint {first}\n  also: cannot start {other}", 127)


def test_a_failure_does_not_wait_for_waits() -> None:
    forever = threading.Event()

    def start(_ident: str) -> None:
        raise EngineError("cannot start")

    began = time.monotonic()
    results = run(Calls(start=start, wait=lambda _idents: forever.wait(30)), starts(("wait", ()), ("a", ())))
    forever.set()
    assert time.monotonic() - began < 5
    assert len(results.failures) == 1


def test_optional_wait_only_warns() -> None:
    def wait(_idents: tuple[str, ...]) -> None:
        raise DependencyFailed("db is unhealthy")

    reporter = Recorder()
    results = run(Calls(wait=wait), starts(("wait?", ()), ("a", (1,))), reporter=reporter)
    results.check()
    assert results.done == (1, 2)
    assert reporter.notes() == ["wait? is not required: db is unhealthy"]


def test_required_wait_fails_with_the_engines_words() -> None:
    def wait(_idents: tuple[str, ...]) -> None:
        raise DependencyFailed("cannot start web: db exited with code 3", hint="its last lines: ...")

    with pytest.raises(DependencyFailed, match="db exited with code 3"):
        run(Calls(wait=wait), starts(("wait", ()), ("a", (1,)))).check()


def test_cancel_lets_running_steps_end_and_begins_none() -> None:
    inside, go = threading.Event(), threading.Event()

    def start(ident: str) -> None:
        if ident == "a":
            inside.set()
            go.wait(5)

    engine = Calls(start=start)
    executor = Executor(engine, Recorder())
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(executor.run(starts(("a", ()), ("b", (1,))))))
    thread.start()
    inside.wait(5)
    executor.cancel()
    go.set()
    thread.join(5)
    assert (engine.started, found[0].skipped, found[0].cancelled) == (["a"], (2,), True)
    with pytest.raises(Interrupted):
        found[0].check()


def test_cancel_leaves_a_transfer_at_once() -> None:
    inside, go = threading.Event(), threading.Event()

    class Transfers(Calls):
        def pull_image(self, reference: str, platform: str = "") -> None:
            inside.set()
            go.wait(10)

    executor = Executor(Transfers(), Recorder())
    plan = Plan("p", (Step(1, PullImage("a"), ""), Step(2, PullImage("b"), "", (1,))))
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(executor.run(plan)))
    thread.start()
    inside.wait(5)
    executor.cancel()
    thread.join(5)
    assert not thread.is_alive()
    go.set()
    with pytest.raises(Interrupted):
        found[0].check()


def test_cancelled_before_it_began() -> None:
    executor = Executor(Calls(), Recorder())
    executor.cancel()
    assert executor.run(starts(("a", ()))).skipped == (1,)


def test_keyboard_interrupt_cancels() -> None:
    def start(ident: str) -> None:
        if ident == "a":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)

    engine = Calls(start=start)
    results = run(engine, starts(("a", ()), ("b", (1,))))
    assert (engine.started, results.cancelled, results.skipped) == (["a"], True, (2,))


def test_second_keyboard_interrupt_leaves_at_once() -> None:
    forever = threading.Event()

    def start(_ident: str) -> None:
        for _time in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
        forever.wait(30)

    with pytest.raises(Interrupted, match="interrupted twice"):
        run(Calls(start=start), starts(("a", ())))
    forever.set()


def test_events_tell_each_step_once() -> None:
    reporter = Recorder()
    run(Calls(), starts(("a", ()), ("b", (1,))), reporter=reporter)
    assert [(type(event), event.number) for event in reporter.events] == [
        (StepStarted, 1),
        (StepFinished, 1),
        (StepStarted, 2),
        (StepFinished, 2),
    ]
    assert [event.error for event in reporter.events if isinstance(event, StepFinished)] == ["", ""]


def test_broken_reporter_ends_the_run_with_its_error() -> None:
    class Broken:
        def emit(self, _event: Any) -> None:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run(Calls(), starts(("a", ()), ("b", (1,))), reporter=Broken())


def test_a_whole_project_in_threads() -> None:
    world = FakeEngine("host", one_shots=("job",))
    desired = project(
        service("db", healthcheck={"test": ["CMD", "true"]}),
        service("job", "db:healthy"),
        service("web", "db:healthy", "job:completed", replicas=5),
    )
    plan = reconcile(desired, world.observe("shop", desired), Intent())
    results = run(world, plan)
    results.check()
    assert len(results.created) == 7
    assert sum(one.status == "running" for one in world.containers.values()) == 6


def test_hundred_and_fifty_steps_cost_less_than_ten_milliseconds() -> None:
    class Nothing:
        def start_container(self, _ident: str) -> None:
            pass

    class Silent:
        def emit(self, _event: Any) -> None:
            pass

    rows = []
    for number in range(50):
        first = number * 3 + 1
        rows += [(f"{number}a", ()), (f"{number}b", (first,)), (f"{number}c", (first + 1,))]
    plan = starts(*rows)
    costs = []
    for _time in range(15):
        began = time.perf_counter()
        results = Executor(Nothing(), Silent()).run(plan)  # type: ignore[arg-type]
        costs.append(time.perf_counter() - began)
        assert len(results.done) == 150
    assert min(costs) < 0.010


@pytest.mark.parametrize(
    ("at", "ends"),
    [
        ("before:start", 0),
        ("after:start:2", 2),
        ("before:container.start:3", 2),
        ("before:StartContainer:2", 1),
        ("before:stop", 3),
    ],
)
def test_crash_hook_kills_the_process_there(at: str, ends: int) -> None:
    code = """
import os, sys
from compose.execute.executor import Executor
from compose.plan.actions import Existing, StartContainer
from compose.plan.plan import PlanBuilder
class Engine:
    def start_container(self, ident): os.write(1, b"x")
class Silent:
    def emit(self, event): pass
builder = PlanBuilder()
for number in range(3):
    builder.add(StartContainer("a", Existing("a")), "", (number,))
Executor(Engine(), Silent()).run(builder.build("shop"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYCOMPOSE_CRASH_AT": at}, capture_output=True, check=False
    )
    assert len(done.stdout) == ends
    assert done.returncode == (-signal.SIGKILL if ends < 3 else 0), done.stderr
