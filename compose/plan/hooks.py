"""Lifecycle hooks as steps: commands inside a container after its start and before its stop."""

from __future__ import annotations

from compose.plan.actions import PostStart, PreStop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from compose.plan.actions import Target
    from compose.plan.desired import DesiredService
    from compose.plan.observed import ObservedContainer
    from compose.plan.plan import PlanBuilder

PHASES = ("post_start", "pre_stop")  # that run inside the container


def post_start(builder: PlanBuilder, service: DesiredService, label: str, target: Target, started: int) -> int:
    """The step after which a container counts as started: its start, or the last of its ``post_start`` commands."""
    rows = service.config.get("post_start")
    return builder.add(PostStart(label, target), _commands(len(rows)), (started,)) if rows else started


def pre_stop(
    builder: PlanBuilder, container: ObservedContainer, label: str, target: Target, after: Iterable[int]
) -> Iterable[int]:
    """What the stop of a container comes after. Nothing can be executed in one that is paused or between two runs."""
    if "pre_stop" not in container.hooks or container.status != "running":
        return after
    return (builder.add(PreStop(label, target), "before its stop", after),)


def _commands(count: int) -> str:
    return "1 command" if count == 1 else f"{count} commands"
