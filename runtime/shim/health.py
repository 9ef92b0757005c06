"""The health check's state machine. Pure: the caller runs the probes and owns the clock (seconds, monotonic).

Rules as Docker's monitor: the first probe comes one interval after the start, the interval counts from the end of a
probe, inside the start period failures do not count and the start interval is used, one success makes healthy.
Beyond Docker: until the first of those probes is due, early ones look at doubling times (30 ms, 60, 120 ...), so that
what waits for a quick service does not wait for its interval; their failures do not count.
"""

from __future__ import annotations

from runtime.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec import Health

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
SECOND = 1_000_000_000
OUTPUT_LIMIT = 4096
KEPT_RESULTS = 5
EARLIEST = 0.03


@record
class Schedule:
    """A health check with Docker's defaults filled in; seconds."""

    interval: float
    timeout: float
    start_period: float
    start_interval: float
    retries: int


@record
class Condition:
    """Where the check stands."""

    status: str = STARTING
    streak: int = 0


def schedule(health: Health) -> Schedule:
    return Schedule(
        interval=(health.interval or 30 * SECOND) / SECOND,
        timeout=(health.timeout or 30 * SECOND) / SECOND,
        start_period=health.start_period / SECOND,
        start_interval=(health.start_interval or 5 * SECOND) / SECOND,
        retries=health.retries or 3,
    )


def first_counted(plan: Schedule) -> float:
    """Seconds after the start at which Docker's first probe is due."""
    return min(plan.start_interval, plan.interval) if plan.start_period > 0 else plan.interval


def wait_before_probe(plan: Schedule, condition: Condition, since_start: float) -> float:
    """Seconds from now (the start, or the end of a probe) to the next probe."""
    if condition.status == STARTING:
        due = first_counted(plan) - since_start
        if due > 0:
            return min(max(since_start, EARLIEST), due)
        if since_start < plan.start_period:
            return min(plan.start_interval, plan.interval)
    return plan.interval


def after_probe(plan: Schedule, condition: Condition, *, ok: bool, began_since_start: float) -> Condition:
    """The condition after a probe that began so many seconds after the container's start."""
    if ok:
        return Condition(HEALTHY, 0)
    early = began_since_start < max(plan.start_period, first_counted(plan))
    if condition.status == STARTING and early:
        return condition
    streak = condition.streak + 1
    if streak >= plan.retries:
        return Condition(UNHEALTHY, streak)
    return replace(condition, streak=streak)


def shorten(output: str) -> str:
    """A probe's output as it is kept."""
    return output if len(output) <= OUTPUT_LIMIT else output[:OUTPUT_LIMIT] + "..."
