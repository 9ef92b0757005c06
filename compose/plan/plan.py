"""The plan: numbered steps, each with an action, the reason for it, and the steps it comes after."""

from __future__ import annotations

from compose.plan.actions import CreateContainer, OnContainer
from compose.record import record, to_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from compose.plan.actions import Action
    from compose.plan.desired import Desired


@record
class Step:
    """``after``: numbers of the steps that must have succeeded before; all are smaller than ``number``."""

    number: int
    action: Action
    reason: str
    after: tuple[int, ...] = ()


@record
class Plan:
    """Steps in an order in which they could be done one by one; ``number`` counts from 1 without gaps.

    ``desired`` is what the steps' services and networks are looked up in (None: no step needs it). ``warnings`` are
    sentences for the user.
    """

    project: str
    steps: tuple[Step, ...] = ()
    desired: Desired | None = None
    warnings: tuple[str, ...] = ()

    def text(self) -> str:
        """One line per step: number, what it comes after, kind, name, verb, reason. Empty for an empty plan."""
        rows = [_row(step) for step in self.steps]
        if not rows:
            return ""
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        return "".join(_line(row, widths) for row in rows)

    def to_json(self) -> dict[str, Any]:
        """The plan as values that ``json.dumps`` takes."""
        return {
            "project": self.project,
            "steps": [_plain(step) for step in self.steps],
            "warnings": list(self.warnings),
        }


def _row(step: Step) -> tuple[str, str, str, str, str, str]:
    after = f"< {','.join(map(str, step.after))}" if step.after else ""
    action = step.action
    return str(step.number), after, action.kind, action.title, action.verb, step.reason


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = "".join(cell.ljust(width + 2) for cell, width in zip(row, widths) if width)
    return f"{cells}{row[5]}".rstrip() + "\n"


def _plain(step: Step) -> dict[str, Any]:
    action = step.action
    plain: dict[str, Any] = {
        "number": step.number,
        "after": list(step.after),
        "kind": action.kind,
        "name": action.title,
        "verb": action.verb,
        "reason": step.reason,
    }
    if isinstance(action, OnContainer):
        plain["container"] = to_plain(action.target)
    if isinstance(action, CreateContainer):
        plain["service"] = action.service
        plain["container_number"] = action.number
        plain["container_name"] = action.name
    return plain


class PlanBuilder:
    """Collects steps in order. The only mutable thing of a planner."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.warnings: list[str] = []
        self._behind: list[int] = [0]  # per step, a bit mask of all steps that are done before it

    def add(self, action: Action, reason: str, after: Iterable[int] = ()) -> int:
        """Append a step and return its number. Zeros in ``after`` stand for "nothing to wait for".

        What follows from another step of ``after`` is left out, so that the printed graph has no needless edge.
        """
        number = len(self.steps) + 1
        needed = sorted({step for step in after if step})
        behind = 0
        for step in needed:
            behind |= self._behind[step]
        kept = tuple(step for step in needed if not behind >> step & 1)
        for step in kept:
            behind |= 1 << step
        self._behind.append(behind)
        self.steps.append(Step(number, action, reason, kept))
        return number

    def warn(self, text: str) -> None:
        """Add a sentence for the user, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def build(self, project: str, desired: Desired | None = None) -> Plan:
        return Plan(project, tuple(self.steps), desired, tuple(self.warnings))
