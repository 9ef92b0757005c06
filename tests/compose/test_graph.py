from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose import graph
from compose.errors import SpecError
from tests.compose.spec.loading import project

NAMES = [f"s{i}" for i in range(9)]


def edges_of(pairs: list[tuple[int, int]], count: int = 9) -> dict[str, dict[str, dict[str, object]]]:
    edges: dict[str, dict[str, dict[str, object]]] = {name: {} for name in NAMES[:count]}
    for a, b in pairs:
        edges[NAMES[a]][NAMES[b]] = {}
    return edges


PAIRS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=14)


@given(PAIRS)
def test_the_cheap_order_is_that_of_networkx(pairs: list[tuple[int, int]]) -> None:
    edges = edges_of(pairs)
    cheap = graph.topological_order(edges)
    whole = graph.graph_of(edges)
    cycle = graph.find_cycle(whole)
    if cycle:
        assert len(cheap) < len(edges)
        assert all(b in edges[a] for a, b in zip(cycle, (*cycle[1:], cycle[0])))
        assert cycle[0] == min(cycle, key=NAMES.index)
        with pytest.raises(SpecError, match="dependency cycle: "):
            graph.order(whole)
    else:
        assert cheap == graph.order(whole)


@given(PAIRS)
def test_order_puts_dependencies_first(pairs: list[tuple[int, int]]) -> None:
    edges = edges_of([(max(a, b), min(a, b)) for a, b in pairs if a != b])
    order = graph.topological_order(edges)
    assert sorted(order) == sorted(edges)
    assert all(order.index(b) < order.index(a) for a in edges for b in edges[a])


def test_file_order_decides_among_the_ready() -> None:
    edges = {"web": {"db": {}}, "z": {}, "db": {}, "a": {}}
    assert graph.topological_order(edges) == ("z", "db", "web", "a")
    assert graph.order(graph.graph_of(edges)) == ("z", "db", "web", "a")


def test_closures_and_attributes(tmp_path: Path) -> None:
    text = """\
services:
  web: {image: x, depends_on: {api: {condition: service_healthy, restart: true}}}
  api: {image: x, links: [db]}
  db: {image: x}
  other: {image: x, depends_on: {gone: {condition: service_started, required: false}}}
"""
    whole = graph.service_graph(project(tmp_path, text))
    assert list(whole) == ["web", "api", "db", "other"]
    assert whole.edges["web", "api"] == {"condition": "service_healthy", "required": True, "restart": True}
    assert graph.dependencies(whole, ["web"]) == {"api", "db"}
    assert graph.dependents(whole, ["db"]) == {"api", "web"}
    assert graph.find_cycle(whole) == ()


def test_cycle_message() -> None:
    edges = edges_of([(0, 1), (1, 2), (2, 0)], 3)
    assert graph.cycle_message(graph.find_cycle(graph.graph_of(edges))) == "dependency cycle: s0 → s1 → s2 → s0"
