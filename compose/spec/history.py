"""Which merge made which tree: kept only while ``config --explain`` asks where a value comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compose.record import record
from compose.spec.tree import NOWHERE, Map, Mark, Override, Path, Reset, Seq


@record
class Setting:
    """One place that says something about a path. ``value``: as written there, canonical; a Reset for ``!reset``."""

    mark: Mark
    value: Any


class History:
    """Trees and what they were merged from, newest source first; and the text of every file that was read."""

    def __init__(self) -> None:
        self.texts: dict[str, bytes] = {}
        self.root = Map()  # the merged files, before anything was added
        self.folded: dict[Path, Mark] = {}  # values that came from env and label files
        self._sources: dict[int, tuple[Map, tuple[Map, ...]]] = {}  # by identity; the tree itself keeps that alive

    def note(self, result: Map, *sources: Map) -> Map:
        """Remember what a tree was made from; gives the tree."""
        self._sources[id(result)] = (result, sources)
        return result

    def settings(self, node: Any, path: Path, mark: Mark = NOWHERE) -> list[Setting]:
        """Every place that says something about a path below a node, the one that counts first."""
        known = self._sources.get(id(node))
        if known:
            for depth, below in enumerate(_way(node, path)):  # a service that was extended after the merge
                if id(below) in self._sources:
                    return self.settings(below, path[depth + 1 :], mark)
            return [found for source in known[1] for found in self.settings(source, path, mark)]
        if isinstance(node, Override):
            return self.settings(node.value, path, mark)
        if not path or isinstance(node, Reset):
            return [] if node is None else [Setting(mark, node)]
        key, rest = path[0], path[1:]
        if isinstance(node, Map) and key in node:
            return self.settings(node[str(key)], rest, node.marks.get(str(key), (mark, mark))[1])
        if isinstance(node, Seq) and isinstance(key, int) and key < len(node):
            return self.settings(node[key], rest, node.marks[key] if key < len(node.marks) else mark)
        return []

    def line(self, mark: Mark) -> str:
        """The line of a file that a mark points to, or "" when there is none."""
        lines = self.texts.get(mark[0], b"").decode("utf-8", "replace").splitlines()
        return lines[mark[1] - 1] if 0 < mark[1] <= len(lines) else ""

    def fold(self, root: Map) -> None:
        """Remember where environments and labels come from, now that files are folded into them."""
        for name, service in root["services"].items():
            for section in ("environment", "labels"):
                mapping = service.get(section) if isinstance(service, Map) else None
                if isinstance(mapping, Map):
                    self.folded |= {("services", name, section, key): mapping.marks[key][1] for key in mapping.marks}


def _way(node: Any, path: Path) -> Iterator[Any]:
    """The values on the way down a path, without the node it starts from."""
    for part in path:
        if not (isinstance(node, Map) and part in node):
            return
        node = node[str(part)]
        yield node
