"""The rules of ``develop.watch``, and what each says of a path. Reads only ignore files."""

from __future__ import annotations

import os

from compose.errors import UsageError
from compose.record import EMPTY, record
from compose.watch.ignore import BUILT_IN_MATCHER, Line, Matcher, read_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from compose.plan.desired import Desired, DesiredService

REBUILD, SYNC, RESTART, SYNC_RESTART, SYNC_EXEC = "rebuild", "sync", "restart", "sync+restart", "sync+exec"


@record
class Rule:
    """One entry of a service's ``develop.watch``. ``path``: absolute. ``number``: its place in the list, from 0.

    ``context``: the build context, whose .dockerignore (``ignore_file``) counts, or empty.
    """

    service: str
    number: int
    path: str
    action: str
    target: str = ""
    ignore: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    initial_sync: bool = False
    exec: Mapping[str, Any] = EMPTY
    context: str = ""
    ignore_file: str = ""

    @property
    def syncs(self) -> bool:
        return self.action.startswith(SYNC)

    @property
    def name(self) -> str:
        """Where it stands: ``web.develop.watch[0]``."""
        return f"{self.service}.develop.watch[{self.number}]"

    def target_of(self, path: str) -> str:
        """The path in the container of a path that the rule covers."""
        inside = path[len(self.path) :]
        return self.target.rstrip("/") + inside if self.target != "/" else inside or "/"


@record
class Rules:
    """The rules of a project, and sentences about those that were left out."""

    rules: tuple[Rule, ...]
    warnings: tuple[str, ...] = ()


def rules_of(desired: Desired, services: tuple[str, ...] = ()) -> Rules:
    """The rules of the named services, of all when none is named. Raises UsageError for a rule that makes no sense."""
    known = {service.name: service for service in desired.services}
    for name in services:
        if name not in known:
            raise UsageError(f"no such service: {name}", hint=f"services: {', '.join(sorted(known))}")
    found: list[Rule] = []
    warnings: list[str] = []
    for service in desired.services:
        if not services or service.name in services:
            for number, row in enumerate((service.config.get("develop") or {}).get("watch") or ()):
                rule = _rule(service, number, row)
                bind = _bind_over(service, rule)
                if bind:
                    warnings.append(f"{rule.name}: {rule.path} is bind mounted at {bind} already: nothing to sync")
                else:
                    found.append(rule)
    return Rules(tuple(found), tuple(warnings))


def _rule(service: DesiredService, number: int, row: Mapping[str, Any]) -> Rule:
    action = row["action"]
    build = service.config.get("build") or {}
    name = f"{service.name}.develop.watch[{number}]"
    if action == REBUILD and not build:
        raise UsageError(
            f"cannot watch {name}: action rebuild needs a build", hint="add build:, or use sync or restart"
        )
    if action.startswith(SYNC) and not row.get("target"):
        raise UsageError(
            f"cannot watch {name}: action {action} needs a target",
            hint="give it target: PATH, where the files go in the container",
        )
    if action == SYNC_EXEC and not (row.get("exec") or {}).get("command"):
        raise UsageError(
            f"cannot watch {name}: action {action} needs exec.command", hint="give it exec: {command: [...]}"
        )
    context = build.get("context") or ""
    context = context if context.startswith("/") else ""
    return Rule(
        service.name,
        number,
        os.path.normpath(row["path"]),
        action,
        _clean_target(row.get("target") or ""),
        _strings(row.get("ignore")),
        _strings(row.get("include")),
        bool(row.get("initial_sync")),
        row.get("exec") or EMPTY,
        context,
        _ignore_file(context, build.get("dockerfile") or "Dockerfile"),
    )


def _clean_target(target: str) -> str:
    return os.path.normpath("/" + target.lstrip("/")) if target else ""


def _ignore_file(context: str, dockerfile: str) -> str:
    """``<Dockerfile>.dockerignore`` where there is one, else the context's."""
    if not context:
        return ""
    own = os.path.join(context, f"{dockerfile}.dockerignore")
    return own if os.path.exists(own) else f"{context}/.dockerignore"


def _bind_over(service: DesiredService, rule: Rule) -> str:
    """The target of a bind mount that shows the rule's path in the container already, or empty."""
    if not rule.syncs:
        return ""
    for row in service.config.get("volumes") or ():
        source = row.get("source") or ""
        if row.get("type") == "bind" and is_below(rule.path, source):
            return str(row["target"])
    return ""


def is_below(path: str, top: str) -> bool:
    """Whether ``path`` is ``top`` or lies below it."""
    return path == top or path.startswith(top.rstrip("/") + "/")


def _strings(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


@record
class Verdict:
    """What a rule says of a path: whether it covers it, and if not, why (a sentence)."""

    covers: bool
    why: str = ""


class Filter:
    """A rule with its ignore patterns, compiled."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._own = Matcher([Line(text, f"{rule.name}.ignore[{at}]") for at, text in enumerate(rule.ignore)])
        self._include = Matcher([Line(text, f"{rule.name}.include[{at}]") for at, text in enumerate(rule.include)])
        shown = os.path.relpath(rule.ignore_file, os.path.dirname(rule.context)) if rule.ignore_file else ""
        self._context = Matcher(read_lines(rule.ignore_file, shown) if rule.ignore_file else [])

    def verdict(self, path: str, is_directory: bool = False) -> Verdict:
        """Whether the rule acts on a change of ``path`` (absolute). With ``include``, directories are not acted on."""
        rule = self.rule
        if not is_below(path, rule.path):
            return Verdict(False, f"outside of {rule.path}")
        line = self._left_out(path, Matcher.decides)
        if line is not None:
            return Verdict(False, f"ignored by {line.text!r} ({line.origin})")
        chosen = not rule.include or path == rule.path
        if not chosen and (is_directory or self._include.decides(path[len(rule.path) + 1 :]) is None):
            return Verdict(False, f"not among include of {rule.name}")
        return Verdict(True)

    def covers(self, path: str, is_directory: bool = False) -> bool:
        return self.verdict(path, is_directory).covers

    def enters(self, directory: str) -> bool:
        """Whether anything in a directory may be covered: else it is not even looked into."""
        return is_below(directory, self.rule.path) and self._left_out(directory, Matcher.prunes) is None

    def _left_out(self, path: str, ask: Any) -> Line | None:
        rule = self.rule
        inside = path[len(rule.path) + 1 :]
        found: Line | None = None
        if inside:
            found = ask(BUILT_IN_MATCHER, inside) or (ask(self._own, inside) if self._own else None)
        if found is None and self._context and is_below(path, rule.context) and path != rule.context:
            found = ask(self._context, path[len(rule.context) + 1 :])
        return found
