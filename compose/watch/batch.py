"""From changed paths to what is done: one batch, whose steps have a fixed order. Pure."""

from __future__ import annotations

from compose.record import record
from compose.watch.rules import REBUILD, RESTART, SYNC_EXEC, SYNC_RESTART

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from compose.watch.rules import Rule
    from compose.watch.tracker import Modified


@record
class Sync:
    """What a service is to get: container path -> host path. ``restart`` and ``execs`` follow if any was written."""

    service: str
    writes: Mapping[str, str]
    restart: bool = False
    execs: tuple[Rule, ...] = ()


@record
class Batch:
    """Steps in order: services to rebuild, then to sync, then to restart (those of ``syncs`` too), then commands.

    ``files``: how many paths changed.
    """

    rebuild: tuple[str, ...] = ()
    syncs: tuple[Sync, ...] = ()
    restart: tuple[str, ...] = ()
    files: int = 0

    def __bool__(self) -> bool:
        return bool(self.rebuild or self.syncs or self.restart)


def batch_of(hits: Iterable[tuple[Modified, Rule]]) -> Batch:
    """One batch of all changes. The first rule of a service that gives a path a target counts for that target.

    A service that is rebuilt is not restarted as well.
    """
    rebuild: dict[str, None] = {}
    restart: dict[str, None] = {}
    writes: dict[str, dict[str, str]] = {}
    after: dict[str, dict[int, Rule]] = {}
    restarting: set[str] = set()
    paths = set()
    for modified, rule in hits:
        paths.add(modified.path)
        if rule.action == REBUILD:
            rebuild[rule.service] = None
        elif rule.action == RESTART:
            restart[rule.service] = None
        else:
            writes.setdefault(rule.service, {}).setdefault(rule.target_of(modified.path), modified.path)
            if rule.action == SYNC_RESTART:
                restarting.add(rule.service)
            elif rule.action == SYNC_EXEC:
                after.setdefault(rule.service, {})[rule.number] = rule
    syncs = tuple(
        Sync(service, rows, service in restarting, tuple(after.get(service, {}).values()))
        for service, rows in writes.items()
    )
    return Batch(tuple(rebuild), syncs, tuple(name for name in restart if name not in rebuild), len(paths))
