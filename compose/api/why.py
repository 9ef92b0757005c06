"""Why a service is as it is, in words: what was done to it and for which reason, what it waits for, how it ended.

Pure, but for the times' distance to ``now``: it is given what was observed, what the shims know, what is remembered
and what ``up`` would do.
"""

from __future__ import annotations

from compose.api.follow import short_name
from compose.api.read import ago, seconds_of, state_of
from compose.record import record
from runtime.signals import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from compose.journal import Entry
    from compose.plan.desired import Dependency, Desired, DesiredService
    from compose.plan.observed import Observed, ObservedContainer
    from compose.plan.plan import Plan
    from runtime.state import State

DONE = {
    "create": "created",
    "start": "started",
    "stop": "stopped",
    "kill": "killed",
    "pause": "paused",
    "unpause": "unpaused",
    "update": "changed",
    "adopt": "adopted",
}
PROBE_OUTPUT = 200  # characters of a probe's output


@record
class Fact:
    """One sentence; ``kind``: state, created, started, stopped ..., exit, restarts, health, error, dependency, next."""

    kind: str
    text: str


@record
class Answer:
    """Of one container, or of a service without any: ``name`` (``web-1``), a ``summary``, and what it rests on."""

    service: str
    name: str
    summary: str
    facts: tuple[Fact, ...] = ()


@record
class Case:
    """All that is known of a project."""

    desired: Desired | None
    observed: Observed
    states: Mapping[str, State]  # container id → what its shim knows
    entries: Sequence[Entry]
    plan: Plan | None  # of ``up``
    now: float
    busy: bool = False  # a command works on the project just now


def explain(case: Case, service: str) -> list[Answer]:
    """An answer for each container of the service, or one when it has none."""
    declared = _declared(case.desired, service)
    members = [one for one in case.observed.containers if one.service == service and not one.oneoff]
    if not members:
        return [_absent(case, service, declared)]
    shared = (*_dependencies(case, declared), *_next(case, service, declared))
    return [_of_container(case, one, declared, shared) for one in sorted(members, key=lambda one: one.number)]


def _declared(desired: Desired | None, service: str) -> DesiredService | None:
    return next((one for one in desired.services if one.name == service), None) if desired else None


# -- one container


def _of_container(
    case: Case, one: ObservedContainer, declared: DesiredService | None, shared: tuple[Fact, ...]
) -> Answer:
    name = short_name(case.observed.project, one.name)
    state = case.states.get(one.id)
    past = list(_past(case, name))
    facts = [*past, *_ends(one, state, case.now), *_health(state, case.now), *shared]
    if case.desired is not None and declared is None:
        facts.append(Fact("next", f"the file has no service {one.service}: up --remove-orphans removes it"))
    return Answer(one.service, name, _summary(case, one, state, shared), tuple(facts))


def _summary(case: Case, one: ObservedContainer, state: State | None, shared: Iterable[Fact]) -> str:
    """The answer in one line."""
    word = state_of(one)
    if word == "running":
        health = f", {one.health}" if one.health else ""
        return f"has run for {_ago(case.now - seconds_of(one.started_at))}{health}"
    if word == "paused":
        return "is paused"
    if word == "restarting":
        return f"restarts again and again: it {_ending(one)}"
    if word == "created":
        blocked = [fact.text for fact in shared if fact.kind == "waits"]
        failed = _last_error(case, one)
        if blocked:
            return f"{'waits' if case.busy else 'was not started'}: {blocked[0]}"
        return f"could not start: {_first_line(failed)}" if failed else "was never started"
    by_hand = ", stopped by a command" if state is not None and state.manual else ""
    return f"{_ending(one)} {_when(one.finished_at, case.now)}{by_hand}"


def _last_error(case: Case, one: ObservedContainer) -> str:
    name = short_name(case.observed.project, one.name)
    errors = [entry.error for entry in case.entries if entry.name == name and entry.error]
    return one.error or (errors[-1] if errors else "")


def _past(case: Case, name: str) -> Iterable[Fact]:
    """The last of each thing that was done to it, in the order of time, with its reason."""
    last: dict[str, Entry] = {}
    for entry in case.entries:
        if entry.kind == "container" and entry.name == name:
            if entry.verb == "create" and not entry.error:
                last = {}  # a new life
            last.pop(entry.verb, None)
            last[entry.verb] = entry
    for verb, entry in last.items():
        reason = "" if entry.reason.startswith("created by step") else f": {entry.reason}"
        if entry.error:
            yield Fact("error", f"cannot {verb} it, {_ago(case.now - entry.time)} ago: {_first_line(entry.error)}")
        elif verb in DONE:
            yield Fact(DONE[verb], f"{_ago(case.now - entry.time)} ago{reason}")


def _ends(one: ObservedContainer, state: State | None, now: float) -> Iterable[Fact]:
    """How it ended, and how often it was started again."""
    if one.error:
        yield Fact("error", one.error)
    if one.oom_killed:
        yield Fact("oom", f"killed for want of memory: {_limit(one)}")
    if state_of(one) in ("exited", "restarting", "running") and one.finished_at and one.restart_count:
        yield Fact("exit", f"the last run {_ending(one)} {_when(one.finished_at, now)}")
    if one.restart_count:
        policy = str((one.config or {}).get("restart") or "")
        yield Fact("restarts", f"restarted {one.restart_count} times by its policy{f' ({policy})' if policy else ''}")
    if state_of(one) == "exited" and state is not None and not state.manual and (one.config or {}).get("restart"):
        yield Fact("restarts", f"its policy ({(one.config or {})['restart']}) does not restart it")


