"""The stages of a Dockerfile as a graph: what each is built from, and which are needed for a target. Pure."""

from __future__ import annotations

from runtime.build.errors import BuildFault, nearest, placed
from runtime.build.mounts import parse_mount
from runtime.build.platform import platform_args
from runtime.build.words import Expander, WordError
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.build.instructions import Dockerfile, Instruction, Stage


@record
class Base:
    """What a stage begins with. ``kind``: scratch, stage (``index``), context or image (``name``)."""

    kind: str
    name: str = ""
    index: int = -1


@record
class PlannedStage:
    """A stage with its base resolved. ``needs``: indexes of the stages whose files it reads, the base's too."""

    stage: Stage
    base: Base
    platform: str
    needs: tuple[int, ...]

    @property
    def title(self) -> str:
        return self.stage.name or f"stage-{self.stage.index}"


@record
class StagePlan:
    """The whole file. ``needed``: indexes in order, the target last; ``scope``: the global arguments.

    ``lineage``: the target and the stages that it stands on: their layers are those of the image.
    """

    stages: tuple[PlannedStage, ...]
    target: int
    needed: tuple[int, ...]
    scope: Mapping[str, str]
    lineage: frozenset[int] = frozenset()


class _Planner:
    def __init__(self, file: Dockerfile, contexts: Mapping[str, str]) -> None:
        self.file = file
        self.contexts = {name.lower() for name in contexts}
        self.names: dict[str, int] = {}
        self.problems: dict[int, BuildFault] = {}

    def fault(self, line: int, reason: str, hint: str = "") -> BuildFault:
        return BuildFault(f"cannot build {self.file.name}:{line}: {reason}", hint, line)

    def scope(self, args: Mapping[str, str], platform: str, target: str) -> dict[str, str]:
        """The global arguments: automatic ones, then each ARG before the first FROM, as given or by its default."""
        automatic = platform_args(platform, target)
        values = {**automatic, **{key: args[key] for key in automatic if key in args}}
        for made in self.file.globals:
            for name, default in made.pairs:
                if name in args:
                    values[name] = args[name]
                elif default is not None:
                    values[name] = self.expand(default, values, made.line)
        return values

    def expand(self, text: str, values: Mapping[str, str], line: int) -> str:
        try:
            return Expander(values, self.file.escape).word(text)
        except WordError as error:
            raise self.fault(line, f"{text!r}: {error}") from None

    def stage(self, stage: Stage, scope: Mapping[str, str]) -> PlannedStage:
        name = self.expand(stage.base, scope, stage.line)
        if not name:
            hint = "give the argument in it a default before the first FROM"
            raise self.fault(stage.line, f"the image {stage.base!r} is empty after expansion", hint)
        base = self._base(name)
        needs = {base.index} if base.kind == "stage" else set()
        for step in stage.steps:
            try:
                needs |= self._sources(step, stage)
            except BuildFault as error:
                raise placed(error, self.file.name, step.line, step.original) from None
        planned = PlannedStage(stage, base, self.expand(stage.platform, scope, stage.line), tuple(sorted(needs)))
        if stage.name:
            self.names[stage.name] = stage.index
        return planned

    def _base(self, name: str) -> Base:
        if name.lower() in self.names:
            return Base("stage", name, self.names[name.lower()])
        if name.lower() in self.contexts:
            return Base("context", name)
        return Base("scratch") if name == "scratch" else Base("image", name)

    def _sources(self, step: Instruction, stage: Stage) -> set[int]:
        """Earlier stages that an instruction reads."""
        found = set()
        for name in sources_of(step):
            if "$" in name:
                flag = "--from" if step.keyword == "COPY" else "from="
                hint = "name it once more: FROM $X AS name, and use the name"
                raise self.fault(step.line, f"{flag} takes no variables", hint)
            index = self.find(name)
            if index is not None:
                found.add(index)
            elif name.lower() not in self.contexts:
                self._check_not_stage(name, step, stage)
        return found

    def find(self, name: str) -> int | None:
        """The stage of a name or a number, among those read so far."""
        known = self.names.get(name.lower())
        if known is None and name.isdigit() and int(name) < len(self.file.stages):
            return int(name)
        return known

    def _check_not_stage(self, name: str, step: Instruction, stage: Stage) -> None:
        """Names of later stages are refused, never taken for images; only if the stage is needed."""
        for other in self.file.stages[stage.index :]:
            if other.name == name.lower():
                reason = "itself: a circular dependency" if other.index == stage.index else "a later stage"
                hint = "only earlier stages can be copied from"
                self.problems.setdefault(stage.index, self.fault(step.line, f"{name!r} is {reason}", hint))


def sources_of(step: Instruction) -> list[str]:
    """The names that an instruction takes files from; the main context is none of them."""
    inner = step.inner or step
    if inner.keyword == "COPY" and step.inner is None:
        return [name] if (name := step.flag("from")) else []
    if inner.keyword == "RUN" and step.inner is None:
        mounts = [parse_mount(text, {}) for text in step.every("mount")]
        return [mount.from_ for mount in mounts if mount.from_]
    return []


def plan_stages(
    file: Dockerfile, args: Mapping[str, str], contexts: Mapping[str, str], target: str = "", platform: str = ""
) -> StagePlan:
    """Resolve every base and choose what is needed. Raises BuildFault."""
    planner = _Planner(file, contexts)
    scope = planner.scope(args, platform, target or file.stages[-1].name)
    stages = tuple(planner.stage(stage, scope) for stage in file.stages)
    index = _target(planner, stages, target)
    needed = sorted(_closure(stages, index))
    for number in needed:
        if number in planner.problems:
            raise planner.problems[number]
        if any(need >= number for need in stages[number].needs):
            title, line = stages[number].title, stages[number].stage.line
            raise planner.fault(line, f"stage {title} depends on a later stage, or on itself")
    return StagePlan(stages, index, tuple(needed), scope, _lineage(stages, index))


def _target(planner: _Planner, stages: tuple[PlannedStage, ...], target: str) -> int:
    if not target:
        return len(stages) - 1
    found = planner.names.get(target.lower())
    if found is None:
        names = [stage.stage.name for stage in stages if stage.stage.name]
        hint = nearest(target.lower(), names) or (f"stages: {', '.join(names)}" if names else "no stage has a name")
        raise BuildFault(f"cannot build target {target!r}: {planner.file.name} has no such stage", hint)
    return found


def _lineage(stages: tuple[PlannedStage, ...], index: int) -> frozenset[int]:
    found = {index}
    while stages[index].base.kind == "stage":
        index = stages[index].base.index
        found.add(index)
    return frozenset(found)


def _closure(stages: tuple[PlannedStage, ...], index: int) -> set[int]:
    found, queue = set(), [index]
    while queue:
        one = queue.pop()
        if one not in found:
            found.add(one)
            queue += stages[one].needs
    return found
