"""``--check``: what is doubtful in a Dockerfile, found by reading it; nothing is built."""

from __future__ import annotations

import os

from runtime.build import experimental
from runtime.build.context import read_ignore
from runtime.build.errors import BuildFault
from runtime.build.files_of import NAMES
from runtime.build.instructions import parse
from runtime.build.platform import platform_args
from runtime.build.settings import env_of
from runtime.build.stages import plan_stages
from runtime.build.state import PROXIES
from runtime.build.words import Expander, WordError
from runtime.errors import RuntimeFault
from runtime.images.reference import parse as parse_reference
from runtime.images.store import resolve
from runtime.record import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.build.instructions import Dockerfile, Instruction, Stage
    from runtime.build.patterns import Ignore
    from runtime.build.request import BuildRequest
    from runtime.paths import Roots

    Row = tuple[int, str, str]  # line, name of the rule, sentence

_EMPTY, _EMPTY_RULE = "an empty line inside a continued one", "noemptycontinuation"
_SECRET = ("apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token")
_PUBLIC = ("public", "file")
_EXPANDED = ("ADD", "COPY", "ENV", "EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")


def check(request: BuildRequest, roots: Roots | None = None) -> list[str]:
    """Sentences, each with file and line. Raises BuildFault for a file that cannot be built at all.

    ``roots``: whose store knows the variables of base images.
    """
    data, name, path = _read(request)
    file = parse(data, name)
    plan_stages(file, request.args, request.contexts, request.target, request.platform)
    is_here = os.path.isdir(request.context)
    return lint(file, request.args, read_ignore(request.context, path) if is_here else None, roots)


def lint(
    file: Dockerfile, args: Mapping[str, str] = EMPTY, ignore: Ignore | None = None, roots: Roots | None = None
) -> list[str]:
    """What is doubtful in a file that was read, without the rules that ``# check=skip=NAME,NAME`` (or all) names.

    Each sentence ends with the name that BuildKit gives the rule. ``args``: of the build. ``ignore``: of its context.
    """
    skipped = _named(file, "skip")
    found = [
        f"{file.name}: {text}" for text in file.warnings if not text.endswith(_EMPTY) or _EMPTY_RULE not in skipped
    ]
    steps = _Steps(file, args, ignore, roots)
    rows = [*_stages(file), *(row for stage in file.stages for row in steps.check(stage))]
    rows += experimental.descriptions(file)
    wanted = _named(file, "experimental")
    asked = [name.lower() for name in experimental.NAMES if name.lower() in wanted or "all" in wanted]
    told = [
        f"{file.name}:{line}: {text} ({rule})"
        for line, rule, text in rows
        if (rule.lower() in asked if rule in experimental.NAMES else not skipped & {rule.lower(), "all"})
    ]
    return found + told


def _named(file: Dockerfile, word: str) -> set[str]:
    """The rules that the directive names after ``skip=`` or ``experimental=``, in lower case."""
    lists = [part.partition("=")[2] for part in check_words(file) if part.startswith(f"{word}=")]
    return {name.lower() for names in lists for name in names.split(",")}


def _stages(file: Dockerfile) -> list[Row]:
    """What is doubtful about the lines FROM, and the keywords of the whole file."""
    found: list[Row] = []
    seen: set[str] = set()
    given = _defaults(file)
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


def _defaults(file: Dockerfile) -> dict[str, str]:
    """The arguments before the first FROM, as they are when none is given."""
    given = platform_args("", "")
    for made in file.globals:
        for name, value in made.pairs:
            try:
                given[name] = Expander(given, file.escape).word(value or "")
            except WordError:
                given[name] = ""
    return given


def _base(stage: Stage, given: dict[str, str], escape: str) -> list[Row]:
    found: list[Row] = []
    if stage.platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
        found.append((stage.line, "RedundantTargetPlatform", "--platform=$TARGETPLATFORM is what it is without"))
    elif stage.platform and "$" not in stage.platform:
        text = f"--platform={stage.platform} is the same on all machines: take a variable, or leave it out"
        found.append((stage.line, "FromPlatformFlagConstDisallowed", text))
    expander = Expander(given, escape)
    try:
        base = expander.word(stage.base)
    except WordError:
        return found
    if "$" in stage.base and not _is_reference(base):
        text = f"{stage.base} is {base!r} with the defaults of its arguments, which is no image"
        found.append((stage.line, "InvalidDefaultArgInFrom", text))
    text = "the variable {} is not set before the first FROM"
    return found + [(stage.line, "UndefinedArgInFrom", text.format(name)) for name in sorted(expander.unset)]


def _is_reference(text: str) -> bool:
    try:
        return bool(text and parse_reference(text))
    except RuntimeFault:
        return False


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


