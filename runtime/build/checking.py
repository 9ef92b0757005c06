"""``--check``: what is doubtful in a Dockerfile, found by reading it; nothing is built."""

from __future__ import annotations

import os

from runtime.build.errors import BuildFault
from runtime.build.files_of import NAMES
from runtime.build.instructions import parse
from runtime.build.platform import platform_args
from runtime.build.stages import plan_stages
from runtime.build.state import PROXIES
from runtime.build.words import Expander, WordError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.build.instructions import Dockerfile, Instruction, Stage
    from runtime.build.request import BuildRequest

_EXPANDED = ("ADD", "COPY", "ENV", "EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")


def check(request: BuildRequest) -> list[str]:
    """Sentences, each with file and line. Raises BuildFault for a file that cannot be built at all."""
    data, name = _read(request)
    file = parse(data, name)
    plan_stages(file, request.args, request.contexts, request.target, request.platform)
    return lint(file)


def lint(file: Dockerfile) -> list[str]:
    """What is doubtful in a file that was read; nothing where it says ``# check=skip=all``."""
    found = [f"{file.name}: {text}" for text in file.warnings]
    if "skip=all" in check_words(file):
        return found
    for stage in file.stages:
        found += [f"{file.name}:{line}: {text}" for line, text in _stage(stage, file)]
    return found


def check_words(file: Dockerfile) -> list[str]:
    """The parts of the directive ``check``: ``skip=...``, ``error=true``."""
    return dict(file.directives).get("check", "").replace(" ", "").split(";")


def _read(request: BuildRequest) -> tuple[bytes, str]:
    if request.inline:
        return request.inline.encode(), "dockerfile_inline"
    names = [request.dockerfile] if request.dockerfile else list(NAMES)
    for name in names:
        path = os.path.join(request.context or ".", name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                return file.read(), name
    raise BuildFault(f"cannot read {os.path.join(request.context, names[0])}: no such file or directory")


def _stage(stage: Stage, file: Dockerfile) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    known = dict.fromkeys([*platform_args("", ""), *PROXIES, "PATH", "HOME"], "x")
    counts = {"CMD": 0, "ENTRYPOINT": 0, "HEALTHCHECK": 0}
    for step in stage.steps:
        found += _one(step, known, file.escape)
        if step.keyword in counts:
            counts[step.keyword] += 1
            if counts[step.keyword] == 2:
                found.append((step.line, f"{step.keyword} is there more than once: only the last one counts"))
        if step.keyword in ("ARG", "ENV"):
            known.update({name: "x" for name, _value in step.pairs})
    return found


def _one(step: Instruction, known: dict[str, str], escape: str) -> list[tuple[int, str]]:
    found = []
    if step.keyword == "MAINTAINER":
        found.append((step.line, "MAINTAINER is deprecated: use LABEL org.opencontainers.image.authors"))
    if step.old_form:
        found.append((step.line, f"{step.keyword} in its old form: write {step.keyword} NAME=VALUE"))
    if step.keyword in ("CMD", "ENTRYPOINT") and not step.is_json:
        found.append((step.line, f"{step.keyword} through a shell gets no signals: use the JSON form"))
    if step.keyword == "WORKDIR" and not step.text.startswith(("/", "$")):
        found.append((step.line, f"WORKDIR {step.text} is relative to the one before"))
    if step.keyword in _EXPANDED:
        expander = Expander(known, escape)
        try:
            expander.words(step.text)
        except WordError:
            return found
        found += [(step.line, f"the variable {name} is not set here") for name in sorted(expander.unset)]
    return found
