"""YAML text → trees of Map, Seq and scalars, with file, line and column for every entry.

Built on libyaml's parser through PyYAML; scalars, merge keys and tags are resolved here, because PyYAML speaks YAML 1.1
and docker compose does not (see scalars.py). Duplicate keys are errors, keys become text, aliases are copied and
capped, each document of a file stands alone.
"""

from __future__ import annotations

from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from compose.errors import SpecError
from compose.spec.scalars import go_text, resolve_plain
from compose.spec.tree import BROKEN, Map, Mark, Override, Report, Reset, Seq, format_mark

MAX_NODES = 100_000  # per document, aliases counted each time they are used: docker compose's guard against bombs
MAX_DEPTH = 100  # lists and mappings within each other; keeps every later phase well below Python's own limit

_PLAIN = "plain"
_TEXT = "text"
_TAGS = {
    "tag:yaml.org,2002:str": "text",
    "tag:yaml.org,2002:null": "plain",
    "tag:yaml.org,2002:bool": "plain",
    "tag:yaml.org,2002:int": "plain",
    "tag:yaml.org,2002:float": "plain",
    "tag:yaml.org,2002:timestamp": "text",
    "tag:yaml.org,2002:binary": "text",
    "tag:yaml.org,2002:map": "",
    "tag:yaml.org,2002:seq": "",
}

try:
    from yaml.cyaml import CParser as _Parser  # type: ignore[attr-defined]
except ImportError:  # a PyYAML built without libyaml: slower, the same events
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Parser(Reader, Scanner, Parser, Composer):  # type: ignore[no-redef]
        def __init__(self, stream: str | bytes) -> None:
            Reader.__init__(self, stream)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)


class _Composer(_Parser):
    """Composes nodes without PyYAML's resolver: a scalar's tag says only whether it was plain."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        return ""

    def descend_resolver(self, parent: Any, index: Any) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass


def parse_documents(text: bytes, name: str, report: Report) -> list[Any]:
    """The documents of a YAML file, as trees. ``name`` is the file's name in messages.

    Raises SpecError when the text is no YAML; duplicate keys and the like go to ``report``. Empty documents are left
    out.
    """
    try:
        parser = _Composer(text)
        documents = []
        while parser.check_node():
            node: Any = parser.get_node()
            if not (isinstance(node, ScalarNode) and node.tag == _PLAIN and not node.value):
                documents.append(_Builder(name, report).build(node))
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, name) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(
            f"cannot read as YAML: {str(error).splitlines()[0]}", where=name, hint="save it as YAML in UTF-8"
        ) from None
    except RecursionError:
        raise SpecError(
            "cannot read as YAML: nested too deeply", where=name, hint="use fewer lists and mappings within each other"
        ) from None
    return documents


def _syntax_error(error: yaml.MarkedYAMLError, name: str) -> SpecError:
    mark = error.problem_mark or error.context_mark
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    problem = error.problem or "not valid"
    hint = ""
    if "cannot start any token" in problem or "tab" in problem:
        hint = "YAML is indented with spaces, never with tabs"
    elif error.context:
        hint = error.context
        if error.context_mark:
            hint += f" which began in line {error.context_mark.line + 1}"
    return SpecError(f"cannot read as YAML: {problem}", hint=hint, where=where)


class _Builder:
    """Turns one document's nodes into a tree."""

    def __init__(self, name: str, report: Report) -> None:
        self.name = name
        self.report = report
        self.visits = 0
        self.open: set[int] = set()

    def mark(self, node: Node) -> Mark:
        start = node.start_mark
        return (self.name, start.line + 1, start.column + 1)

    def build(self, node: Node) -> Any:
        """The value of a node. Raises SpecError for an alias that contains itself and for alias bombs."""
        self.visits += 1
        if self.visits > MAX_NODES:
            raise SpecError(
                f"cannot read more than {MAX_NODES} nodes of one document",
                where=self.name,
                hint="use fewer aliases, or several files",
            )
        tag = node.tag
        if tag in (_PLAIN, _TEXT):
            return resolve_plain(node.value) if tag == _PLAIN else node.value
        if tag == "!reset":
            return Reset(self.mark(node))
        if tag == "!override":
            return Override(self.bare(node))
        return self.tagged(node, tag) if tag else self.container(node)

    def bare(self, node: Node) -> Any:
        """The value of a node whose own tag is taken care of."""
        if isinstance(node, ScalarNode):
            return node.value if node.style else resolve_plain(node.value)
        return self.container(node)

    def tagged(self, node: Node, tag: str) -> Any:
        kind = _TAGS.get(tag)
        if kind is None:
            self.report.problem(
                f'unknown YAML tag "{tag}"',
                hint="Compose knows !reset and !override",
                where=format_mark(self.mark(node)),
            )
            return BROKEN
        if isinstance(node, ScalarNode):
            return node.value if kind == "text" else resolve_plain(node.value)
        return self.container(node)

    def container(self, node: Any) -> Any:
        if len(self.open) >= MAX_DEPTH:
            raise SpecError(
                f"cannot read what is nested more than {MAX_DEPTH} deep",
                where=format_mark(self.mark(node)),
                hint="use fewer lists and mappings within each other",
            )
        if id(node) in self.open:
            raise SpecError(
                "cannot read an anchor that contains itself",
                where=format_mark(self.mark(node)),
                hint="an alias stands for what was written before it; use it outside of its anchor",
            )
        self.open.add(id(node))
        result = self.mapping(node) if isinstance(node, MappingNode) else self.sequence(node)
        self.open.discard(id(node))
        return result

    def sequence(self, node: SequenceNode) -> Seq:
        result = Seq(self.mark(node))
        for item in node.value:
            result.add(self.build(item), self.mark(item))
        return result

    def mapping(self, node: MappingNode) -> Map:
        result = Map(self.mark(node))
        merges = []
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                merges.append(value_node)
                continue
            mark = self.mark(key_node)
            key = self.key(key_node)
            if key in result:
                first = result.marks[key][0]
                self.report.problem(
                    f'the key "{key}" is defined twice',
                    hint=f"it is already defined in line {first[1]}",
                    where=format_mark(mark),
                )
                continue
            result.put(key, self.build(value_node), (mark, self.mark(value_node)))
        for value_node in merges:
            self.merge_key(result, value_node)
        return result

    def key(self, node: Node) -> str:
        if not isinstance(node, ScalarNode):
            raise SpecError(
                "cannot use a list or mapping as a key",
                where=format_mark(self.mark(node)),
                hint="write the key as text, in quotes if it begins with [ or {",
            )
        if node.tag != _PLAIN:
            return str(node.value)
        value = resolve_plain(node.value)
        typed: str = getattr(value, "typed", None) or node.value
        return typed if value is None or isinstance(value, (int, float)) else go_text(value)

    def merge_key(self, result: Map, node: Node) -> None:
        """``<<``: add what the mapping, or each of a list of them, has and ``result`` has not; the first one wins."""
        value = self.build(node)
        for source in value if isinstance(value, Seq) else [value]:
            if not isinstance(source, Map):
                self.report.problem(
                    "<< needs a mapping, or a list of mappings",
                    hint="write <<: *ANCHOR",
                    where=format_mark(self.mark(node)),
                )
                return
            for key in source:
                if key not in result:
                    result.take(key, source)
