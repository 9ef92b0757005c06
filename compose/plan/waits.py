"""Waiting as steps of the plan: one per dependency and condition, shared by all who depend on it."""

from __future__ import annotations

from compose.plan.actions import Existing, WaitFor
from compose.plan.decide import edges_among
from compose.plan.select import dependents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.plan.actions import Target
    from compose.plan.desired import Dependency, Desired, DesiredService
    from compose.plan.intent import Intent
    from compose.plan.observed import ObservedContainer
    from compose.plan.plan import PlanBuilder

CONDITIONS = {
    "service_healthy": "healthy",
    "service_completed_successfully": "completed",
    "service_started": "started",
}


class Gate:
    """Knows the containers of each service as the plan leaves them, and what a dependent has to come after."""

    def __init__(self, builder: PlanBuilder, desired: Desired, intent: Intent, selected: set[str]) -> None:
        self._builder = builder
        self._intent = intent
        self._selected = selected
        self._dependents = dependents(desired)
        self._members: dict[str, list[Target]] = {}
        self._steps: dict[str, list[int]] = {}
        self._there: dict[Existing, ObservedContainer] = {}
        self._waits: dict[tuple[str, str, bool], int] = {}

    def note(self, service: str, target: Target, steps: list[int], container: ObservedContainer | None) -> None:
        """A container of the service: it runs after ``steps``; ``container`` when it runs already or is left alone."""
        self._members.setdefault(service, []).append(target)
        self._steps.setdefault(service, []).extend(steps)
        if container is not None and isinstance(target, Existing):
            self._there[target] = container

    def provided(self, service: str, step: int) -> None:
        """A service without containers is there after ``step``, whatever the condition its dependents wait for."""
        self._steps[service] = [step]

    def first(self, service: str) -> Target | None:
        """The service's container with the lowest number, whose namespaces others share."""
        members = self._members.get(service)
        return members[0] if members else None

    def started_steps(self, service: str) -> list[int]:
        """The steps after which all containers of the service run."""
        return self._steps.get(service, [])

    def steps(self, service: DesiredService) -> list[int]:
        """What a start of the service comes after: starts of its dependencies, or waits for them."""
        needed = []
        for edge in edges_among(service, self._selected):
            if edge.condition == "service_started" or edge.service not in self._members:
                needed += self.started_steps(edge.service)
            else:
                needed.append(self._wait(edge))
        return needed

    def _wait(self, edge: Dependency) -> int:
        condition = CONDITIONS[edge.condition]
        key = (edge.service, condition, edge.required)
        if key not in self._waits:
            self._waits[key] = 0 if self._met(edge.service, condition) else self._add(edge, condition)
        return self._waits[key]

    def _add(self, edge: Dependency, condition: str) -> int:
        names = [
            service.name
            for service, other in self._dependents[edge.service]
            if (other.condition, other.required) == (edge.condition, edge.required) and service.name in self._asking()
        ]
        word = "required by" if edge.required else "wanted, not required, by"
        action = WaitFor(edge.service, tuple(self._members[edge.service]), condition, edge.required)
        return self._builder.add(action, f"{condition}, {word} {', '.join(names)}", self._steps[edge.service])

    def _asking(self) -> set[str]:
        oneoff = self._intent.oneoff
        return self._selected | {oneoff.service} if oneoff else self._selected

    def _met(self, service: str, condition: str) -> bool:
        """Whether there is nothing to wait for: no containers, or all as they should be already."""
        members = self._members.get(service, [])
        return all(self._is(target, condition) for target in members)

    def _is(self, target: Target, condition: str) -> bool:
        container = self._there.get(target) if isinstance(target, Existing) else None
        if container is None:
            return False
        if condition == "completed":
            return container.status == "stopped" and container.exit_code == 0
        running = container.status == "running" and container.supervised
        if condition == "healthy":
            return running and container.health == "healthy"
        done = container.status == "stopped" and container.exit_code == 0
        return (running and container.health in ("", "healthy")) or (condition == "running_or_healthy" and done)

    def wait_for_all(self, order: tuple[str, ...]) -> None:
        """The last steps of ``up --wait``: every service running or healthy, one-shots that others need completed."""
        for name in order:
            once = any(
                edge.condition == "service_completed_successfully" for _service, edge in self._dependents.get(name, ())
            )
            condition = "completed" if once else "running_or_healthy"
            if self._met(name, condition):
                continue
            action = WaitFor(name, tuple(self._members[name]), condition, True, self._intent.wait_timeout)
            word = "completed" if once else "running or healthy"
            self._builder.add(action, f"{word}, asked for by --wait", self._steps[name])
