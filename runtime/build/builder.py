"""One build from beginning to end: the file, the stages as a graph in threads, the cache, the image and its names."""

from __future__ import annotations

import os
import threading
import time

from runtime.build.cache import Cache, key_of, now
from runtime.build.context import Digests, read_ignore
from runtime.build.errors import BuildCancelled, BuildFault, placed
from runtime.build.files_of import find_context, read_dockerfile
from runtime.build.finishing import write_image
from runtime.build.hashing import Hashing
from runtime.build.instructions import parse
from runtime.build.output import Output, PartLines
from runtime.build.platform import check_platform
from runtime.build.request import StepBegan, StepEnded, Warned
from runtime.build.running import Machine, Runner
from runtime.build.sources import Sources
from runtime.build.stage import StageBuilder
from runtime.build.stages import plan_stages
from runtime.build.state import PROXIES, StageState
from runtime.build.unchanged import Unchanged
from runtime.errors import RuntimeFault
from runtime.images.ingest import Staging
from runtime.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from typing import Any, TypeVar

    from runtime.build.cache import Piece
    from runtime.build.exchange import Exchange
    from runtime.build.output import Tell
    from runtime.build.request import BuildRequest, Reporter, Surroundings
    from runtime.build.stages import PlannedStage
    from runtime.images.store import Image
    from runtime.paths import Roots

    Result = TypeVar("Result")

_WORKERS = 4
_BUILT_IN_ARGS = frozenset(
    (
        "BUILDKIT_INLINE_CACHE",
        "BUILDKIT_MULTI_PLATFORM",
        "BUILDKIT_SANDBOX_HOSTNAME",
        "BUILDKIT_SYNTAX",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
        "BUILDKIT_CACHE_MOUNT_NS",
        "BUILDKIT_BUILD_NAME",
        "SOURCE_DATE_EPOCH",
    )
)


