"""The instructions of a Dockerfile, each with its flags and words taken apart. Pure; nothing is expanded yet.

Rules: the Dockerfile reference of BuildKit's frontend, syntax version 1; docs/build.md lists where we differ.
"""

from __future__ import annotations

import json
import re

from runtime.build.errors import BuildFault, nearest
from runtime.build.lines import Heredoc, Line, split_lines
from runtime.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.build.lines import Source

# Flags of each instruction: "one" value, "many" (may repeat), or "bool".
FLAGS: dict[str, dict[str, str]] = {
    "ADD": {
        "chown": "one",
        "chmod": "one",
        "link": "bool",
        "exclude": "many",
        "checksum": "one",
        "keep-git-dir": "bool",
        "unpack": "bool",
    },
    "ARG": {},
    "CMD": {},
    "COPY": {
        "from": "one",
        "chown": "one",
        "chmod": "one",
        "link": "bool",
        "parents": "bool",
        "exclude": "many",
    },
    "ENTRYPOINT": {},
    "ENV": {},
    "EXPOSE": {},
    "FROM": {"platform": "one"},
    "HEALTHCHECK": {
        "interval": "one",
        "timeout": "one",
        "start-period": "one",
        "start-interval": "one",
        "retries": "one",
    },
    "LABEL": {},
    "MAINTAINER": {},
    "ONBUILD": {},
    "RUN": {"mount": "many", "network": "one", "security": "one", "device": "many"},
    "SHELL": {},
    "STOPSIGNAL": {},
    "USER": {},
    "VOLUME": {},
    "WORKDIR": {},
}
_JSON = ("ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME")
_WHOLE = ("RUN", "CMD", "ENTRYPOINT", "SHELL", "USER", "WORKDIR", "STOPSIGNAL", "MAINTAINER")
_BLANKS = re.compile(r"[\t\v\f\r ]+")
_BOOLS = {"": True, "true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


@record
class Instruction:
    """One instruction.

    ``text``: what follows the keyword and its flags. ``words``: text split at blanks, or the JSON form's strings
    (``is_json``). ``pairs``: of ENV, LABEL and ARG (value None: none was given), still quoted; ``old_form``: of ENV
    and LABEL, ``ENV name rest``. ``inner``: what ONBUILD holds. ``original``: the whole logical line.
    """

    keyword: str
    line: int
    text: str
    original: str
    words: tuple[str, ...] = ()
    is_json: bool = False
    flags: tuple[tuple[str, str], ...] = ()
    pairs: tuple[tuple[str, str | None], ...] = ()
    old_form: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    inner: Instruction | None = None

    def flag(self, name: str, otherwise: str = "") -> str:
        return dict(self.flags).get(name, otherwise)

    def every(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.flags if key == name)

    def switch(self, name: str, otherwise: bool = False) -> bool:
        found = dict(self.flags).get(name)
        return otherwise if found is None else _BOOLS[found.lower()]


@record
class Stage:
    """A FROM and what follows it. ``name``: in lower case, or empty."""

    index: int
    name: str
    base: str
    platform: str
    line: int
    original: str
    steps: tuple[Instruction, ...]


@record
class Dockerfile:
    """A file: its global ARGs (before the first FROM), stages, directives and warnings."""

    name: str
    globals: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    directives: tuple[tuple[str, str], ...]
    escape: str
    warnings: tuple[str, ...]
    text: str = ""


def parse(data: bytes, name: str = "Dockerfile") -> Dockerfile:
    """A Dockerfile. Raises BuildFault with the line."""
    parser = Parser(name)
    source = split_lines(data, parser.fault)
    parser.escape = source.escape
    if not source.lines:
        raise BuildFault(f"cannot build from {name}: the file has no instructions")
    instructions = [parser.instruction(line) for line in source.lines]
    stages, globals_ = parser.stages(instructions)
    return Dockerfile(
        name,
        globals_,
        stages,
        source.directives,
        source.escape,
        _warnings(source),
        data.decode("utf-8", "replace"),
    )


def _warnings(source: Source) -> tuple[str, ...]:
    syntax = dict(source.directives).get("syntax", "")
    image = syntax.removeprefix("docker.io/")
    known = ("docker/dockerfile:1", "docker/dockerfile-upstream:", "dockerfile.v0")
    if syntax and image not in ("docker/dockerfile", "docker/dockerfile-upstream") and not image.startswith(known):
        return (*source.warnings, f"the directive syntax={syntax} is ignored: the built-in syntax is used")
    return source.warnings


class Parser:
    """Takes lines apart. ``escape``: the file's escape character."""

    def __init__(self, name: str, escape: str = "\\") -> None:
        self.name = name
        self.escape = escape

    def fault(self, line: int, reason: str, hint: str = "") -> BuildFault:
        return BuildFault(f"cannot read {self.name}:{line}: {reason}", hint, line)

    def instruction(self, line: Line) -> Instruction:
        """One instruction from its logical line. Raises BuildFault."""
        word, _, rest = _split_once(line.text)
        keyword = word.upper()
        if keyword not in FLAGS:
            raise self.fault(line.number, f"unknown instruction {word!r}", nearest(keyword, sorted(FLAGS)))
        flags, text = self._flags(keyword, rest, line.number)
        made = Instruction(keyword, line.number, text, line.text.strip(), flags=flags, heredocs=line.heredocs)
        if keyword in _JSON and (words := _json_words(text)) is not None:
            made = replace(made, words=words, is_json=True, heredocs=())
        elif keyword in ("ENV", "LABEL", "ARG"):
            made = self._pairs(made)
        elif keyword == "ONBUILD":
            made = self._onbuild(made, line)
        elif keyword == "HEALTHCHECK":
            made = self._healthcheck(made)
        elif keyword in ("RUN", "CMD", "ENTRYPOINT", "SHELL") or keyword in (
            "USER",
            "WORKDIR",
            "STOPSIGNAL",
            "MAINTAINER",
        ):
            made = replace(made, words=(text,) if text else ())
        else:
            made = replace(made, words=tuple(_BLANKS.split(text)) if text else ())
        self._check(made)
        return made

    # -- flags

    def _flags(self, keyword: str, rest: str, line: int) -> tuple[tuple[tuple[str, str], ...], str]:
        """The flags in front, and what remains."""
        found: list[tuple[str, str]] = []
        rest = rest.strip()
        while rest.startswith("--"):
            word, rest = self._flag_word(rest)
            rest = rest.lstrip()
            if word == "--":
                break
            found.append(self._flag(keyword, word, line, {name for name, _value in found}))
        return tuple(found), rest

    def _flag_word(self, text: str) -> tuple[str, str]:
        """The first word, its quotes and escapes taken away, and the rest."""
        out, quote, at = [], "", 0
        while at < len(text):
            char = text[at]
            if char == self.escape and at + 1 < len(text) and quote != "'":
                at += 1
                out.append(text[at])
            elif char in "'\"" and quote in ("", char):
                quote = "" if quote else char
            elif char.isspace() and not quote:
                break
            else:
                out.append(char)
            at += 1
        return "".join(out), text[at:]

    def _flag(self, keyword: str, word: str, line: int, given: set[str]) -> tuple[str, str]:
        name, equals, value = word[2:].partition("=")
        kind = FLAGS[keyword].get(name)
        if kind is None:
            known = [f"--{flag}" for flag in FLAGS[keyword]]
            hint = nearest(f"--{name}", known) or (f"known: {', '.join(known)}" if known else "it takes none")
            raise self.fault(line, f"{keyword} has no flag --{name}", hint)
        if name in given and kind != "many":
            raise self.fault(line, f"--{name} is given twice")
        if kind == "bool" and value.lower() not in _BOOLS:
            raise self.fault(line, f"--{name} is true or false, not {value!r}")
        if kind != "bool" and not equals:
            raise self.fault(line, f"--{name} needs a value", f"write --{name}=VALUE")
        return name, value

    # -- forms

    def _pairs(self, made: Instruction) -> Instruction:
        words = self._quoted_words(made.text)
        if not words:
            raise self.fault(made.line, f"{made.keyword} needs a value")
        if made.keyword == "ARG":
            pairs = tuple((word.partition("=")[0], word.partition("=")[2] if "=" in word else None) for word in words)
        elif "=" not in words[0]:
            name, _, value = _split_once(made.text)
            if not value:
                raise self.fault(made.line, f"{made.keyword} {name} needs a value", f"write {made.keyword} NAME=VALUE")
            return replace(made, pairs=((name, value),), old_form=True)
        else:
            wrong = next((word for word in words if "=" not in word), "")
            if wrong:
                raise self.fault(made.line, f"{wrong!r} has no value", "write NAME=VALUE, quoted if it holds blanks")
            pairs = tuple((word.partition("=")[0], word.partition("=")[2]) for word in words)
        if any(not name for name, _value in pairs):
            raise self.fault(made.line, f"a name of {made.keyword} is empty")
        return replace(made, pairs=pairs)

    def _quoted_words(self, text: str) -> list[str]:
        """Words split at blanks outside of quotes; quotes and escapes stay."""
        out: list[str] = []
        word, quote, at = "", "", 0
        while at < len(text):
            char = text[at]
            if char == self.escape and quote != "'" and at + 1 < len(text):
                word += text[at : at + 2]
                at += 1
            elif char.isspace() and not quote:
                out += [word] if word else []
                word = ""
            else:
                if char in "'\"" and quote in ("", char):
                    quote = "" if quote else char
                word += char
            at += 1
        return [*out, word] if word else out

    def _onbuild(self, made: Instruction, line: Line) -> Instruction:
        if not made.text:
            raise self.fault(made.line, "ONBUILD needs an instruction")
        inner = self.instruction(replace(line, text=made.text))
        if inner.keyword in ("ONBUILD", "FROM", "MAINTAINER"):
            raise self.fault(made.line, f"ONBUILD {inner.keyword} is not allowed")
        return replace(made, inner=inner)

    def _healthcheck(self, made: Instruction) -> Instruction:
        word, _, rest = _split_once(made.text)
        kind = word.upper()
        if kind not in ("NONE", "CMD"):
            raise self.fault(made.line, f"HEALTHCHECK {word} is not known", "write HEALTHCHECK CMD ... or NONE")
        words = _json_words(rest)
        if kind == "NONE" and (rest or made.flags):
            raise self.fault(made.line, "HEALTHCHECK NONE takes nothing else")
        if kind == "CMD" and not rest:
            raise self.fault(made.line, "HEALTHCHECK CMD needs a command")
        return replace(made, words=(kind, *(words if words is not None else (rest,))), is_json=words is not None)

    def _check(self, made: Instruction) -> None:
        """How many words each takes."""
        keyword, count = made.keyword, len(made.words)
        if keyword in ("COPY", "ADD") and count < 2:
            raise self.fault(made.line, f"{keyword} needs at least a source and a destination")
        if keyword in ("EXPOSE", "VOLUME", "USER", "WORKDIR", "STOPSIGNAL", "MAINTAINER") and not count:
            raise self.fault(made.line, f"{keyword} needs a value")
        if keyword == "VOLUME" and any(not word.strip() for word in made.words):
            raise self.fault(made.line, "VOLUME has an empty path")
        if keyword == "SHELL" and (not made.is_json or not count):
            raise self.fault(made.line, "SHELL needs the JSON form", 'write SHELL ["/bin/sh", "-c"]')
        if keyword == "FROM" and count not in (1, 3):
            raise self.fault(made.line, "FROM takes an image, or IMAGE AS NAME")
        if keyword == "FROM" and count == 3 and made.words[1].lower() != "as":
            raise self.fault(made.line, f"FROM IMAGE {made.words[1]} is not known", "write FROM IMAGE AS NAME")

    # -- stages

    def stages(self, instructions: list[Instruction]) -> tuple[tuple[Stage, ...], tuple[Instruction, ...]]:
        globals_: list[Instruction] = []
        heads: list[tuple[Instruction, list[Instruction]]] = []
        for made in instructions:
            if made.keyword == "FROM":
                heads.append((made, []))
            elif heads:
                heads[-1][1].append(made)
            elif made.keyword == "ARG":
                globals_.append(made)
            else:
                raise self.fault(made.line, f"{made.keyword} comes before the first FROM", "only ARG may")
        if not heads:
            raise BuildFault(f"cannot build from {self.name}: there is no FROM")
        return tuple(self._stage(index, head, steps) for index, (head, steps) in enumerate(heads)), tuple(globals_)

    def _stage(self, index: int, head: Instruction, steps: list[Instruction]) -> Stage:
        name = head.words[2].lower() if len(head.words) == 3 else ""
        if name and not re.fullmatch(r"[a-z][a-z0-9_.-]*", name):
            reason = f"{head.words[2]!r} is not a name of a stage"
            raise self.fault(head.line, reason, "letters, digits, '_', '.' and '-', a letter first; no variables")
        return Stage(index, name, head.words[0], head.flag("platform"), head.line, head.original, tuple(steps))


def _split_once(text: str) -> tuple[str, str, str]:
    parts = text.strip().split(None, 1)
    return (parts[0] if parts else ""), " ", (parts[1] if len(parts) > 1 else "")


def _json_words(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON array; None when it is anything else (then it is the shell form)."""
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        return None
    return tuple(found)
