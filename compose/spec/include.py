"""``include``: other Compose files become part of the project, each with its own directory and env defaults."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from compose.errors import SpecError
from compose.spec.inputs import display_name
from compose.spec.tree import Map, Seq, locate, sweep

if TYPE_CHECKING:
    from compose.spec.files import Variables
    from compose.spec.pipeline import Loader

_IMPORTED = ("services", "networks", "volumes", "secrets", "configs", "models")


def apply_include(loader: Loader, layer: Map, directory: str, variables: Variables, chain: tuple[str, ...]) -> Map:
    """The layer on top of everything it includes; its ``include`` is gone."""
    entries = layer.pop("include", None)
    if not isinstance(entries, Seq):
        return layer
    included = Map()
    for index, entry in enumerate(entries):
        if isinstance(entry, Map) and entry.get("path") and not sweep(entry, loader.report):
            where = locate(entries, (index,))
            included = loader.merged(included, _load(loader, entry, directory, variables, chain, where))
    return loader.merged(included, layer)


def _load(loader: Loader, entry: Map, directory: str, variables: Variables, chain: tuple[str, ...], where: str) -> Map:
    """One entry as its own little project: only resources are imported, their paths absolute."""
    outer = loader.resolver(directory)
    files = tuple(outer.path(loader.inputs.local(path, where)) for path in entry["path"])
    for path in files:
        if path in chain:
            names = " → ".join(display_name(name, loader.cwd) for name in (*chain, path))
            raise SpecError(f"cannot include in a circle: {names}", where=where, hint="remove one of these includes")
        if not loader.inputs.is_file(path):
            raise SpecError(
                f"cannot find the included file {display_name(path, loader.cwd)}",
                where=where,
                hint="paths are relative to the project directory, or to the including file in an included one",
            )
    own = outer.path(entry["project_directory"]) if entry.get("project_directory") else os.path.dirname(files[0])
    model = loader.model(files, own, _variables(loader, entry, outer.path, own, variables), chain)
    loader.resolver(own).tree(model)
    result = Map()
    for key in _IMPORTED:
        if key in model:
            result.take(key, model)
    return loader.history.note(result, model) if loader.history else result


def _variables(loader: Loader, entry: Map, absolute: object, own: str, variables: Variables) -> Variables:
    """The including project's variables, then the entry's env files, or the ``.env`` beside the included file."""
    result = variables.child()
    named = entry.get("env_file")
    if named:
        for path in named:
            full = absolute(path) if callable(absolute) else path
            if full != "/dev/null":
                result.add(full, display_name(full, loader.cwd), overwrite=True)
        return result
    path = os.path.join(own, ".env")
    if loader.inputs.is_file(path):
        result.add(path, display_name(path, loader.cwd), overwrite=False)
    return result
