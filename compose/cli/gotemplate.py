"""Go's text/template as far as ``--format`` uses it: parse once, execute for every row. Pure.

Actions: fields and chains (``.A.B``), ``$``, variables, ``if`` with ``else if`` and ``else``, ``range`` (with ``else``,
``break`` and ``continue``), ``with``, pipelines, parentheses, trim marks, comments. Rules: https://pkg.go.dev/text/template;
docker's own functions are in ``gofunctions``. ``define``, ``block`` and ``template`` are refused by name.
"""

from __future__ import annotations

from compose.cli import gofunctions
from compose.cli.gofunctions import TemplateError, is_true
from compose.cli.goparse import Assign, If, Output, Range, Text, parse
from compose.cli.govalues import printed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from compose.cli.goparse import Nodes, Operand, Pipeline

    Functions = Mapping[str, Callable[..., Any]]


class _Break(Exception):
    """Leave the innermost range."""


class _Continue(Exception):
    """The next turn of the innermost range."""


class Template:
    """A parsed template. Raises TemplateError when the text is none."""

    def __init__(self, text: str) -> None:
        self.nodes = parse(text)

    def execute(self, dot: Any, functions: Functions | None = None) -> str:
        """The text for one value. ``functions``: instead of docker's. Raises TemplateError."""
        scope = _Scope(dot, functions or gofunctions.FUNCTIONS)
        return "".join(scope.run(self.nodes, dot))


class _Scope:
    """Variables and functions while a template is executed."""

    def __init__(self, root: Any, functions: Functions) -> None:
        self.variables: list[tuple[str, Any]] = [("$", root)]
        self.functions = functions

    def run(self, nodes: Nodes, dot: Any) -> Iterator[str]:
        depth = len(self.variables)
        for node in nodes:
            yield from self._node(node, dot)
        del self.variables[depth:]

    def _node(self, node: Any, dot: Any) -> Iterator[str]:
        match node:
            case Text(text):
                yield text
            case Output(pipeline):
                yield printed(self.value(pipeline, dot))
            case Assign(name, pipeline, new):
                self._assign(name, self.value(pipeline, dot), new)
            case If():
                yield from self._if(node, dot)
            case Range():
                yield from self._range(node, dot)
            case _:
                raise _Break if node.kind == "break" else _Continue

    def _if(self, node: If, dot: Any) -> Iterator[str]:
        value = self.value(node.pipeline, dot)
        depth = len(self.variables)
        self.variables += [(name, value) for name in node.names]
        if is_true(value):
            yield from self.run(node.body, value if node.moves else dot)
        else:
            yield from self.run(node.otherwise, dot)
        del self.variables[depth:]

    def _range(self, node: Range, dot: Any) -> Iterator[str]:
        pairs = gofunctions.pairs(self.value(node.pipeline, dot), node.pipeline.source)
        if not pairs:
            yield from self.run(node.otherwise, dot)
        depth = len(self.variables)
        for key, value in pairs:
            values = (key, value) if len(node.names) > 1 else (value,)
            self.variables[depth:] = zip(node.names, values)
            try:
                yield from self.run(node.body, value)
            except _Break:
                break
            except _Continue:
                continue
        del self.variables[depth:]

    def _assign(self, name: str, value: Any, new: bool) -> None:
        if new:
            self.variables.append((name, value))
            return
        for place in range(len(self.variables) - 1, -1, -1):
            if self.variables[place][0] == name:
                self.variables[place] = (name, value)
                return
        raise TemplateError(f'undefined variable "{name}"')

    def value(self, pipeline: Pipeline, dot: Any) -> Any:
        passed: tuple[Any, ...] = ()
        for command in pipeline.commands:
            passed = (self._call(command, dot, passed, pipeline.source),)
        return passed[0]

    def _call(self, command: tuple[Operand, ...], dot: Any, passed: tuple[Any, ...], source: str) -> Any:
        """A function or method with its arguments; a lone operand is its value."""
        first = command[0]
        if first.kind == "function" and first.value in ("and", "or"):
            return self._and_or(command, dot, passed)
        arguments = [self._operand(word, dot) for word in command[1:]]
        arguments += passed
        if first.kind == "function":
            return gofunctions.apply(str(first.value), self.functions[first.value], arguments)
        found = self._operand(first, dot)
        if callable(found):
            return gofunctions.apply(first.fields[-1], found, arguments)
        if arguments:
            raise TemplateError(f"can't give argument to non-function in {{{{{source}}}}}")
        return found

    def _and_or(self, command: tuple[Operand, ...], dot: Any, passed: tuple[Any, ...]) -> Any:
        """The first operand that decides, or the last; what follows is not evaluated."""
        stops_at = command[0].value == "or"
        value: Any = None
        for word in command[1:]:
            value = self._operand(word, dot)
            if is_true(value) is stops_at:
                return value
        if len(command) + len(passed) < 2:
            raise TemplateError(f"wrong number of args for {command[0].value}: want at least 1 got 0")
        return passed[0] if passed else value

    def _operand(self, word: Operand, dot: Any) -> Any:
        value: Any = word.value
        if word.kind == "dot":
            value = dot
        elif word.kind == "variable":
            value = self._variable(str(word.value))
        elif word.kind == "pipeline":
            value = self.value(word.value, dot)
        elif word.kind == "function":
            value = gofunctions.apply(str(word.value), self.functions[word.value], [])
        for name in word.fields:
            value = gofunctions.field(value, name)
        return value

    def _variable(self, name: str) -> Any:
        for known, value in reversed(self.variables):
            if known == name:
                return value
        raise TemplateError(f'undefined variable "{name}"')
