"""What must hold of the documents merged so far.

docker compose checks its schema after each document, so what is missing or left empty then is an error even if a later
file gives it. What a base of ``extends`` in another file lacks may come from the service that extends it.
"""

from __future__ import annotations

from typing import Any

from compose.spec.defaults import NULL_MEANS_NOTHING
from compose.spec.tree import NOTHING, Map, Path, Report, dotted, locate

CONDITIONS = "service_started, service_healthy or service_completed_successfully"


def check_so_far(root: Map, empty: list[Path], report: Report) -> None:
    """Report what is not whole yet. ``empty``: where the last document has keys without a value."""
    for path in empty:
        _still_empty(root, path, report)
    for name, service in _maps(root.get("services")):
        depends_on = service.get("depends_on")
        for target, dependency in _maps(depends_on):
            if "condition" not in dependency:
                _lacks(root, ("services", name, "depends_on", target), "a condition", CONDITIONS, report)
        provider = service.get("provider")
        if isinstance(provider, Map) and "type" not in provider:
            _lacks(root, ("services", name, "provider"), "a type, the program that provides the service", "", report)
    for name, model in _maps(root.get("models")):
        if "model" not in model:
            _lacks(root, ("models", name), "a model, the name of one", "", report)


def _maps(value: Any) -> list[tuple[str, Map]]:
    return [(key, item) for key, item in value.items() if isinstance(item, Map)] if isinstance(value, Map) else []


def _lacks(root: Map, path: Path, what: str, hint: str, report: Report) -> None:
    report.problem(f"{dotted(path)}: needs {what}", hint=hint, where=locate(root, path, key=True), path=path)


def _still_empty(root: Map, path: Path, report: Report) -> None:
    node: Any = root
    for part in path[:-1]:
        node = node.get(str(part)) if isinstance(node, Map) else None
    key = path[-1]
    if not isinstance(node, Map) or not isinstance(key, str) or key not in node:
        return
    if node[key] is NOTHING or (node[key] is None and len(path) == 3 and key not in NULL_MEANS_NOTHING):
        report.without_value(root, path)
