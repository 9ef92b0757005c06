"""Templates read: from text to a tree of nodes (see ``gotemplate``). Raises TemplateError, never anything else."""

from __future__ import annotations

import re

from compose.cli import gofunctions
from compose.cli.gofunctions import TemplateError
from compose.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Nodes = tuple["Text | Output | Assign | If | Range | Jump", ...]

_ACTION = re.compile(r"\{\{(- |-(?=\n))?(.*?)( -|(?<=\n)-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\\n])*"|`[^`]*`)
    |(?P<char>'(?:\\.|[^'\\])')
    |(?P<number>[+-]?\d+(?:\.\d+)?(?![\w.]))
    |(?P<variable>\$\w*)
    |(?P<field>\.\w+)
    |(?P<word>\w+)
    |(?P<mark>:=|[=|(),.]))""",
    re.VERBOSE,
)
_CONSTANTS = {"true": True, "false": False, "nil": None}


@record
class Text:
    """Characters between actions."""

    text: str


@record
class Output:
    """``{{pipeline}}``."""

    pipeline: Pipeline


@record
class Assign:
    """``{{$x := pipeline}}``; ``new``: declared here, else set where it was declared."""

    name: str
    pipeline: Pipeline
    new: bool


@record
class If:
    """``{{if}}`` or ``{{with}}``, which also moves the dot."""

    pipeline: Pipeline
    names: tuple[str, ...]
    body: Nodes
    otherwise: Nodes
    moves: bool = False


@record
class Range:
    """``{{range $i, $e := pipeline}}``."""

    pipeline: Pipeline
    names: tuple[str, ...]
    body: Nodes
    otherwise: Nodes


@record
class Jump:
    """``{{break}}`` or ``{{continue}}``."""

    kind: str


@record
class Operand:
    """One word of a command: ``kind`` is value, dot, variable, function or pipeline; ``fields`` are taken from it."""

    kind: str
    value: Any
    fields: tuple[str, ...] = ()


@record
class Pipeline:
    """Commands joined by ``|``: each one's result is the last argument of the next. ``source`` is for messages."""

    commands: tuple[tuple[Operand, ...], ...]
    source: str


def parse(text: str) -> Nodes:
    """The nodes of a template."""
    return _Parser(text).whole()


def _pieces(text: str) -> Iterator[tuple[bool, str]]:
    """(is an action, its text) in order; trim marks are applied, comments dropped."""
    place, trim = 0, False
    for match in _ACTION.finditer(text):
        before = text[place : match.start()]
        before = before.lstrip() if trim else before
        yield False, before.rstrip() if match[1] else before
        inside = match[2].strip()
        if not (inside.startswith("/*") and inside.endswith("*/")):
            yield True, inside
        place, trim = match.end(), bool(match[3])
    rest = text[place:]
    if "{{" in rest:
        raise TemplateError("unclosed action")
    yield False, rest.lstrip() if trim else rest


class _Parser:
    """Recursive descent over the pieces of a template."""

    def __init__(self, text: str) -> None:
        self.pieces = list(_pieces(text))
        self.place = 0
        self.ranges = 0

    def whole(self) -> Nodes:
        nodes, end, _tail = self._nodes()
        if end:
            raise TemplateError(f"unexpected {{{{{end}}}}}")
        return nodes

    def _nodes(self) -> tuple[Nodes, str, str]:
        """Nodes up to ``end`` or ``else`` (or the end of the text); that word, and what follows it."""
        nodes: list[Any] = []
        while self.place < len(self.pieces):
            is_action, text = self.pieces[self.place]
            self.place += 1
            if not is_action:
                if text:
                    nodes.append(Text(text))
                continue
            word, _, tail = text.partition(" ")
            if word in ("end", "else"):
                return tuple(nodes), word, tail.strip()
            nodes.append(self._action(word, tail.strip(), text))
        return tuple(nodes), "", ""

    def _action(self, word: str, tail: str, text: str) -> Any:
        if word in ("if", "with", "range"):
            return self._block(word, tail)
        if word in ("break", "continue"):
            if not self.ranges:
                raise TemplateError(f"{{{{{word}}}}} outside {{{{range}}}}")
            return Jump(word)
        if word in ("define", "template", "block"):
            raise TemplateError(f"{{{{{word}}}}} is not supported here")
        names, pipeline, new = _declaration(text)
        if not names:
            return Output(pipeline)
        return Assign(names[0], pipeline, new)

    def _block(self, word: str, tail: str) -> Any:
        names, pipeline, new = _declaration(tail)
        if names and not new:
            raise TemplateError(f"cannot assign in {{{{{word}}}}}")
        self.ranges += word == "range"
        body, end, rest = self._nodes()
        self.ranges -= word == "range"
        otherwise: Nodes = ()
        if end == "else" and rest:
            inner, _, inner_tail = rest.partition(" ")
            if word == "range" or inner not in ("if", "with"):
                raise TemplateError(f"unexpected {{{{else {rest}}}}}")
            otherwise = (self._block(inner, inner_tail.strip()),)
        elif end == "else":
            otherwise, end, _rest = self._nodes()
        if end != "end" and not rest:
            raise TemplateError(f"{{{{{word}}}}} without {{{{end}}}}")
        if word == "range":
            return Range(pipeline, names, body, otherwise)
        return If(pipeline, names, body, otherwise, word == "with")


def _declaration(text: str) -> tuple[tuple[str, ...], Pipeline, bool]:
    """``$i, $e := pipeline``: the variables, the pipeline, and whether they are new."""
    match = re.match(r"(\$\w+)(?:\s*,\s*(\$\w+))?\s*(:=|=)(?!=)", text)
    if match is None:
        return (), _pipeline(text), False
    names = tuple(name for name in match.groups()[:2] if name)
    return names, _pipeline(text[match.end() :]), match[3] == ":="


def _pipeline(text: str) -> Pipeline:
    tokens = _tokens(text)
    commands = _commands(tokens, text)
    if tokens:
        raise TemplateError(f"unexpected {tokens[0][1]!r} in {{{{{text}}}}}")
    return Pipeline(commands, text.strip())


def _tokens(text: str) -> list[tuple[str, str, bool]]:
    """(kind, text, whether it follows the one before without a space)."""
    tokens = []
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise TemplateError(f"unexpected {text[place:].strip()[:1]!r} in {{{{{text.strip()}}}}}")
        kind = match.lastgroup
        tokens.append((kind, match[kind], place > 0 and match.start(kind) == place))
        place = match.end()
    return tokens


def _commands(tokens: list[tuple[str, str, bool]], source: str) -> tuple[tuple[Operand, ...], ...]:
    """Take commands off the front of ``tokens``, up to a closing parenthesis or the end."""
    commands: list[tuple[Operand, ...]] = []
    words: list[Operand] = []
    while tokens and tokens[0][1] != ")":
        if tokens[0][:2] == ("mark", "|"):
            tokens.pop(0)
            commands.append(_command(words, source))
            words = []
        else:
            words.append(_operand(tokens, source))
    return (*commands, _command(words, source))


def _command(words: list[Operand], source: str) -> tuple[Operand, ...]:
    if not words:
        raise TemplateError(f"missing value in {{{{{source.strip()}}}}}")
    if words[0].kind == "constant" and words[0].value is None:
        raise TemplateError("nil is not a command")
    return tuple(words)


def _operand(tokens: list[tuple[str, str, bool]], source: str) -> Operand:
    kind, text, _glued = tokens.pop(0)
    fields: list[str] = []
    value: Any = text
    if kind == "string":
        value = gofunctions.unquote(text)
    elif kind == "char":
        value = ord(gofunctions.unquote(f'"{text[1:-1]}"'))
    elif kind == "number":
        value = float(text) if "." in text else int(text)
    elif kind == "field":
        fields.append(text[1:])
        kind = "dot"
    elif kind == "mark" and text == "(":
        kind, value = "pipeline", Pipeline(_commands(tokens, source), source.strip())
        if not tokens:
            raise TemplateError(f"unclosed left paren in {{{{{source.strip()}}}}}")
        tokens.pop(0)
    elif kind == "mark" and text == ".":
        kind = "dot"
    elif kind == "word":
        kind, value = ("constant", _CONSTANTS[text]) if text in _CONSTANTS else ("function", text)
    elif kind == "mark":
        raise TemplateError(f"unexpected {text!r} in {{{{{source.strip()}}}}}")
    if kind in ("dot", "variable", "pipeline"):
        while tokens and tokens[0][0] == "field" and tokens[0][2]:
            fields.append(tokens.pop(0)[1][1:])
    if kind == "function" and text not in gofunctions.FUNCTIONS:
        raise TemplateError(f'function "{text}" not defined', hint=gofunctions.known())
    return Operand(kind, value, tuple(fields))
