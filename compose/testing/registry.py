"""The stacks of one pytest process: made when a test needs them, taken down when their scope ends."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from compose.errors import ComposeError
from compose.testing.report import failed_start, save_artifacts
from compose.testing.stack import Stack, find_file, new_name
from compose.testing.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any


@dataclass
class Entry:
    """A stack with what pytest knows of it. ``seconds``: how long each thing took; ``turns``: of one that is shared."""

    stack: Stack
    turns: Turns | None = None
    failed: bool = False
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def timed(self, what: str, work: Callable[[], Any]) -> None:
        began = time.perf_counter()
        work()
        self.seconds.setdefault(what, []).append(time.perf_counter() - began)


class Registry:
    """Of one session. ``config``: pytest's; ``test``: that runs."""

    def __init__(self, config: pytest.Config, test: str) -> None:
        self.config = config
        self.live: dict[object, Entry] = {}
        self.summary: list[str] = []
        self.test = test
        worker = getattr(config, "workerinput", None)
        self.worker = str(worker["workerid"]) if worker else ""
        self._run = str(worker["testrunuid"]) if worker else ""
        self._shared = bool(worker) and config.getoption("compose_xdist") == "shared"

    # -- making

    def get(
        self, key: object, options: Mapping[str, Any], add_finalizer: Callable[[Callable[[], None]], None]
    ) -> Stack:
        """The stack of that key, made and brought up if there is none; its scope is the finalizer's."""
        entry = self.live.get(key)
        if entry is None:
            entry = self._make(key, dict(options))
            self.live[key] = entry
            add_finalizer(lambda: self.end(key))
        if entry.turns is not None and self.test:
            entry.turns.enter(self.test)
        return entry.stack

    def _make(self, key: object, options: dict[str, Any]) -> Entry:
        files = options.pop("files")
        directory = os.path.dirname(os.path.abspath(files[0])) if files else str(self.config.rootpath)
        options.setdefault("directory", directory)
        options.setdefault("ports", self.config.getoption("compose_ports"))
        name = options.pop("project_name", "") or new_name(os.path.basename(directory), self.worker)
        if self._shared:
            return self._make_shared(key, files, name, options)
        entry = Entry(Stack(*files, project_name=name, **options))
        self._bring_up(entry)
        return entry

    def _make_shared(self, key: object, files: list[str], name: str, options: dict[str, Any]) -> Entry:
        from compose.testing import shared

        options.update(watched=os.getppid())
        with shared.claim(self._run, key) as claim:
            stack = Stack(*files, project_name=claim.name or name, **options)
            turns = Turns(claim.stem, stack.name)
            stack.alone = turns.alone
            entry = Entry(stack, turns)
            if claim.name:
                entry.stack.join()
            else:
                self._bring_up(entry)
                claim.publish(name)
        return entry

    def _bring_up(self, entry: Entry) -> None:
        try:
            entry.timed("up", entry.stack.up)
            return
        except ComposeError as error:
            text = failed_start(entry.stack, error)
            self._save(entry)
            if self._keeps(failed=True):
                self.summary.append(f"kept {entry.stack.name}: {entry.stack.keep()}")
            else:
                entry.stack.down()
        except BaseException:
            entry.stack.down()
            raise
        pytest.fail(text, pytrace=False)  # here, so that it does not drag the error's own traceback along

    # -- what happens

    def used_by(self, item: pytest.Item) -> Iterator[Entry]:
        """The stacks that a test has to do with."""
        keys = item.stash.get(USED, set())
        names = set(getattr(item, "fixturenames", ()))
        for key, entry in self.live.items():
            if key in keys or (key == DEFAULT and "compose" in names):
                yield entry

    def begin(self, item: pytest.Item) -> None:
        """A test begins: its window in the logs starts now."""
        self.test = item.nodeid
        for entry in self.live.values():
            entry.stack.mark = time.time_ns()
        for entry in self.used_by(item):  # others are entered when a fixture asks for them
            if entry.turns is not None:
                entry.turns.enter(self.test)

    def over(self) -> None:
        """The test has ended: other workers may be alone with what they share."""
        self.test = ""
        for entry in self.live.values():
            if entry.turns is not None:
                entry.turns.leave()

    def failed(self, item: pytest.Item) -> None:
        for entry in self.used_by(item):
            entry.failed = True
            self._save(entry)

    # -- ending

    def end(self, key: object) -> None:
        """The scope of a stack is over."""
        entry = self.live.pop(key)
        stack = entry.stack
        if entry.turns is not None:
            entry.turns.close()
            stack.leave()
        elif self._keeps(failed=entry.failed):
            self.summary.append(f"kept {stack.name}: {stack.keep()}")
        else:
            entry.timed("down", stack.down)
        if self.config.getoption("compose_timings"):
            self.summary.append(f"{stack.name}: {_timings(entry.seconds)}")

    def _keeps(self, *, failed: bool) -> bool:
        keep = self.config.getoption("compose_keep")
        return keep == "always" or (keep == "failed" and failed)

    def _save(self, entry: Entry) -> None:
        directory = self.config.getoption("compose_artifacts")
        if directory:
            save_artifacts(entry.stack, os.path.join(directory, entry.stack.name))


DEFAULT = "default"
USED = pytest.StashKey[set[object]]()


def default_file(config: pytest.Config) -> str:
    """``--compose-file``, the ini value, or the Compose file at the root of the tests or above."""
    named = config.getoption("compose_file") or config.getini("pycompose_file")
    if named:
        return os.path.join(
            str(config.invocation_params.dir if config.getoption("compose_file") else config.rootpath), named
        )
    found = find_file(config.rootpath)
    if not found:
        pytest.fail(
            f"cannot find a Compose file in {config.rootpath} or above\n  name one: pytest --compose-file FILE, "
            "pycompose_file in the ini file, or @pytest.mark.compose(file=...)",
            pytrace=False,
        )
    return found


def _timings(seconds: Mapping[str, list[float]]) -> str:
    parts = []
    for what, values in seconds.items():
        middle = sorted(values)[len(values) // 2]
        parts.append(f"{what} {middle:.3f} s" + (f" (median of {len(values)})" if len(values) > 1 else ""))
    return ", ".join(parts)
