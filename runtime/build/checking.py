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

    Row = tuple[int, str, str]  # line, name of the rule, sentence

_EMPTY, _EMPTY_RULE = "an empty line inside a continued one", "noemptycontinuation"
_SECRET = ("apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token")
_PUBLIC = ("public", "file")
_EXPANDED = ("ADD", "COPY", "ENV", "EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")


def check(request: BuildRequest) -> list[str]:
    """Sentences, each with file and line. Raises BuildFault for a file that cannot be built at all."""
    data, name = _read(request)
    file = parse(data, name)
    plan_stages(file, request.args, request.contexts, request.target, request.platform)
    return lint(file)


def lint(file: Dockerfile) -> list[str]:
    """What is doubtful in a file that was read, without the rules that ``# check=skip=NAME,NAME`` (or all) names.

    Each sentence ends with the name that BuildKit gives the rule.
    """
    skipped = _skipped(file)
    found = [
        f"{file.name}: {text}" for text in file.warnings if not text.endswith(_EMPTY) or _EMPTY_RULE not in skipped
    ]
    if "all" in skipped:
        return found
    rows = [*_stages(file), *(row for stage in file.stages for row in _stage(stage, file))]
    told = [(line, f"{text} ({rule})") for line, rule, text in rows if rule.lower() not in skipped]
    return found + [f"{file.name}:{line}: {text}" for line, text in told]


def _skipped(file: Dockerfile) -> set[str]:
    words = [word.partition("=")[2] for word in check_words(file) if word.startswith("skip=")]
    return {name.lower() for word in words for name in word.split(",")}


def _stages(file: Dockerfile) -> list[Row]:
    """What is doubtful about the lines FROM, and the keywords of the whole file."""
    found: list[Row] = []
    seen: set[str] = set()
    given = {name for made in file.globals for name, value in made.pairs} | set(platform_args("", ""))
    for stage in file.stages:
        words = stage.original.split()
        name = words[-1] if stage.name else ""
        if name != stage.name:
            found.append((stage.line, "StageNameCasing", f"the stage {name} is called {stage.name}: write it so"))
        if stage.name and words[-2] != ("as" if words[0].islower() else "AS"):
            found.append((stage.line, "FromAsCasing", f"{words[0]} and {words[-2]} are not in the same case"))
        if stage.name in ("scratch", "context"):
            found.append(
                (stage.line, "ReservedStageName", f"{stage.name} means something else: call the stage otherwise")
            )
        if stage.name in seen:
            found.append((stage.line, "DuplicateStageName", f"there is another stage {stage.name} before it"))
        seen.add(stage.name or " ")
        found += _base(stage, given, file.escape)
    return found + _casing(file)


def _base(stage: Stage, given: set[str], escape: str) -> list[Row]:
    found: list[Row] = []
    if stage.platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
        found.append((stage.line, "RedundantTargetPlatform", "--platform=$TARGETPLATFORM is what it is without"))
    elif stage.platform and "$" not in stage.platform:
        text = f"--platform={stage.platform} is the same on all machines: take a variable, or leave it out"
        found.append((stage.line, "FromPlatformFlagConstDisallowed", text))
    expander = Expander(dict.fromkeys(given, "x"), escape)
    try:
        expander.word(stage.base)
    except WordError:
        return found
    text = "the variable {} is not set before the first FROM"
    return found + [(stage.line, "UndefinedArgInFrom", text.format(name)) for name in sorted(expander.unset)]


def _casing(file: Dockerfile) -> list[Row]:
    """Keywords in the case that most of them have."""
    heads = [(stage.line, stage.original.split()[0]) for stage in file.stages]
    heads += [(step.line, step.original.split()[0]) for stage in file.stages for step in stage.steps]
    lower = 2 * sum(word.islower() for _line, word in heads) > len(heads)
    wrong = [(line, word) for line, word in heads if word != (word.lower() if lower else word.upper())]
    return [(line, "ConsistentInstructionCasing", f"{word} is not in the case of the others") for line, word in wrong]


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


def _stage(stage: Stage, file: Dockerfile) -> list[Row]:
    found: list[Row] = []
    known = dict.fromkeys([*platform_args("", ""), *PROXIES, "PATH", "HOME"], "x")
    counts = {"CMD": 0, "ENTRYPOINT": 0, "HEALTHCHECK": 0}
    has_shell = placed = False
    for step in stage.steps:
        found += _one(step, known, file.escape)
        has_shell |= step.keyword == "SHELL"
        if step.keyword in ("CMD", "ENTRYPOINT") and not step.is_json and not has_shell:
            text = f"{step.keyword} through a shell gets no signals: use the JSON form"
            found.append((step.line, "JSONArgsRecommended", text))
        if step.keyword == "WORKDIR":
            placed |= step.text.startswith(("/", "$"))
            if not placed:
                found.append((step.line, "WorkdirRelativePath", f"WORKDIR {step.text} is relative to the base image's"))
        if step.keyword in counts:
            counts[step.keyword] += 1
            if counts[step.keyword] == 2:
                text = f"{step.keyword} is there more than once: only the last one counts"
                found.append((step.line, "MultipleInstructionsDisallowed", text))
        if step.keyword in ("ARG", "ENV"):
            known.update({name: "x" for name, _value in step.pairs})
    return found


def _one(step: Instruction, known: dict[str, str], escape: str) -> list[Row]:
    found: list[Row] = []
    if step.keyword == "MAINTAINER":
        text = "MAINTAINER is deprecated: use LABEL org.opencontainers.image.authors"
        found.append((step.line, "MaintainerDeprecated", text))
    if step.old_form:
        text = f"{step.keyword} in its old form: write {step.keyword} NAME=VALUE"
        found.append((step.line, "LegacyKeyValueFormat", text))
    if step.keyword in ("ARG", "ENV"):
        secret = [name for name, _value in step.pairs if _is_secret(name)]
        text = "{} stays in the image for all to read: use RUN --mount=type=secret"
        found += [(step.line, "SecretsUsedInArgOrEnv", text.format(name)) for name in secret]
    if step.keyword == "EXPOSE" and step.text != step.text.lower() and "$" not in step.text:
        found.append((step.line, "ExposeProtoCasing", f"EXPOSE {step.text}: write the protocol in lower case"))
    if step.keyword in _EXPANDED:
        expander = Expander(known, escape)
        try:
            expander.words(step.text)
        except WordError:
            return found
        found += [
            (step.line, "UndefinedVar", f"the variable {name} is not set here") for name in sorted(expander.unset)
        ]
    return found


def _is_secret(name: str) -> bool:
    words = name.lower().split("_")
    return any(word in _SECRET for word in words) and not any(word in _PUBLIC for word in words)
