"""Tests that share a stack, and one that wants to be alone with it. Each Turns stands for a worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from compose.errors import UsageError
from compose.testing.turns import Turns
from tests.support.cli import eventually

Make = Callable[[], Turns]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as all_of_them:

        def make() -> Turns:
            one = Turns(f"{tmp_path}/stem", "t-shop")
            all_of_them.callback(one.close)
            return one

        yield make


class Asking(threading.Thread):
    """Wants to be alone; ``alone`` is set while it is, until ``done`` is."""

    def __init__(self, turns: Turns, timeout: float = 10) -> None:
        super().__init__(daemon=True)
        self.turns, self.timeout = turns, timeout
        self.alone, self.done = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with self.turns.alone(self.timeout):
            self.alone.set()
            self.done.wait(10)
        self.alone.clear()

    def end(self) -> None:
        self.done.set()
        self.join(10)
        assert not self.is_alive()


def test_alone_is_when_the_others_tests_have_ended(worker: Make) -> None:
    one, two, three = worker(), worker(), worker()
    for number, turns in enumerate((one, two, three)):
        turns.enter(f"test {number}")
        turns.enter("again")
    asking = Asking(one)
    two.leave()
    two.leave()
    assert not asking.alone.wait(0.1)
    three.leave()
    assert asking.alone.wait(5)
    asking.end()


def test_a_test_that_begins_waits_for_who_waits_to_be_alone(worker: Make) -> None:
    one, two, three = worker(), worker(), worker()
    one.enter("one")
    two.enter("two")
    asking = Asking(one)
    time.sleep(0.05)
    beginning = threading.Thread(target=three.enter, args=("three",), daemon=True)
    beginning.start()
    beginning.join(0.1)
    assert beginning.is_alive() and not asking.alone.is_set()
    two.leave()
    assert asking.alone.wait(5)
    assert beginning.is_alive()
    asking.end()
    beginning.join(5)
    assert not beginning.is_alive()


def test_two_that_want_to_be_alone_are_it_one_after_the_other(worker: Make) -> None:
    one, two = worker(), worker()
    one.enter("one")
    two.enter("two")
    first, second = Asking(one), Asking(two)
    eventually(lambda: first.alone.is_set() or second.alone.is_set())
    if second.alone.is_set():
        first, second = second, first
    assert not second.alone.wait(0.1)
    first.end()
    assert not second.alone.wait(0.1)  # the first one's test goes on, with what it has reset
    first.turns.leave()
    assert second.alone.wait(5)
    second.end()


def test_who_gives_up_hinders_nobody_and_still_uses_the_stack(worker: Make) -> None:
    one, two, three = worker(), worker(), worker()
    one.enter("one")
    two.enter("two")
    with pytest.raises(UsageError, match=r"cannot reset stack t-shop: after 0\.1 s it is used by another worker"):
        with one.alone(0.1):
            pytest.fail("it was not alone")
    three.enter("three")  # at once: the gate is open
    three.leave()
    two.leave()
    asking = Asking(three)
    assert not asking.alone.wait(0.1)  # for one uses it
    one.leave()
    assert asking.alone.wait(5)
    asking.end()
    assert not asking.alone.is_set()
