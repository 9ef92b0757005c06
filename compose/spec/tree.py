"""Plain trees that remember where they were written.

Between reading and the model, a document is made of ``Map`` (a dict with text keys), ``Seq`` (a list) and scalars
(str, int, float, bool, None). The two containers know the file, line and column of their entries, so every later phase
can say where a value comes from; scalars carry nothing, and cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compose.errors import SpecError

Mark = tuple[str, int, int]
Path = tuple[str | int, ...]
NOWHERE: Mark = ("", 0, 0)


class Map(dict[str, Any]):
    """A mapping; ``marks[key]`` is (mark of the key, mark of the value)."""

    __slots__ = ("mark", "marks")

    def __init__(self, mark: Mark = NOWHERE) -> None:
        super().__init__()
        self.mark = mark
        self.marks: dict[str, tuple[Mark, Mark]] = {}

    def put(self, key: str, value: Any, marks: tuple[Mark, Mark] | None = None) -> None:
        """Set a key together with its place."""
        self[key] = value
        if marks is not None:
            self.marks[key] = marks

    def with_value(self, key: str, value: Any) -> Map:
        """A copy in which one key has another value, at the same place."""
        result = Map(self.mark)
        result.update(self)
        result.marks = self.marks
        result[key] = value
        return result

    def take(self, key: str, source: Map) -> None:
        """Set a key to what another map has there, with its place."""
        self.put(key, source[key], source.marks.get(key))


class Flat(Map):
    """A mapping of scalars in its last form: keys sorted, nothing empty. Phases pass it on as it is, so it is shared.

    A range of ports makes thousands of them.
    """

    __slots__ = ()
    _NO_MARKS: dict[str, tuple[Mark, Mark]] = {}

    def __init__(self, values: dict[str, Any], mark: Mark) -> None:
        dict.__init__(self, values)
        self.mark = mark
        self.marks = self._NO_MARKS


class Seq(list[Any]):
    """A sequence; ``marks`` runs in parallel with the items (it may be shorter for items without a place)."""

    __slots__ = ("mark", "marks")

    def __init__(self, mark: Mark = NOWHERE) -> None:
        super().__init__()
        self.mark = mark
        self.marks: list[Mark] = []

    def add(self, value: Any, mark: Mark) -> None:
        self.append(value)
        self.marks.append(mark)


class Reset:
    """``!reset``: the key disappears."""

    __slots__ = ("mark",)

    def __init__(self, mark: Mark) -> None:
        self.mark = mark


class Override:
    """``!override``: ``value`` replaces instead of merging."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Broken:
    """Stands for a value about which a problem was reported already; later checks pass it by."""

    __slots__ = ()


BROKEN = Broken()


class Late(Broken):
    """Stands for a wrong value of which nobody is told unless it is still there after the last merge.

    A problem without a path is one that merging made: its message gets the path where it is found.
    """

    __slots__ = ("problems",)

    def __init__(self, *problems: SpecError) -> None:
        self.problems = problems

    def tell(self, report: Report, path: Path) -> None:
        """Report what is wrong with the value that stands at ``path``."""
        for problem in self.problems:
            if problem.path:
                report.problems.append(problem)
            else:
                report.problem(f"{dotted(path)}: {problem.message}", hint=problem.hint, where=problem.where, path=path)


class Whole(Seq):
    """A list that was written as one word (``gpus: all``): docker compose cannot put it on top of another value."""

    __slots__ = ()


class Nothing:
    """Stands for a key without a value: an override with it keeps the base's; left alone it is a problem."""


NOTHING = Nothing()


def sweep(node: Any, report: Report | None = None, path: Path = (), root: Any = None) -> set[Path]:
    """Take every Broken and NOTHING out of a tree, in place; gives the paths where one was.

    ``report`` is told of keys without a value, and of what is wrong with values that no override replaced.
    """
    found: set[Path] = set()
    root = node if root is None else root
    if isinstance(node, Flat):
        return found
    if isinstance(node, Map):
        for key in list(node):
            if node[key] is NOTHING and report:
                report.without_value(root, (*path, key))
            if isinstance(node[key], Late) and report:
                node[key].tell(report, (*path, key))
            if isinstance(node[key], Broken) or node[key] is NOTHING:
                found.add((*path, key))
                del node[key]
            else:
                found |= sweep(node[key], report, (*path, key), root)
    elif isinstance(node, Seq):
        padding = [node.mark] * (len(node) - len(node.marks))
        for item in node:
            if isinstance(item, Late) and report:
                item.tell(report, path)
        whole = [(item, mark) for item, mark in zip(node, node.marks + padding) if not isinstance(item, Broken)]
        if len(whole) < len(node):
            found.add(path)
            node[:] = [item for item, _ in whole]
            node.marks = [mark for _, mark in whole]
        for index, item in enumerate(node):
            if isinstance(item, (Map, Seq)) and not isinstance(item, Flat):
                found |= sweep(item, report, (*path, index), root)
    return found