def _read(request: BuildRequest) -> tuple[bytes, str, str]:
    """The Dockerfile, what it is called, and its path or nothing."""
    if request.inline:
        return request.inline.encode(), "dockerfile_inline", ""
    names = [request.dockerfile] if request.dockerfile else list(NAMES)
    for name in names:
        path = os.path.join(request.context or ".", name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                return file.read(), name, path
    raise BuildFault(f"cannot read {os.path.join(request.context, names[0])}: no such file or directory")


class _Steps:
    """The steps of all stages, one after the other. ``args``: of the build; ``ignore``: of its context, or None."""

    def __init__(self, file: Dockerfile, args: Mapping[str, str], ignore: Ignore | None, roots: Roots | None) -> None:
        self._roots = roots
        self._escape = file.escape
        self._args = args
        self._globals = _defaults(file)
        self._ignore = ignore
        self._known: dict[str, str] = {}
        self._environments: dict[str, dict[str, str]] = {}  # by the name of a stage, for those that begin from it

    def check(self, stage: Stage) -> list[Row]:
        found: list[Row] = []
        environment = self._environment(stage.base)
        self._known = {**dict.fromkeys([*platform_args("", ""), *PROXIES, "PATH", "HOME"], "x"), **environment}
        counts = {"CMD": 0, "ENTRYPOINT": 0, "HEALTHCHECK": 0}
        has_shell = placed = False
        for step in stage.steps:
            found += [*_one(step), *self._words(step)]
            has_shell |= step.keyword == "SHELL"
            if step.keyword in ("CMD", "ENTRYPOINT") and not step.is_json and not has_shell:
                text = f"{step.keyword} through a shell gets no signals: use the JSON form"
                found.append((step.line, "JSONArgsRecommended", text))
            if step.keyword == "WORKDIR":
                placed |= step.text.startswith(("/", "$"))
                if not placed:
                    text = f"WORKDIR {step.text} is relative to the base image's"
                    found.append((step.line, "WorkdirRelativePath", text))
            if step.keyword in counts:
                counts[step.keyword] += 1
                if counts[step.keyword] == 2:
                    text = f"{step.keyword} is there more than once: only the last one counts"
                    found.append((step.line, "MultipleInstructionsDisallowed", text))
            if step.keyword in ("ARG", "ENV"):
                values = self._values(step)
                self._known.update(values)
                environment.update(values if step.keyword == "ENV" else {})
        if stage.name:
            self._environments[stage.name] = environment
        return found

    def _environment(self, base: str) -> dict[str, str]:
        """The variables that a stage begins with: of an earlier stage, or of an image that the store has."""
        try:
            name = Expander({**self._globals, **self._args}, self._escape).word(base)
        except WordError:
            return {}
        if name.lower() in self._environments or self._roots is None:
            return dict(self._environments.get(name.lower(), {}))
        try:
            return env_of(dict(resolve(self._roots, name).config))
        except RuntimeFault:
            return {}

    def _values(self, step: Instruction) -> dict[str, str]:
        values = {}
        for name, value in step.pairs:
            if step.keyword == "ARG" and name in self._args:
                values[name] = self._args[name]
                continue
            try:
                default = self._globals.get(name, "") if value is None else value
                values[name] = Expander(self._known, self._escape).word(default)
            except WordError:
                values[name] = ""
        return values

    def _words(self, step: Instruction) -> list[Row]:
        """What is doubtful about an instruction's words, with variables replaced."""
        if step.keyword not in _EXPANDED:
            return []
        expander = Expander(self._known, self._escape)
        try:
            if not step.is_json:
                words = expander.words(step.text)
            else:
                words = [expander.word(word) for word in step.words]
        except WordError:
            return []
        unset = sorted(expander.unset)
        found = [(step.line, "UndefinedVar", f"the variable {name} is not set here") for name in unset]
        if step.keyword == "EXPOSE":
            found += [row for word in words for row in _port(step.line, word)]
        elif step.keyword in ("COPY", "ADD") and self._ignore is not None:
            found += experimental.ignored(step, words[:-1], self._ignore)
        return found


def _port(line: int, word: str) -> list[Row]:
    """What is doubtful about one port of EXPOSE."""
    found: list[Row] = []
    if word.partition("/")[2] != word.partition("/")[2].lower():
        found.append((line, "ExposeProtoCasing", f"EXPOSE {word}: write the protocol in lower case"))
    if ":" in word:
        text = f"EXPOSE {word}: only a port of the container, no address or port of the host"
        found.append((line, "ExposeInvalidFormat", text))
    return found


def _one(step: Instruction) -> list[Row]:
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
    return found


def _is_secret(name: str) -> bool:
    words = name.lower().split("_")
    return any(word in _SECRET for word in words) and not any(word in _PUBLIC for word in words)
