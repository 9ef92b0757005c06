"""``why``: in words, why a service runs, waits, was recreated, or failed, a network or volume is there. Reads only."""

from __future__ import annotations

import time

from compose import journal
from compose.api.lifecycle import plan_for
from compose.api.read import check_services, known_services
from compose.api.up import UpOptions
from compose.api.why import Answer, Case, explain
from compose.cli.render.words import BOLD, DIM, Style
from compose.cli.shown import is_locked
from compose.errors import ComposeError, UsageError
from compose.record import record, to_plain
from runtime.linux.identity import boot_id
from runtime.paths import Bundle
from runtime.state import read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session
    from compose.plan.desired import Desired
    from compose.plan.plan import Plan


@record
class Options:
    services: tuple[str, ...] = ()
    format: str = "text"


def run(session: Session, options: Options) -> int:
    if options.format not in ("text", "json"):
        raise UsageError(f"cannot answer as {options.format}", hint="formats: text, json")
    project, desired = session.project()
    observed = session.observe(project, desired)
    case = Case(
        desired=desired,
        observed=observed,
        states={one.id: read_state(Bundle(session.roots, one.id), boot_id()) for one in observed.containers},
        entries=journal.read(journal.path_of(session.roots.state, project)),
        plan=_plan(session, desired),
        now=time.time(),
        busy=is_locked(session.lock(project)),
    )
    answers = _answers(case, options.services)
    if options.format == "json":
        import json

        session.write(json.dumps([to_plain(answer) for answer in answers], indent=2, ensure_ascii=False) + "\n")
    else:
        session.write("".join(_text(answer, Style(session.colours(1))) for answer in answers))
    return 0


def _answers(case: Case, names: tuple[str, ...]) -> list[Answer]:
    """Of all services, or of those, and of networks and volumes with these names. Raises UsageError."""
    from compose.api.why_resources import explain_resources

    desired, observed = case.desired, case.observed
    if not names:
        there = [one.service for one in observed.containers if not one.oneoff]
        return [answer for service in _all(desired, there) for answer in explain(case, service)]
    answers = []
    for name in names:
        resources = explain_resources(case, name)
        if resources and name not in known_services(observed, desired):
            answers += resources
            continue
        check_services(observed, desired, (name,))
        answers += [*explain(case, name), *resources]
    return answers


def _all(desired: Desired | None, there: list[str]) -> list[str]:
    """Every service, of the file first."""
    return list(dict.fromkeys([*(one.name for one in desired.services if desired), *there] if desired else there))


def _plan(session: Session, desired: Desired | None) -> Plan | None:
    """What ``up`` would do; None when it would be refused."""
    try:
        return plan_for("up", session.engine, desired, UpOptions(ignore_orphans=True)) if desired else None
    except ComposeError:
        return None


def _text(answer: Answer, style: Style) -> str:
    lines = [f"{style.paint(answer.name, BOLD)} {answer.summary}\n"]
    lines += [f"  {style.paint(fact.kind.ljust(10), DIM)} {fact.text}\n" for fact in answer.facts]
    return "".join(lines)
