"""Several layers of one image at a time: threads that take the next number until there is none, or one has failed."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")


def in_turn(
    count: int,
    workers: int,
    one: Callable[[int], T],
    *,
    slots: threading.Semaphore | None = None,
    errors: list[BaseException] | None = None,
) -> list[T]:
    """``one(0)`` to ``one(count - 1)``, begun in that order, ``workers`` at a time; what they gave, in that order.

    ``slots``: a limit shared with others, waited for **before** a number is taken, so that no lower number waits for a
    slot that a higher one holds. ``errors``: the list to fill, for who wants to see them earlier. Raises the first
    error; then nothing more is begun.
    """
    slots = slots or threading.Semaphore(max(1, workers))
    found: dict[int, T] = {}
    errors = [] if errors is None else errors
    numbers = iter(range(count))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with slots:
                with lock:
                    number = -1 if errors else next(numbers, -1)
                if number < 0:
                    return
                try:
                    found[number] = one(number)
                except BaseException as error:  # noqa: BLE001 -- raised again below
                    if error not in errors:
                        errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _each in range(min(workers, count) - 1)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [found[number] for number in range(count)]