class Builder:
    """A build of one image. Its methods are also what the steps of stages call."""

    def __init__(
        self, roots: Roots, request: BuildRequest, reporter: Reporter, surroundings: Surroundings | None = None
    ) -> None:
        self.roots = roots
        self.request = request
        self.reporter = reporter
        self.surroundings = surroundings
        self.consumed: set[str] = set()
        self.stopped = threading.Event()
        self.failure: BaseException | None = None
        self.threads: set[int] = set()  # that work for it
        self.runner: Runner  # once the file is read
        self._ready: threading.Thread | None = None
        self.steps = 0
        self.used: dict[str, Piece] = {}  # what this build took or made, by key
        self.sources = Sources(self)
        self.exchange: Exchange | None = None  # caches of others, if any are named
        self._lock = threading.Lock()
        self._futures: dict[int, Future[StageState]] = {}
        self._renewed: set[str] = set()
        self._made: set[str] = set()  # keys of the commands that this build ran
        self._current = threading.local()

    def run(self) -> Image:
        """Build, store and name the image. Raises BuildFault."""
        self.threads.add(threading.get_ident())
        if self.request.platform:
            check_platform(self.request.platform)
        with Staging(self.roots) as self.staging:
            self.cache = Cache(self.roots)
            self.directory, self.dockerfile = find_context(self)
            data, name = read_dockerfile(self)
            self.file = parse(data, name)
            self._warn()
            self.plan = plan_stages(
                self.file, self.request.args, self.request.contexts, self.request.target, self.request.platform
            )
            self._open_caches()
            self.hashing = Hashing(self.cache)
            self.digests = Digests(self._memo_path("files"), self.check_stopped)
            self.unchanged = Unchanged(self._memo_path("files-of"))
            self.machine = self._machine()
            self.runner = Runner(self.roots, self.machine, self._resolv_conf, self._host_addresses)
            try:
                self.check_stopped()
                state = self._build_stages()
                leaving = threading.Thread(target=self._leave_early)
                leaving.start()  # taking links down waits for the kernel; the image is written meanwhile
                self.digests.save()
                self.unchanged.save()
                self._warn_unused()
                image = write_image(
                    self.roots,
                    self.cache,
                    state,
                    self.request.tags,
                    labels=self.request.labels,
                    platform=self.request.platform,
                    epoch=self.request.epoch,
                    extra=self._inline_cache(state),
                )
                if self.exchange is not None:
                    self.exchange.give(self.used, state.pieces)
                leaving.join()
                return image
            finally:
                if self.exchange is not None:
                    self.exchange.close()
                self.close()

    def close(self) -> None:
        """End the commands, and give the network back."""
        if hasattr(self, "hashing"):
            self.hashing.close()
        runner = getattr(self, "runner", None)
        if runner is not None:
            runner.close()
        self._disconnect()

    def _warn(self) -> None:
        """The file's warnings; with ``# check=error=true`` they are errors, and so is what --check finds."""
        for text in self.file.warnings:
            self.reporter.emit(Warned(text))
        if "check" in dict(self.file.directives):
            from runtime.build.checking import check_words, lint

            ignore = read_ignore(self.directory, self.dockerfile) if self.directory else None
            strict = "error=true" in check_words(self.file)
            if strict and (found := lint(self.file, self.request.args, ignore, self.roots)):
                raise BuildFault(f"cannot build: {found[0]}", "the file asks for this with check=error=true")

    def _open_caches(self) -> None:
        request = self.request
        if request.cache_from or request.cache_to or "BUILDKIT_INLINE_CACHE" in request.args:
            from runtime.build.exchange import Exchange

            self.exchange = Exchange(self)

    def _inline_cache(self, state: StageState) -> dict[str, Any]:
        """What the image's configuration says of its own layers for later builds, if that is asked for."""
        if self.exchange is None or not self.exchange.inline:
            return {}
        from runtime.build.remote_cache import ENTRY, records_of

        own = {piece.name for piece in state.pieces}
        return {ENTRY: records_of(self.cache, {key: piece for key, piece in self.used.items() if piece.name in own})}

    def _memo_path(self, kind: str) -> str:
        if not self.directory:
            return ""
        return f"{self.cache.directory}/{kind}-{key_of(os.path.realpath(self.directory))[:24]}.json"

    def _machine(self) -> Machine:
        request = self.request
        hostname = request.args.get("BUILDKIT_SANDBOX_HOSTNAME", "")
        return Machine(
            request.extra_hosts,
            request.shm_size,
            request.memory,
            request.ulimits,
            request.cgroup_parent,
            **({"hostname": hostname} if hostname else {}),
        )

    def _warn_unused(self) -> None:
        unused = set(self.request.args) - self.consumed - PROXIES - _BUILT_IN_ARGS
        unused -= {name for made in self.file.globals for name, _value in made.pairs}
        if unused:
            self.reporter.emit(Warned(f"build arguments that no ARG takes: {', '.join(sorted(unused))}"))

    # -- stages

    def _build_stages(self) -> StageState:
        needed = self.plan.needed
        if len(needed) == 1:
            return self._build_stage(needed[0])
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_WORKERS) as pool:
            for index in needed:  # what a stage needs has a lower index, so that no worker waits for one not begun
                self._futures[index] = pool.submit(self._build_stage, index)
            try:
                return self._futures[needed[-1]].result()
            except BaseException as error:  # noqa: BLE001 (the first failure is raised in its place)
                self.fail(error)
                raise self.failure or error from None
            finally:
                self.stopped.set()

    def fail(self, error: BaseException) -> None:
        """The first failure of a stage, or who cancels, ends the others."""
        with self._lock:
            self.failure = self.failure or error
        self.stopped.set()
        runner = getattr(self, "runner", None)
        if runner is not None:
            runner.stop()

    def _why(self, error: BaseException) -> str:
        """What is said of a step that did not succeed."""
        if isinstance(self.failure, BuildCancelled):
            return "interrupted"
        return getattr(error, "message", "") or str(error) or "interrupted"

    def stage_result(self, index: int) -> StageState:
        """A stage when it is done. Raises what it raised."""
        return self._futures[index].result()

    def _build_stage(self, index: int) -> StageState:
        self.threads.add(threading.get_ident())
        try:
            planned = self.plan.stages[index]
            if planned.platform:
                check_platform(planned.platform)
            try:
                state = self._begin(planned)
            except RuntimeFault as error:
                raise placed(error, self.file.name, planned.stage.line, planned.stage.original) from error
            state.complete()
            fresh = self.request.no_cache or planned.title.lower() in {
                name.lower() for name in self.request.no_cache_stages
            }
            return StageBuilder(self, planned, state, fresh).run()
        except BaseException as error:
            self.fail(error)
            raise

    def check_stopped(self) -> None:
        """Raises BuildFault when another stage has failed, or the build was cancelled."""
        if isinstance(self.failure, BuildCancelled):
            raise self.failure
        if self.stopped.is_set():
            raise BuildFault("cannot go on: another stage has failed", line=-1)

    def _begin(self, planned: PlannedStage) -> StageState:
        base = planned.base
        if base.kind == "stage":
            return self.stage_result(base.index).child()
        if base.kind == "scratch":
            state = StageState()
            state.config["WorkingDir"] = "/"
            return state
        if base.kind == "image":
            return self.sources.image_state(base.name).child()
        return self.sources.begin_from(base.name)

    # -- steps

    def reuse(self, stage: StageBuilder, key: str, title: str, linked: bool = False) -> bool:
        """Take a step's result from the cache, if it is there and may be used."""
        known = key in self._made  # by another stage of this build
        fresh = stage.fresh or (stage.state.renewed and not linked and not known)
        piece = None if fresh else self.cache.find(key)
        if piece is None and not fresh and self.exchange is not None:
            piece = self.exchange.take(key, () if linked else stage.state.layers)
        if piece is None:
            return False
        key = piece.key or key
        self.used[key] = piece
        number = self._number()
        self.reporter.emit(StepBegan(number, title))
        stage.state.add(piece, key, linked)
        stage.state.renewed |= key in self._made
        self.reporter.emit(StepEnded(number, title, 0.0, cached=True))
        return True

    def step(
        self,
        stage: StageBuilder,
        key: str,
        title: str,
        make: Callable[[str], int],
        *,
        linked: bool = False,
        alias: str = "",
        command: bool = False,
        anew: bool = False,
    ) -> None:
        """A step that makes a layer: from the cache, or by ``make(place)`` that fills ``place/diff``.

        ``command``: it may make something else each time. ``anew``: not from the cache.
        """
        if not anew and self.reuse(stage, key, title, linked):
            if alias:
                self.cache.alias(alias, stage.state.pieces[-1], key)
            return
        self._expect_commands(stage)
        number = self._number()
        self.reporter.emit(StepBegan(number, title))
        began, since = time.monotonic(), now()
        self._current.number = number
        place = self.new_place()
        try:
            size = make(place)
            piece = self.cache.keep_first(key, place, size, since)
        except BaseException as error:
            remove_tree(place)
            self.reporter.emit(StepEnded(number, title, time.monotonic() - began, error=self._why(error)))
            raise
        if alias:
            self.cache.alias(alias, piece, key)
        self.used[key] = piece
        if self._is_wanted(stage):
            self.hashing.add(piece)
        stage.state.add(piece, key, linked)
        if command:
            stage.state.renewed = True
            self._made.add(key)
        self.reporter.emit(StepEnded(number, title, time.monotonic() - began))

    def _is_wanted(self, stage: StageBuilder) -> bool:
        """Whether the layers of a stage will need their digests: of those that the image is, or for a cache of all."""
        return self.exchange is not None or stage.planned.stage.index in self.plan.lineage

    def aside(self, title: str, work: Callable[[Tell], Result]) -> Result:
        """Something beside the steps that takes time and is told as they are: ``work(tell)``. Raises what it raises."""
        number = self._number()
        self.reporter.emit(StepBegan(number, title))
        began = time.monotonic()
        try:
            result = work(PartLines(self.reporter, number))
        except BaseException as error:
            self.reporter.emit(StepEnded(number, title, time.monotonic() - began, error=self._why(error)))
            raise
        self.reporter.emit(StepEnded(number, title, time.monotonic() - began))
        return result

    def _expect_commands(self, stage: StageBuilder) -> None:
        """The first step that is carried out: those after it will be, too, so let runner and network get ready."""
        if self._ready is not None or not any(step.keyword == "RUN" for step in stage.steps):
            return
        with self._lock:
            if self._ready is not None:
                return
            self._ready = threading.Thread(target=self._connect, args=(stage,))
        self.runner.start()
        self._ready.start()

    def _connect(self, stage: StageBuilder) -> None:
        quiet = all(step.flag("network") == "none" for step in stage.steps if step.keyword == "RUN")
        if self.surroundings is not None and self.request.network == "default" and not quiet:
            try:
                os.close(self.surroundings.open_network())
            except Exception:  # noqa: BLE001 (the step that needs it meets the same error and raises it)
                return

    def _leave_early(self) -> None:
        try:
            self._disconnect()
        except Exception:  # noqa: BLE001 (the same is tried again at the end, and raised there)
            return

    def _disconnect(self) -> None:
        """Give the network back; no command follows."""
        if self._ready is not None and self._ready.ident is not None:
            self._ready.join()
        if self.surroundings is not None:
            self.surroundings.close()

    def _number(self) -> int:
        with self._lock:
            self.steps += 1
            return self.steps

    def new_place(self) -> str:
        """A directory in staging with diff/ and work/."""
        place = f"{self.staging.path}/{os.urandom(6).hex()}"
        for path, mode in ((place, 0o700), (f"{place}/diff", 0o755), (f"{place}/work", 0o700)):
            os.mkdir(path, mode)
        os.chmod(f"{place}/diff", 0o755)
        return place

    def scratch(self) -> str:
        """An empty directory in staging."""
        path = f"{self.staging.path}/{os.urandom(6).hex()}"
        os.mkdir(path, 0o700)
        return path

    def output(self) -> Output:
        return Output(self.reporter, self._current.number)

    def network(self) -> int:
        """A connected namespace for a RUN, or -1 for one of its own without any connection."""
        return self.surroundings.open_network() if self.surroundings is not None else -1

    def _resolv_conf(self) -> str:
        return self.surroundings.resolv_conf() if self.surroundings is not None else ""

    def _host_addresses(self) -> Sequence[str]:
        return self.surroundings.host_addresses() if self.surroundings is not None else ()

    def renew_cache_mount(self, path: str) -> None:
        """With --no-cache a cache mount begins empty, once per build."""
        with self._lock:
            if self.request.no_cache and path not in self._renewed:
                self._renewed.add(path)
                remove_tree(path)
