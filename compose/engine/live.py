"""A project's containers as ``watch`` reaches into them: who is there, files written in, commands run inside."""

from __future__ import annotations

from compose import labels as key
from compose.engine.local import told
from compose.record import record
from runtime import container as containers
from runtime import syncing
from runtime.capture import capture
from runtime.linux.identity import boot_id
from runtime.paths import Bundle
from runtime.spec import process_beside
from runtime.state import RESTARTING, RUNNING, read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from runtime.paths import Roots
    from runtime.spec import ContainerSpec, Process
    from runtime.syncing import Written

_OUTPUT = 1 << 16  # bytes of a command's output that are kept


@record
class LiveContainer:
    """A container of a service; ``title`` is its short name (``web-1``). Not one of ``run``."""

    ident: str
    service: str
    title: str
    status: str

    @property
    def is_running(self) -> bool:
        return self.status == RUNNING

    @property
    def is_between(self) -> bool:
        """Whether it waits for its next restart: nothing can be written then, its start tells."""
        return self.status == RESTARTING


class LiveContainers:
    """The containers of one project. Every call looks anew."""

    def __init__(self, roots: Roots, project: str) -> None:
        self.roots = roots
        self.project = project

    def all(self) -> list[LiveContainer]:
        """Every service container that is there, by service and number."""
        found = []
        for one in containers.list_containers(self.roots):
            labels = one.labels
            if labels.get(key.PROJECT) == self.project and labels.get(key.ONEOFF) != "True":
                service, number = labels.get(key.SERVICE, ""), labels.get(key.NUMBER, "1")
                if not labels.get(key.REPLACE):
                    found.append(LiveContainer(one.id, service, f"{service}-{number}", one.state.status))
        return sorted(found, key=lambda one: (one.service, one.title))

    @told
    def write(self, ident: str, writes: Iterable[tuple[str, str]], stop: Callable[[], bool] = lambda: False) -> Written:
        """Make container paths what host paths are now, as (host path, container path). Raises EngineError."""
        bundle = Bundle(self.roots, ident)
        state = read_state(bundle, boot_id())
        tree = syncing.open_tree(containers.read_spec(self.roots, ident), bundle, state)
        try:
            return syncing.apply(tree, (syncing.Write(source, target) for source, target in writes), stop)
        finally:
            tree.close()

    @told
    def execute(self, ident: str, hook: Mapping[str, Any]) -> tuple[int, str]:
        """Run a Compose hook (command, user, working_dir, environment, privileged) inside; (exit code, output)."""
        process = _process_of(containers.read_spec(self.roots, ident), hook)
        output = bytearray()

        def keep(line: bytes) -> None:
            output.extend(line)
            del output[:-_OUTPUT]

        code = capture(self.roots, ident, process, keep, privileged=bool(hook.get("privileged")))
        return code, output.decode(errors="replace")


def _process_of(spec: ContainerSpec, hook: Mapping[str, Any]) -> Process:
    given = hook.get("environment") or {}
    rows = given.items() if isinstance(given, dict) else (row.split("=", 1) for row in given if "=" in row)
    env = {name: str(value) for name, value in rows if value is not None}
    command = hook.get("command") or ()
    if isinstance(command, str):
        import shlex

        command = shlex.split(command)
    cwd, user = hook.get("working_dir") or "", str(hook.get("user") or "")
    return process_beside(spec.process, tuple(command), env=env, cwd=cwd, user=user)