def _limit(one: ObservedContainer) -> str:
    config = one.config or {}
    limits = ((config.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    limit = config.get("mem_limit") or limits.get("memory")
    return f"its limit is {limit} bytes" if limit else "it has no limit of its own, the machine had none left"


def _ending(one: ObservedContainer) -> str:
    """``exited with code 137 (SIGKILL)``."""
    names = {number: name for name, number in NUMBERS.items() if name != "SIGIOT"}
    signal = names.get(one.exit_code - 128, "") if one.exit_code > 128 else ""
    memory = ", out of memory" if one.oom_killed else ""
    return f"exited with code {one.exit_code}{f' ({signal}{memory})' if signal else ''}"


def _health(state: State | None, now: float) -> Iterable[Fact]:
    if state is None or not state.health:
        return
    yield Fact("health", f"{state.health}{_streak(state)}{_probe(state, now)}")


def _streak(state: State) -> str:
    return f", {state.failing_streak} failures in a row" if state.failing_streak else ""


def _probe(state: State, now: float) -> str:
    """The last probe: when, with which code, what it said."""
    if not state.probes:
        return "; no probe has ended yet"
    last: dict[str, Any] = state.probes[-1]
    output = " ".join(str(last["output"]).split())[:PROBE_OUTPUT]
    said = f": {output}" if output else ", and said nothing"
    return f"; the last probe, {_when(last['end'], now)}, exited with code {last['exit_code']}{said}"


# -- a service without a container


def _absent(case: Case, service: str, declared: DesiredService | None) -> Answer:
    if declared is None:
        reason = "its profile is not active: add --profile, or name the service in up"
        return Answer(service, service, f"has no container: {reason}")
    if not declared.replicas:
        return Answer(service, service, "has no container: the file asks for 0 replicas")
    errors = [entry for entry in case.entries if entry.error and _is_of(entry, declared)]
    facts = [Fact("error", f"{_ago(case.now - entry.time)} ago: {_first_line(entry.error)}") for entry in errors[-1:]]
    facts += [*_dependencies(case, declared), *_next(case, service, declared)]
    summary = "has no container: creating it failed" if errors else "has no container: nobody has made one yet"
    return Answer(service, service, summary, tuple(facts))


def _is_of(entry: Entry, service: DesiredService) -> bool:
    head, _, number = entry.name.rpartition("-")
    return entry.kind == "container" and (
        (head == service.name and number.isdecimal()) or entry.name == service.container_name
    )


# -- around it


def _dependencies(case: Case, service: DesiredService | None) -> Iterable[Fact]:
    """What it depends on, and what depends on it."""
    for edge in service.dependencies if service else ():
        met, text = _condition(case, edge)
        yield Fact("dependency" if met else "waits", text)
    if service is not None and case.desired is not None:
        needed = [
            one.name for one in case.desired.services if any(edge.service == service.name for edge in one.dependencies)
        ]
        if needed:
            yield Fact("needed", f"needed by {', '.join(needed)}")


def _condition(case: Case, edge: Dependency) -> tuple[bool, str]:
    """Whether a dependency is met, and how it stands."""
    members = [one for one in case.observed.containers if one.service == edge.service and not one.oneoff]
    wanted = edge.condition.removeprefix("service_").replace("_", " ")
    optional = "" if edge.required else ", not required"
    if not members:
        return not edge.required, f"{edge.service} has no container; it is to be {wanted}{optional}"
    missing = [one for one in members if not _meets(one, edge.condition)]
    if not missing:
        return True, f"{edge.service} is {wanted}, as it is to be"
    one = missing[0]
    state = case.states.get(one.id)
    how = one.health if state_of(one) == "running" and one.health else state_of(one)
    how = _ending(one) if how == "exited" else f"is {how}"
    probe = _probe(state, case.now) if state is not None and state.health and state_of(one) == "running" else ""
    return not edge.required, f"{edge.service} {how}; it is to be {wanted}{optional}{probe}"


def _meets(one: ObservedContainer, condition: str) -> bool:
    state = state_of(one)
    if condition == "service_completed_successfully":
        return state == "exited" and one.exit_code == 0
    if condition == "service_healthy":
        return state == "running" and one.health == "healthy"
    return bool(one.started_at)


def _next(case: Case, service: str, declared: DesiredService | None) -> Iterable[Fact]:
    """What ``up`` would do about it."""
    if case.plan is None or declared is None:
        return
    steps = [step for step in case.plan.steps if step.action.kind == "container" and _about(step.action, declared)]
    told = [step for step in steps if step.action.verb in (*DONE, "remove")]
    if not told:
        yield Fact("next", "up would change nothing")
        return
    first = told[0]
    yield Fact("next", f"up would {first.action.verb} {first.action.title}: {first.reason}")


def _about(action: Any, service: DesiredService) -> bool:
    head, _, number = action.title.rpartition("-")
    return bool((head == service.name and number.isdecimal()) or action.title == service.container_name)


# -- words


def _when(text: str, now: float) -> str:
    return f"{_ago(now - seconds_of(text))} ago" if text else "at a time not known"


def _ago(seconds: float) -> str:
    words = ago(max(0.0, seconds))
    return words[:1].lower() + words[1:]


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
