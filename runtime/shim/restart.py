"""Restart policy: whether and when a container starts again. Pure; rules as Docker's restart manager."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec import Restart

FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
SETTLED_AFTER = 10.0  # a run of this many seconds resets the delay


def should_restart(policy: Restart, *, exit_code: int, restarts: int, manual: bool) -> bool:
    """Whether the policy asks for another run after an exit. ``manual``: a command stopped or killed it."""
    if manual:
        return False
    if policy.name in ("always", "unless-stopped"):
        return True
    if policy.name == "on-failure":
        return exit_code != 0 and (policy.max_retries == 0 or restarts < policy.max_retries)
    return False


def next_delay(previous: float, ran_for: float) -> float:
    """Seconds to wait before the next run: 100 ms, doubled each time, at most a minute; reset by a run of 10 s."""
    if previous <= 0 or ran_for >= SETTLED_AFTER:
        return FIRST_DELAY
    return min(previous * 2, LONGEST_DELAY)
