"""Does what a batch says, in its order: rebuild, sync, restart, commands. What fails is told, and the rest goes on.

Files are written to every container of a service. What was synced since the start is remembered: a container that is
made or started later (by ``up`` in another terminal, by a rebuild) gets it all, and what it has already is left alone.
"""

from __future__ import annotations

import time

from compose.api import lifecycle
from compose.api.up import UpOptions, up
from compose.errors import ComposeError, Interrupted
from compose.events import WatchEvent
from compose.record import replace
from compose.watch.batch import Batch, Sync
from netplan.errors import NetworkFault
from runtime.errors import NotFound, RuntimeFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from compose.engine.live import LiveContainer, LiveContainers
    from compose.engine.local import LocalEngine
    from compose.engine.protocol import OnCancel
    from compose.events import Reporter
    from compose.plan.desired import Desired
    from compose.watch.rules import Rule

FAULTS = (ComposeError, RuntimeFault, NetworkFault, OSError)


class Surroundings:
    """What the actions work with. ``desired`` changes with the Compose file.

    ``engine``: makes one for each action that changes containers, for whoever else works on the project meanwhile may
    have ended the processes that an older one talks to. ``up``: how containers are converged (lock, workers).
    """

    def __init__(
        self,
        desired: Desired,
        live: LiveContainers,
        engine: Callable[[], LocalEngine],
        reporter: Reporter,
        up: UpOptions,
        environ: Mapping[str, str],
        *,
        prune: bool = True,
        quiet: bool = False,
    ) -> None:
        self.desired = desired
        self.live = live
        self.engine = engine
        self.reporter = reporter
        self.up = up
        self.environ = environ
        self.prune = prune
        self.quiet = quiet


