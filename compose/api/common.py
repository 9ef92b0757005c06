"""What all verbs share: execute a plan and tell its warnings; which containers a plan leaves."""

from __future__ import annotations

from compose.events import Note
from compose.execute.executor import Executor
from compose.journal import entries_of
from compose.plan.actions import (
    AdoptContainer,
    CreateContainer,
    PrepareContainer,
    RemoveContainer,
    RenameContainer,
)
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from compose.engine.protocol import Engine
    from compose.events import Reporter
    from compose.execute.executor import Results
    from compose.plan.observed import Observed
    from compose.plan.plan import Plan


BOOTING = (CreateContainer, PrepareContainer, AdoptContainer)  # actions that fork shims


@record
class Member:
    """A container as a verb leaves it."""

    service: str
    number: int
    ident: str
    name: str


@record
class Outcome:
    """What a verb did."""

    plan: Plan
    results: Results
    containers: tuple[Member, ...] = ()


def tell(plan: Plan, reporter: Reporter) -> None:
    """The plan's warnings as notes."""
    for text in plan.warnings:
        reporter.emit(Note(text, "warning"))


def execute(
    engine: Engine, plan: Plan, reporter: Reporter, workers: int = 0, begun: Callable[[Executor], None] | None = None
) -> Results:
    """Tell the warnings, then do the steps. Raises the first error of a step, or Interrupted.

    ``begun`` is given the executor first, for whoever may want to cancel it from another thread.
    """
    tell(plan, reporter)
    if any(isinstance(step.action, BOOTING) for step in plan.steps):
        engine.warm_up(plan.project)
    executor = Executor(engine, reporter, workers=workers)
    if begun is not None:
        begun(executor)
    results = executor.run(plan)
    if plan.steps:
        engine.remember(plan.project, entries_of(plan, results))
    results.check()
    return results


def members(plan: Plan, results: Results, observed: Observed) -> tuple[Member, ...]:
    """The project's service containers after the plan, by service in file order and number."""
    found = {one.id: Member(one.service, one.number, one.id, one.name) for one in observed.containers if not one.oneoff}
    names: dict[str, str] = {}
    for step in plan.steps:
        action = step.action
        if isinstance(action, CreateContainer):
            ident = results.created.get(step.number, "")
            found[ident] = Member(action.service, action.number, ident, action.name)
        elif isinstance(action, RemoveContainer):
            found.pop(_ident(action.target, results), None)
        elif isinstance(action, RenameContainer):
            names[_ident(action.target, results)] = action.name
    rows = [Member(one.service, one.number, one.ident, names.get(one.ident, one.name)) for one in found.values()]
    order = {service.name: place for place, service in enumerate(plan.desired.services)} if plan.desired else {}
    rows.sort(key=lambda one: (order.get(one.service, len(order)), one.service, one.number))
    return tuple(rows)


def _ident(target: object, results: Results) -> str:
    step = getattr(target, "step", None)
    return results.created.get(step, "") if step is not None else str(getattr(target, "id", ""))
