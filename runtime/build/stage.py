"""Carries out the instructions of one stage, in order: settings here, files and commands in their own modules."""

from __future__ import annotations

import os

from runtime.build import settings
from runtime.build.cache import key_of
from runtime.build.commands import run_command
from runtime.build.copying import Copier
from runtime.build.errors import BuildFault, placed
from runtime.build.files import copy_files, read_file
from runtime.build.instructions import Instruction, Parser
from runtime.build.lines import Line
from runtime.build.words import Expander, WordError
from runtime.errors import RuntimeFault
from runtime.users import UserError, resolve_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.build.builder import Builder
    from runtime.build.stages import PlannedStage
    from runtime.build.state import StageState

LAYERED = ("RUN", "COPY", "ADD", "WORKDIR")


class StageBuilder:
    """One stage on its state. ``fresh``: results of earlier builds are not used."""

    def __init__(self, builder: Builder, planned: PlannedStage, state: StageState, fresh: bool) -> None:
        self.builder = builder
        self.planned = planned
        self.state = state
        self.fresh = fresh
        self.escape = builder.file.escape
        self.steps = self._triggers() + list(planned.stage.steps)
        self.total = 1 + sum(step.keyword in LAYERED for step in self.steps)
        self.done = 1

    def _triggers(self) -> list[Instruction]:
        """The base's ONBUILD instructions, which come first and are then forgotten."""
        texts = self.state.config.pop("OnBuild", None) or []
        parser = Parser("ONBUILD of the base", self.escape)
        return [parser.instruction(Line(self.planned.stage.line, 0, text)) for text in texts]

    def run(self) -> StageState:
        """All instructions. Raises BuildFault with file and line."""
        for step in self.steps:
            self.builder.check_stopped()
            try:
                _HANDLERS[step.keyword](self, step)
            except BuildFault as error:
                raise self._placed(error, step) from error
            except WordError as error:
                raise self._placed(BuildFault(f"cannot expand: {error}"), step) from None
            except RuntimeFault as error:
                raise self._placed(BuildFault(error.message, error.hint), step) from error
            except OSError as error:
                text = f"{(error.strerror or 'input/output error').lower()}: {error.filename or ''}"
                raise self._placed(BuildFault(f"cannot carry it out: {text}"), step) from error
        return self.state

    def _placed(self, error: BuildFault, step: Instruction) -> BuildFault:
        return placed(error, self.builder.file.name, step.line, step.original)

    # -- values

    def expand(self, text: str) -> str:
        """A value with variables, quotes and escapes taken care of. Raises WordError."""
        return self.expander().word(text)

    def expander(self) -> Expander:
        return Expander(self.state.scope, self.escape)

    def title(self, text: str) -> str:
        """``[builder 2/5] RUN make`` of the next step that makes a layer."""
        self.done += 1
        name = f"{self.planned.title} " if len(self.builder.plan.needed) > 1 else ""
        return f"[{name}{self.done}/{self.total}] {text}"


# -- instructions that change settings


def _env(stage: StageBuilder, step: Instruction) -> None:
    expander = stage.expander()  # all of one line see the values from before it
    pairs = [(expander.word(name), expander.word(value or "")) for name, value in step.pairs]
    for name, value in pairs:
        settings.set_env(stage.state.config, name, value)
        stage.state.scope[name] = value
    stage.state.note("ENV " + " ".join(f"{name}={value}" for name, value in pairs))


def _label(stage: StageBuilder, step: Instruction) -> None:
    expander = stage.expander()
    pairs = [(expander.word(name), expander.word(value or "")) for name, value in step.pairs]
    stage.state.config["Labels"] = {**(stage.state.config.get("Labels") or {}), **dict(pairs)}
    stage.state.note("LABEL " + " ".join(f"{name}={value}" for name, value in pairs))


def _arg(stage: StageBuilder, step: Instruction) -> None:
    given = stage.builder.request.args
    shown = []
    for quoted, default in step.pairs:
        name = stage.expand(quoted)
        value = given.get(name)
        if value is None:
            value = stage.expand(default) if default is not None else stage.builder.plan.scope.get(name)
        stage.state.args.pop(name, None)
        stage.state.args[name] = value
        if value is not None:
            stage.state.scope[name] = value
        stage.builder.consumed.add(name)
        shown.append(name if value is None else f"{name}={value}")
    stage.state.note("ARG " + " ".join(shown))