class Actions:
    """Performs batches, one at a time. ``stop`` is asked between files and between steps; ``on_cancel`` takes what ends
    a build at once."""

    def __init__(self, around: Surroundings, stop: Callable[[], bool], on_cancel: OnCancel) -> None:
        self.around = around
        self.stop = stop
        self.on_cancel = on_cancel
        self.synced: dict[str, dict[str, str]] = {}  # service -> container path -> host path, since the start
        self.unsaid: set[str] = set()  # services of which it was said that nothing runs

    def tell(self, kind: str, text: str, service: str = "", seconds: float = 0.0, **data: object) -> None:
        self.around.reporter.emit(WatchEvent(kind, text, service, seconds, data))

    def perform(self, batch: Batch, began: float) -> set[str]:
        """All steps of a batch; ``began``: monotonic time of its first change.

        Gives the services in which something was begun by it: made anew, restarted, or a command.
        """
        rebuilt = self._rebuild(batch.rebuild, began) if batch.rebuild and not self.stop() else ()
        restart = [name for name in batch.restart if name not in rebuilt]
        execs: list[Rule] = []
        for sync in batch.syncs:
            if not self.stop() and self._sync(sync, began):
                if sync.restart and sync.service not in restart:
                    restart.append(sync.service)
                execs += sync.execs
        if restart and not self.stop():
            self._restart(tuple(restart), began)
        for rule in execs:
            if not self.stop():
                self._execute(rule, began)
        return {*rebuilt, *restart, *(rule.service for rule in execs)}

    # sync

    def _sync(self, sync: Sync, began: float) -> int:
        """Write to all containers of the service; how many files were new in any of them."""
        self.synced.setdefault(sync.service, {}).update(sync.writes)
        found = [one for one in self.around.live.all() if one.service == sync.service]
        if not found:
            if sync.service not in self.unsaid:
                self.unsaid.add(sync.service)
                self.tell("sync", f"{sync.service}: no container; changes wait for its start", sync.service)
            return 0
        self.unsaid.discard(sync.service)
        return self._write(sync.service, found, sync.writes, began)

    def _write(
        self, service: str, found: list[LiveContainer], writes: Mapping[str, str], began: float, why: str = ""
    ) -> int:
        most = reached = 0
        for container in found:
            if container.is_between or self.stop():
                continue  # its start brings it
            changed = self._write_one(container, writes)
            most = max(most, changed)
            reached += changed > 0
        if most:
            seconds = time.monotonic() - began
            files = f"{most} file{'s' if most > 1 else ''}"
            where = f" to {reached} containers" if reached > 1 else ""
            text = f"{service}: synced {files}{where} in {duration(seconds)}{why}"
            self.tell("sync", text, service, seconds, files=most, containers=reached)
        return most

    def _write_one(self, container: LiveContainer, writes: Mapping[str, str]) -> int:
        pairs = [(source, target) for target, source in writes.items()]
        try:
            done = self.around.live.write(container.ident, pairs, self.stop)
        except (*FAULTS, NotFound) as fault:
            if not self._is_gone(container):
                self._failed("sync", container.service, f"cannot sync to {container.title}: {reason(fault)}")
            return 0
        for problem in done.problems[:3]:
            self._failed("sync", container.service, f"{container.title}: {problem}")
        if len(done.problems) > 3:
            self._failed("sync", container.service, f"{container.title}: {len(done.problems) - 3} more files failed")
        return done.written + done.removed

    def _is_gone(self, container: LiveContainer) -> bool:
        """It was removed or replaced while we wrote: its successor gets it all when it starts."""
        return all(one.ident != container.ident for one in self.around.live.all())

    def initial(self, syncs: Iterable[Sync]) -> None:
        """At the start: bring containers up to date with what their rules say is to be compared then."""
        self.perform(Batch((), tuple(syncs)), time.monotonic())

    def catch_up(self, services: Iterable[str]) -> None:
        """Containers of these services were started: give them what was synced before."""
        for service in sorted(set(services)):
            writes = self.synced.get(service)
            if writes:
                began = time.monotonic()
                found = [one for one in self.around.live.all() if one.service == service]
                self.unsaid.discard(service)
                self._write(service, found, writes, began, " after its start")

    # rebuild

    def _rebuild(self, services: tuple[str, ...], began: float) -> tuple[str, ...]:
        """Build, then recreate what has another image; the services that were built."""
        around = self.around
        before = {name: self._image(name) for name in services}
        names = ", ".join(services)
        self.tell("rebuild", f"{names}: rebuilding", names)
        engine = around.engine()
        try:
            self._build(engine, services)
            changed = tuple(name for name in services if self._image(name) != before[name])
            if changed:
                wanted = _options(around.up, changed)
                up(engine, around.desired, wanted, around.reporter)
            if around.prune:
                self._prune({digest for name, digest in before.items() if name in changed and digest})
        except Interrupted:
            self.tell("rebuild", f"{names}: rebuild cancelled; the containers stay as they are", names, changed=[])
            return ()
        except FAULTS as fault:
            self._failed("rebuild", names, f"{names}: cannot rebuild: {reason(fault)}")
            return ()
        finally:
            engine.close()
        seconds = time.monotonic() - began
        word = "rebuilt" if changed else "rebuilt, nothing changed"
        self.tell("rebuild", f"{names}: {word} in {duration(seconds)}", names, seconds, changed=list(changed))
        return changed

    def _build(self, engine: LocalEngine, services: tuple[str, ...]) -> None:
        from compose.api import build as api
        from compose.engine.building import BuildOptions

        around = self.around
        names = api.select(around.desired, services)
        options = BuildOptions(quiet=around.quiet)
        roots = around.live.roots
        api.build(
            roots,
            around.desired,
            names,
            options,
            around.reporter,
            around.environ,
            store=lambda: engine.store,
            on_cancel=self.on_cancel,
        )

    def _image(self, name: str) -> str:
        from runtime.images.store import resolve

        try:
            return resolve(self.around.live.roots, self.around.desired.service(name).image).digest
        except (RuntimeFault, KeyError):
            return ""

    def _prune(self, digests: set[str]) -> None:
        """Remove images that lost their name to a new one, unless somebody uses them."""
        from compose import labels
        from runtime.container import list_containers
        from runtime.images import store

        roots = self.around.live.roots

        def in_use(digest: str) -> list[str]:
            return [one.name for one in list_containers(roots) if one.labels.get(labels.IMAGE) == digest]

        for digest in digests:
            try:
                if not any(image.digest == digest and image.reference for image in store.list_images(roots)):
                    store.remove_image(roots, digest, False, in_use)
            except RuntimeFault:
                continue  # in use: it stays

    # restart and commands

    def _restart(self, services: tuple[str, ...], began: float) -> None:
        around = self.around
        there = {one.service for one in around.live.all()}
        wanted = tuple(name for name in services if name in there)
        if not wanted:
            return
        options = lifecycle.LifeOptions(
            services=wanted, timeout=around.up.timeout, lock=around.up.lock, workers=around.up.workers
        )
        names = ", ".join(wanted)
        engine = around.engine()
        try:
            lifecycle.restart(engine, around.desired, options, around.reporter)
        except FAULTS as fault:
            self._failed("restart", names, f"{names}: cannot restart: {reason(fault)}")
            return
        finally:
            engine.close()
        seconds = time.monotonic() - began
        self.tell("restart", f"{names}: restarted in {duration(seconds)}", names, seconds)

    def _execute(self, rule: Rule, began: float) -> None:
        for container in self.around.live.all():
            if container.service != rule.service or not container.is_running:
                continue
            words = rule.exec.get("command")
            shown = words if isinstance(words, str) else " ".join(words or ())
            try:
                code, output = self.around.live.execute(container.ident, rule.exec)
            except FAULTS as fault:
                self._failed("exec", rule.service, f"{container.title}: cannot run {shown}: {reason(fault)}")
                continue
            if code:
                tail = "".join(f"\n  {line}" for line in output.splitlines()[-5:])
                self._failed("exec", rule.service, f"{container.title}: {shown} exited with code {code}{tail}")
                continue
            seconds = time.monotonic() - began
            text = f"{container.title}: ran {shown} in {duration(seconds)}"
            self.tell("exec", text, rule.service, seconds, output=output)

    def _failed(self, step: str, service: str, text: str) -> None:
        self.tell("error", text, service, step=step)


def _options(base: UpOptions, services: tuple[str, ...]) -> UpOptions:
    """Only these services, not what they depend on: what asks to be restarted with them is."""
    return replace(base, services=services, no_deps=True, wait=False)


def reason(fault: BaseException) -> str:
    """An error as the second half of a sentence, with its hint."""
    text = getattr(fault, "message", "") or str(fault)
    hint = getattr(fault, "hint", "")
    return f"{text}\n  {hint}" if hint else text


def duration(seconds: float) -> str:
    """``12 ms`` or ``3.2 s``."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
