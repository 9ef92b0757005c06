"""The graph of services: who needs whom. Edges run from a service to its dependency, with the condition on them.

networkx is the graph of record (closures, cycles, pictures) and costs 130 ms to import, so it is imported only by the
functions that hand out its graphs. ``topological_order`` gives what ``order`` gives for the common case, an acyclic
project about to be started, without it; a property test holds the two together.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    import networkx as nx

    from compose.model.project import Project
    from compose.plan.desired import Desired

    Graph = nx.DiGraph[str]


def service_graph(project: Project) -> Graph:
    """The graph of a project; edges carry ``condition``, ``required`` and ``restart``, nodes their ``index``."""
    edges = {
        name: {
            target: {"condition": d.condition, "required": d.required, "restart": d.restart}
            for target, d in service.depends_on.items()
            if target in project.services
        }
        for name, service in project.services.items()
    }
    return graph_of(edges)


def desired_graph(desired: Desired) -> Graph:
    """The same graph, from what the planner reads."""
    edges = {
        service.name: {
            d.service: {"condition": d.condition, "required": d.required, "restart": d.restart}
            for d in service.dependencies
        }
        for service in desired.services
    }
    return graph_of(edges)


def graph_of(edges: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Graph:
    """A DiGraph from service → dependency → attributes of the edge."""
    import networkx

    graph: Graph = networkx.DiGraph()
    for index, name in enumerate(edges):
        graph.add_node(name, index=index)
    for name, targets in edges.items():
        for target, attributes in targets.items():
            if target not in graph:
                graph.add_node(target, index=len(graph))
            graph.add_edge(name, target, **attributes)
    return graph


def order(graph: Graph) -> tuple[str, ...]:
    """Dependencies first; among those that are ready, file order. Raises SpecError for a cycle."""
    import networkx

    cycle = find_cycle(graph)
    if cycle:
        from compose.errors import SpecError

        raise SpecError(cycle_message(cycle), hint="remove one of these dependencies")
    index = graph.nodes
    reverse = graph.reverse(copy=False)
    return tuple(networkx.lexicographical_topological_sort(reverse, key=lambda name: index[name]["index"]))


def find_cycle(graph: Graph) -> tuple[str, ...]:
    """The services of one cycle in order, beginning with the first in the file; () when there is none."""
    import networkx

    try:
        edges = networkx.find_cycle(graph)
    except networkx.NetworkXNoCycle:
        return ()
    names = [edge[0] for edge in edges]
    first = min(range(len(names)), key=lambda i: graph.nodes[names[i]]["index"])
    return (*names[first:], *names[:first])


def cycle_message(cycle: tuple[str, ...]) -> str:
    return f"dependency cycle: {' → '.join((*cycle, cycle[0]))}"


def dependencies(graph: Graph, names: Iterable[str]) -> set[str]:
    """All services that these need, directly or not; without themselves unless one needs another."""
    import networkx

    return {found for name in names for found in networkx.descendants(graph, name)}


def dependents(graph: Graph, names: Iterable[str]) -> set[str]:
    """All services that need these, directly or not."""
    import networkx

    return {found for name in names for found in networkx.ancestors(graph, name)}


def topological_order(edges: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """What ``order`` gives, without networkx. Shorter than ``edges`` when there is a cycle; ask ``find_cycle`` then."""
    from heapq import heapify, heappop, heappush

    names = list(edges)
    index = {name: i for i, name in enumerate(names)}
    waiting: dict[str, int] = {}
    needed_by: dict[str, list[str]] = {name: [] for name in names}
    for name, targets in edges.items():
        known = [target for target in targets if target in index]
        waiting[name] = len(known)
        for target in known:
            needed_by[target].append(name)
    ready = [index[name] for name in names if not waiting[name]]
    heapify(ready)
    result = []
    while ready:
        name = names[heappop(ready)]
        result.append(name)
        for dependent in needed_by[name]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                heappush(ready, index[dependent])
    return tuple(result)
