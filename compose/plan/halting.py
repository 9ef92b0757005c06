"""The stops of a plan that come before all else: of what is restarted, and of who is on a network that is made anew."""

from __future__ import annotations

from compose.plan.decide import Keep, Replace, Retire, restart_dependents
from compose.plan.halt import halt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from compose.plan.decide import Decision, Decisions
    from compose.plan.desired import Desired
    from compose.plan.intent import Intent
    from compose.plan.observed import Observed, ObservedContainer
    from compose.plan.plan import PlanBuilder


class Halts:
    """``done``: container id -> the step that took it off its networks."""

    def __init__(self, builder: PlanBuilder, desired: Desired, intent: Intent, decisions: Decisions) -> None:
        self.done: dict[str, int] = {}
        self._builder = builder
        self._desired = desired
        self._intent = intent
        self._decisions = decisions
        self._before = restart_dependents(desired)
        self._of: dict[str, list[int]] = {}  # service -> its steps in done

    def of_dependents(self, service: str) -> list[int]:
        """The stops of those that depend on the service, which come before its own."""
        return [step for other in self._before.get(service, ()) for step in self._of.get(other, ())]

    def all_first(self, observed: Observed) -> dict[str, list[int]]:
        """Stop what is restarted, and what is on a network that is made anew: dependents first.

        Returns, for each such network, the steps after which nobody is on it.
        """
        emptied: dict[str, list[int]] = {name: [] for name in self._decisions.remade}
        for name in reversed(self._desired.order):
            for row in self._decisions.of[name]:
                for container, reason in _early(row, self._decisions.remade):
                    self._halt(name, container, reason)
        services = {service.name for service in self._desired.services}
        for container in observed.containers:
            on = [one.network for one in container.endpoints if one.network in emptied]
            if on and container.id not in self.done and (container.oneoff or container.service not in services):
                self._halt(container.service, container, f"network {self._decisions.remade[on[0]]} is made anew")
            for network in on:
                if container.id in self.done:
                    emptied[network].append(self.done[container.id])
        return emptied

    def _halt(self, service: str, container: ObservedContainer, reason: str) -> None:
        after = self.of_dependents(service)
        step = halt(self._builder, self._desired.project, container, reason, after=after, timeout=self._intent.timeout)
        if step:
            self.done[container.id] = step
            self._of.setdefault(service, []).append(step)


def _early(row: Decision, networks: Mapping[str, str]) -> list[tuple[ObservedContainer, str]]:
    """What of a decision is stopped before all else, and why."""
    if isinstance(row, Keep) and row.restart:
        return [(row.container, row.restart)]
    found: list[ObservedContainer] = []
    if isinstance(row, Keep):
        found = [row.container]  # not running, perhaps still attached
    elif isinstance(row, Replace):
        found = [one for one in (row.successor, row.old) if one is not None]
    elif isinstance(row, Retire):
        found = [row.container]
    elif row.instead is not None:
        found = [row.instead]
    return [
        (one, f"network {networks[endpoint.network]} is made anew")
        for one in found
        if (endpoint := next((row for row in one.endpoints if row.network in networks), None)) is not None
    ]
