"""What a failing test says of its stack: each container's end, health, restarts, and what it wrote meanwhile."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from compose.api.follow import short_name
from compose.errors import ComposeError
from compose.testing.logs import log_lines
from runtime.linux.identity import boot_id
from runtime.paths import Bundle
from runtime.record import to_plain
from runtime.state import read_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compose.plan.observed import ObservedContainer
    from compose.testing.stack import Stack
    from runtime.state import State

MOST_LINES = 200


def sections(stack: Stack) -> Iterator[tuple[str, str]]:
    """(title, text) for each container: its state, then its lines since the test began."""
    for one in stack.containers():
        name = short_name(stack.name, one.name)
        state = read_state(Bundle(stack.roots, one.id), boot_id())
        lines = log_lines(stack, [one], since="test")
        text = describe(state)
        if len(lines) > MOST_LINES:
            text += f"\n({len(lines) - MOST_LINES} lines left out)"
        text += "".join(f"\n{line.time[11:23]} {line.stream[3:]:3} {line.text}" for line in lines[-MOST_LINES:])
        yield f"compose: {name}", text
    active = stack._faults.active if stack._faults is not None else []
    if active:
        yield "compose: faults", "\n".join(active)


def describe(state: State) -> str:
    """A line on how the container is, and one for each result of its health check."""
    parts = [state.status]
    if state.status == "stopped":
        parts.append(f"exit code {state.exit_code}")
    if state.oom_killed:
        parts.append("killed for want of memory")
    if state.restart_count:
        parts.append(f"restarted {state.restart_count} times")
    if state.health:
        parts.append(state.health)
    if state.error:
        parts.append(state.error)
    rows = [", ".join(parts)]
    for probe in state.probes:
        said = str(probe.get("output", "")).strip().splitlines()
        when = str(probe.get("start", ""))[11:23]
        rows.append(f"probe {when}: exit code {probe.get('exit_code')} {' / '.join(said[-2:])[-300:]}".rstrip())
    return "\n".join(rows)


def failed_start(stack: Stack, error: ComposeError) -> str:
    """Why a stack did not come up: which service, which condition, the last probe and lines; then all the others."""
    from compose.engine.waiting import WHY

    said = error.text().removesuffix(f"\n  {WHY}")  # the stack is gone by then
    text = f"cannot bring up the stack {stack.name}: {said}"
    try:
        rows = [f"  {short_name(stack.name, one.name)}: {_first_line(stack, one)}" for one in stack.containers()]
    except ComposeError:
        return text
    return "\n".join([text, "containers:", *rows]) if rows else text


def _first_line(stack: Stack, one: ObservedContainer) -> str:
    return describe(read_state(Bundle(stack.roots, one.id), boot_id())).splitlines()[0]


def save_artifacts(stack: Stack, directory: str) -> None:
    """Write logs/NAME.log, events.json, inspect.json and plan.txt."""
    os.makedirs(f"{directory}/logs", exist_ok=True)
    states = {}
    for one in stack.containers():
        name = short_name(stack.name, one.name)
        states[name] = to_plain(read_state(Bundle(stack.roots, one.id), boot_id()))
        with open(f"{directory}/logs/{name}.log", "w", encoding="utf-8") as file:
            file.writelines(f"{line.time} {line.stream} {line.text}\n" for line in log_lines(stack, [one]))
    _write(f"{directory}/inspect.json", json.dumps(states, indent=2))
    _write(f"{directory}/events.json", json.dumps([vars(event) for event in stack.events()], indent=2))
    try:
        _write(f"{directory}/plan.txt", stack.plan().text() + "\n")
    except ComposeError as error:
        _write(f"{directory}/plan.txt", error.text() + "\n")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
