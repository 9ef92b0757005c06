"""The Compose file while it is watched: loaded again when one of its inputs changes, and the difference applied.

Inputs are all files that a load reads or looks for (overrides, includes, env files, sources of configs and secrets).
A Dockerfile is no input of the project: its services are built again.
"""

from __future__ import annotations

import os
import time

from compose.api.lifecycle import plan_for
from compose.api.up import up
from compose.errors import ComposeError, SpecError
from compose.watch.actions import FAULTS, duration, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from compose.plan.desired import Desired
    from compose.plan.plan import Plan
    from compose.watch.actions import Actions

APPLY, PLAN, OFF = "apply", "plan", "off"
Stamp = tuple[int, int, int]


class ConfigWatch:
    """``load`` gives the project and adds the files it read to the set it is given; ``mode``: apply or plan."""

    def __init__(self, load: Callable[[set[str]], Desired], mode: str) -> None:
        self._load = load
        self.mode = mode
        self.inputs: set[str] = set()
        self._stamps: dict[str, Stamp | None] = {}
        self._broken = False

    def begin(self) -> Desired:
        """The first load. Raises SpecError."""
        desired = self._load(self.inputs)
        self._remember()
        return desired

    def directories(self) -> set[str]:
        """Where inputs are or may come to be."""
        return {directory for path in self.inputs if os.path.isdir(directory := os.path.dirname(path))}

    def concerns(self, paths: Iterable[str]) -> bool:
        return any(path in self.inputs for path in paths)

    def has_changed(self) -> bool:
        """Whether an input is other than it was at the last load."""
        return any(stamp_of(path) != self._stamps.get(path) for path in self.inputs)

    def _remember(self) -> None:
        self._stamps = {path: stamp_of(path) for path in self.inputs}

    def reload(self, actions: Actions) -> Desired | None:
        """Load again; None if the files are wrong, which is told: then everything goes on as it was."""
        found: set[str] = set()
        try:
            desired = self._load(found)
        except SpecError as error:
            self.inputs |= found
            self._remember()
            self._broken = True
            problems = "\n".join(problem.text() for problem in error.problems)
            actions.tell("error", f"{problems}\nthe last good configuration goes on", step="config")
            return None
        self.inputs = found
        self._remember()
        if self._broken:
            self._broken = False
            actions.tell("config", "the configuration is valid again")
        return desired

    def converge(self, actions: Actions, began: float) -> None:
        """Show what the new configuration means, and do it in mode apply. A project that is down stays down."""
        around = actions.around
        if not around.live.all():
            actions.tell("config", "configuration changed; nothing of the project runs: up will use it")
            return
        engine = around.engine()
        try:
            plan = plan_for("up", engine, around.desired, around.up)
            if not plan.steps or self.mode != APPLY:  # else up tells them
                for text in plan.warnings:
                    actions.tell("warning", text)
            if not plan.steps:
                actions.tell("config", "configuration changed: nothing to do")
                return
            verb = "applying" if self.mode == APPLY else "this is what up would do"
            actions.tell("config", f"configuration changed: {verb}\n{_text(plan)}", plan=plan.to_json())
            if self.mode == APPLY:
                up(engine, around.desired, around.up, around.reporter)
                seconds = time.monotonic() - began
                actions.tell("config", f"configuration applied in {duration(seconds)}", seconds=seconds)
        except (*FAULTS, ComposeError) as fault:
            actions.tell("error", f"cannot apply the configuration: {reason(fault)}", step="config")
        finally:
            engine.close()


def stamp_of(path: str) -> Stamp | None:
    """Size, time and inode of what the path leads to, or None."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return info.st_size, info.st_mtime_ns, info.st_ino


def _text(plan: Plan) -> str:
    return "".join(f"  {line}\n" for line in plan.text().splitlines()).rstrip("\n")


def builds_changed(before: Desired, after: Desired) -> tuple[str, ...]:
    """Services that are built otherwise now: their images are to be made anew."""
    old = {service.name: service.config.get("build") for service in before.services}
    return tuple(
        service.name
        for service in after.services
        if service.config.get("build") and old.get(service.name, service.config["build"]) != service.config["build"]
    )


def dockerfiles(desired: Desired) -> dict[str, tuple[str, ...]]:
    """The Dockerfile of each service that builds from a directory here: path to services."""
    found: dict[str, tuple[str, ...]] = {}
    for service in desired.services:
        build = service.config.get("build") or {}
        context = str(build.get("context") or "")
        if context.startswith("/") and not build.get("dockerfile_inline"):
            path = os.path.normpath(os.path.join(context, build.get("dockerfile") or "Dockerfile"))
            found[path] = (*found.get(path, ()), service.name)
    return found