def plant(root: Map, deferred: list[tuple[Path, SpecError]]) -> None:
    """Put each problem into a canonical tree, in place, as near to its path as the tree still goes."""
    for path, problem in deferred:
        node: Any = root
        for part in path[:-1]:
            below = _child(node, part)
            below = below.value if isinstance(below, Override) else below
            if not isinstance(below, (Map, Seq)):
                break
            node = below
        else:
            part = path[-1]
        _plant(node, part, problem)


def _child(node: Map | Seq, part: str | int) -> Any:
    if isinstance(node, Map):
        return node.get(str(part))
    return node[part] if isinstance(part, int) and part < len(node) else None


def _plant(node: Map | Seq, part: str | int, problem: SpecError) -> None:
    there = _child(node, part)
    there = there.value if isinstance(there, Override) else there
    late: Any = Late(*(there.problems if isinstance(there, Late) else ()), problem)
    if isinstance(node, Map):
        node[str(part)] = Override(late) if isinstance(node.get(str(part)), Override) else late
    elif isinstance(part, int) and isinstance(there, Broken):
        node[part] = late
    else:
        node.add(late, node.mark)


class TextInt(int):
    """A number whose canonical text differs from what was typed (``0644``): ``typed`` keeps that."""

    typed: str


class TextFloat(float):
    """As TextInt, for floats (``1.10``)."""

    typed: str


def locate(root: Any, path: Path, *, key: bool = False) -> str:
    """``file:line:column`` of the deepest known part of a path; of the key rather than the value if ``key``."""
    mark: Mark = getattr(root, "mark", NOWHERE)
    node = root
    for depth, part in enumerate(path):
        if isinstance(node, Override):
            node = node.value
        if isinstance(node, Map) and isinstance(part, str):
            marks = node.marks.get(part)
            if marks:
                found = marks[0] if key and depth == len(path) - 1 else marks[1]
                mark = found if found[1] else mark
            if part not in node:
                break
            node = node[part]
        elif isinstance(node, Seq) and isinstance(part, int) and part < len(node):
            if part < len(node.marks) and node.marks[part][1]:
                mark = node.marks[part]
            node = node[part]
        else:
            break
    return format_mark(mark)


def format_mark(mark: Mark) -> str:
    return f"{mark[0]}:{mark[1]}:{mark[2]}" if mark[1] else mark[0]


def dotted(path: Path) -> str:
    """``services.web.ports[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class Report:
    """Collects every problem and warning of one load, so that they are told at once."""

    def __init__(self) -> None:
        self.problems: list[SpecError] = []
        self.unfit: list[SpecError] = []  # what can be read, but not run
        self.warnings: dict[str, None] = {}  # in order, each once

    @property
    def crowded(self) -> bool:
        """Whether there is so much to tell already that looking for near names for more would only take time."""
        return len(self.problems) + len(self.warnings) > 50

    def problem(self, message: str, *, hint: str = "", where: str = "", path: Path = ()) -> None:
        self.problems.append(SpecError(message, hint=hint, where=where, path=dotted(path)))

    def cannot_run(self, message: str, *, hint: str = "", where: str = "", path: Path = ()) -> None:
        """Something that can be read: a problem for ``up``, a warning for ``config``, as docker compose has it."""
        self.unfit.append(SpecError(message, hint=hint, where=where, path=dotted(path)))

    def judge_unfit(self, *, refuse: bool) -> None:
        """Make problems of what cannot be run, or else warnings."""
        for problem in self.unfit:
            if refuse:
                self.problems.append(problem)
            else:
                self.warn(problem.message, where=problem.where)
        self.unfit = []

    def without_value(self, root: Any, path: Path) -> None:
        """A key that stands there with nothing after it."""
        where = locate(root, path, key=True)
        hint = "give it one, or remove the line"
        self.problem(f"{dotted(path)}: has no value", hint=hint, where=where, path=path)

    def warn(self, message: str, *, where: str = "") -> None:
        text = f"{where}: {message}" if where else message
        self.warnings[text] = None

    def raise_if_any(self) -> None:
        """Raises SpecError carrying all problems, if there are any, in the order of the files."""
        if not self.problems:
            return
        problems = in_reading_order(self.problems)
        first = problems[0]
        raise SpecError(
            first.message, hint=first.hint, where=first.where, path=first.path, problems=tuple(problems)
        ) from None


def in_reading_order(problems: list[SpecError]) -> list[SpecError]:
    """Each problem once, in the order of the files."""
    distinct = {problem.text(): problem for problem in reversed(problems)}
    return sorted(reversed(distinct.values()), key=_reading_order(problems))


def _reading_order(problems: list[SpecError]) -> Callable[[SpecError], tuple[int, int, int]]:
    """A sort key: files in the order in which they first had a problem, then line and column."""
    files = list(dict.fromkeys(_split(problem.where)[0] for problem in problems))

    def key(problem: SpecError) -> tuple[int, int, int]:
        file, line, column = _split(problem.where)
        return (files.index(file), line, column)

    return key


def _split(where: str) -> Mark:
    file, line, column = (*where.rsplit(":", 2), "", "")[:3]
    return (file, int(line), int(column)) if line.isdigit() and column.isdigit() else (where, 0, 0)