def _cmd(stage: StageBuilder, step: Instruction) -> None:
    words = settings.command(stage.state.config, step.words, step.is_json)
    stage.state.config["Cmd"], stage.state.own_cmd = words, True
    stage.state.config["ArgsEscaped"] = True
    stage.state.note(f"CMD {settings.quoted(words)}")


def _entrypoint(stage: StageBuilder, step: Instruction) -> None:
    words = settings.command(stage.state.config, step.words, step.is_json)
    stage.state.config["Entrypoint"] = words
    if not stage.state.own_cmd:
        stage.state.config.pop("Cmd", None)
    stage.state.note(f"ENTRYPOINT {settings.quoted(words)}")


def _expose(stage: StageBuilder, step: Instruction) -> None:
    expander = stage.expander()
    words = [word for text in sorted(step.words) for word in expander.words(text)]
    ports = [port for word in words for port in settings.ports([word])]
    stage.state.config["ExposedPorts"] = {
        **(stage.state.config.get("ExposedPorts") or {}),
        **{port: {} for port in ports},
    }
    stage.state.note(f"EXPOSE [{' '.join(ports)}]")


def _volume(stage: StageBuilder, step: Instruction) -> None:
    paths = [stage.expand(word) for word in step.words]
    stage.state.config["Volumes"] = {**(stage.state.config.get("Volumes") or {}), **{path: {} for path in paths}}
    stage.state.note(f"VOLUME [{' '.join(paths)}]")


def _user(stage: StageBuilder, step: Instruction) -> None:
    stage.state.config["User"] = user = stage.expand(step.words[0])
    stage.state.note(f"USER {user}")


def _stopsignal(stage: StageBuilder, step: Instruction) -> None:
    from runtime.errors import RuntimeFault
    from runtime.signals import signal_number

    name = stage.expand(step.words[0])
    try:
        signal_number(name)
    except RuntimeFault:
        raise BuildFault(f"cannot use stop signal {name!r}: no such signal") from None
    stage.state.config["StopSignal"] = name
    stage.state.note(f"STOPSIGNAL {name}")


def _shell(stage: StageBuilder, step: Instruction) -> None:
    stage.state.config["Shell"] = list(step.words)
    stage.state.note(f"SHELL [{' '.join(step.words)}]")


def _maintainer(stage: StageBuilder, step: Instruction) -> None:
    stage.state.author = step.words[0]
    stage.state.note(f"MAINTAINER {step.words[0]}")


def _healthcheck(stage: StageBuilder, step: Instruction) -> None:
    check = settings.healthcheck(step.words, step.is_json, dict(step.flags))
    stage.state.config["Healthcheck"] = check
    stage.state.note(settings.show_healthcheck(check))


def _onbuild(stage: StageBuilder, step: Instruction) -> None:
    stage.state.config["OnBuild"] = [*(stage.state.config.get("OnBuild") or []), step.text]


def _workdir(stage: StageBuilder, step: Instruction) -> None:
    path = settings.workdir(stage.state.config, stage.expand(step.words[0]))
    stage.state.config["WorkingDir"] = path
    if path == "/":
        stage.title("")
        return stage.state.note(f"WORKDIR {path}")
    user = stage.state.config.get("User") or ""
    key = key_of(["workdir", stage.state.key, path, user])

    def make(place: str) -> int:
        copier = Copier(f"{place}/diff", stage.state.layers, _owner(stage, user), None, foreign=False)
        try:
            copier.dirs.parent(os.fsencode(path))
        finally:
            copier.close()
        return 0

    stage.builder.step(stage, key, stage.title(step.original), make)
    return stage.state.note(f"WORKDIR {path}", empty=False)


def _owner(stage: StageBuilder, user: str) -> tuple[int, int]:
    """Who owns a new working directory: the USER at this moment."""
    if not user:
        return 0, 0
    passwd = read_file(stage.state.layers, "/etc/passwd") or b""
    group = read_file(stage.state.layers, "/etc/group") or b""
    try:
        found = resolve_user(os.fsencode(user), (), passwd, group)
    except UserError as error:
        raise BuildFault(f"cannot find user {user!r}: {error.args[0].decode()}") from None
    return found.uid, found.gid


if TYPE_CHECKING:
    Handler = Callable[[StageBuilder, Instruction], None]

_HANDLERS: Mapping[str, Handler] = {
    "ADD": copy_files,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": copy_files,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": run_command,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
