"""Steps that take a running container to stopped, disconnected and, if asked, removed."""

from __future__ import annotations

from compose.plan.actions import Disconnect, Existing, RemoveContainer, StopContainer
from compose.plan.hooks import pre_stop
from compose.plan.world import is_live, short_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from compose.plan.observed import ObservedContainer
    from compose.plan.plan import PlanBuilder


def take_down(
    builder: PlanBuilder,
    project: str,
    container: ObservedContainer,
    reason: str,
    *,
    after: Iterable[int] = (),
    timeout: float | None = None,
    volumes: bool = False,
    disconnect: bool = True,
) -> int:
    """Steps that stop, disconnect and remove a container; the number of the last."""
    last = halt(builder, project, container, reason, after=after, timeout=timeout, disconnect=disconnect)
    target, name = Existing(container.id), short_name(project, container)
    force = container.status in ("creating", "created")
    return builder.add(RemoveContainer(name, target, volumes, force), reason, (last,) if last else after)


def halt(
    builder: PlanBuilder,
    project: str,
    container: ObservedContainer,
    reason: str,
    *,
    after: Iterable[int] = (),
    timeout: float | None = None,
    disconnect: bool = True,
) -> int:
    """Steps that stop and disconnect a container as far as it needs it; the number of the last, or 0."""
    target, name = Existing(container.id), short_name(project, container)
    last = 0
    if is_live(container):
        after = pre_stop(builder, container, name, target, after)
        last = builder.add(StopContainer(name, target, timeout), reason, after)
    if disconnect and container.endpoints:
        last = builder.add(Disconnect(name, target), reason, (last,) if last else after)
    return last
