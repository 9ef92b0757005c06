"""What several commands do alike."""

from __future__ import annotations

import os

from compose.cli.session import Reporting
from compose.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from compose.api.common import Outcome
    from compose.api.down import DownOptions
    from compose.api.lifecycle import LifeOptions
    from compose.api.up import UpOptions
    from compose.cli.session import Session
    from compose.engine.protocol import Engine
    from compose.events import Reporter
    from compose.plan.desired import Desired
    from compose.plan.plan import Plan

    Verb = Callable[[Engine, Desired | None, LifeOptions, Reporter], Outcome]


def scales(words: Sequence[str]) -> dict[str, int]:
    """``web=3`` and its like. Raises UsageError."""
    found = {}
    for word in words:
        name, equals, number = word.partition("=")
        if not name or not equals or not number.isdigit():
            raise UsageError(f"cannot read the scale {word}", hint="write SERVICE=NUMBER, such as web=3")
        found[name] = int(number)
    return found


def refuse(options: Mapping[str, object], hints: Mapping[str, str]) -> None:
    """Say of an option that docker compose has it and we do not. ``hints``: name of the option -> what to do."""
    for name, hint in hints.items():
        if options[name]:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"cannot use {flag}: it is not supported yet", hint=hint)


def refuse_pair(first: Mapping[str, bool], second: Mapping[str, bool]) -> None:
    """Flags of which one excludes another: of the given ones, the first of each side is named. Raises UsageError."""
    for one, given in first.items():
        for other, also in second.items():
            if given and also:
                raise UsageError(f"cannot use {one} and {other} together", hint="leave one of them out")


PULLS = ("", "policy", "always", "missing", "if_not_present", "never", "build")


def check_pull(policy: str) -> None:
    """``--pull``. Raises UsageError."""
    if policy not in PULLS and not policy.startswith(("daily", "weekly", "every_")):
        raise UsageError(f"cannot use --pull {policy}", hint="choose one of always, missing, never")


def show_dry_run(
    session: Session, verb: str, desired: Desired | None, options: UpOptions | DownOptions | LifeOptions
) -> int:
    """What would be done, on stderr as docker compose does; nothing is touched."""
    from compose.api.lifecycle import plan_for

    tell_plan(session, plan_for(verb, session.engine, desired, options))
    return 0


def tell_plan(session: Session, plan: Plan) -> None:
    """A plan as progress of a dry run: its text, or with --progress json an object a step."""
    from compose.cli.render.plan import show_plan
    from compose.cli.render.progress import Json
    from compose.events import StepStarted

    if session.progress_mode == "json":
        shown = Json(dry_run=True)
        for step in plan.steps:
            shown.emit(StepStarted(step.number, step.action.kind, step.action.title, step.action.verb, step.reason))
        return
    for line in show_plan(plan, "text").splitlines():
        session.tell(f"DRY-RUN MODE -  {line}\n")


def asking(session: Session, yes: bool, request: UpOptions, do: Callable[[UpOptions], int]) -> int:
    """Do what may ask whether changed volumes are made anew. Without a terminal nobody is asked, and they are kept.

    ``yes``: the answer is known. Data is never lost without one.
    """
    from compose.api.up import VolumesChanged
    from compose.record import replace

    if yes:
        return do(replace(request, remake=("*",)))
    try:
        return do(replace(request, ask=os.isatty(0) and os.isatty(2) and not session.shared.dry_run))
    except VolumesChanged as changed:
        return do(replace(request, remake=tuple(name for name in changed.names if _agreed(session, name))))


def _agreed(session: Session, volume: str) -> bool:
    """The user's yes, in docker compose's words. End of input is a no."""
    import sys

    question = (
        f'Volume "{volume}" exists but doesn\'t match configuration in compose file. Recreate (data will be lost)?'
    )
    session.tell(f"{question} [yN] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def change(session: Session, word: str, verb: Verb, options: LifeOptions, *, summary: bool = False) -> int:
    """Run one of the verbs of ``compose.api.lifecycle`` on the project, with progress."""
    from compose.record import replace

    project, desired = session.project(options.services)
    options = replace(options, project=project, lock=session.lock(project), workers=session.workers)
    if session.shared.dry_run:
        return show_dry_run(session, word, desired, options)
    with Reporting(session, word, summary=summary) as reporting:
        verb(session.engine, desired, options, reporting)
    return 0
