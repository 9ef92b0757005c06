"""``extends``: a service begins as a copy of another, of this file or of another one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from compose.errors import SpecError
from compose.spec.check import MERGED, suggest
from compose.spec.merge import merge_services, unique
from compose.spec.tree import Map, locate

if TYPE_CHECKING:
    from compose.spec.files import Variables
    from compose.spec.pipeline import Loader


def apply_extends(loader: Loader, layer: Map, below: Map, directory: str, variables: Variables) -> Map:
    """The layer with every ``extends`` resolved. ``below``: what earlier files gave, for names not in this one."""
    services = layer.get("services")
    if not isinstance(services, Map) or not any(isinstance(s, Map) and "extends" in s for s in services.values()):
        return layer
    scope = _Scope(loader, layer, below, directory, variables)
    for name in services:
        services[name] = scope.resolved(name, ())
    return layer


class _Scope:
    """One file's services, resolved on demand."""

    def __init__(self, loader: Loader, root: Map, below: Map, directory: str, variables: Variables) -> None:
        self.loader = loader
        self.root = root
        self.below = below
        self.directory = directory
        self.variables = variables

    def resolved(self, name: str, chain: tuple[tuple[str, str], ...], file: str = "") -> Map:
        """A service with its bases below it. Raises SpecError for a cycle."""
        services = self.root.get("services")
        service = services.get(name) if isinstance(services, Map) else None
        if not isinstance(service, Map):
            return service if service is not None else Map()
        extends = service.get("extends")
        if not isinstance(extends, Map):
            return service
        where = locate(self.root, ("services", name, "extends"))
        step = (file, name)
        if step in chain:
            path = " → ".join(f"{n} in {f}" if f else n for f, n in (*chain, step))
            raise SpecError(f"cannot extend in a circle: {path}", where=where, hint="remove one of these extends")
        base = self._base(extends, (*chain, step), where, file)
        own = Map(service.mark)
        for key in service:
            if key != "extends":
                own.take(key, service)
        return self.loader.merged(base, own, merge_services)

    def _base(self, extends: Map, chain: tuple[tuple[str, str], ...], where: str, file: str) -> Map:
        target, other = extends["service"], extends.get("file")
        if other:
            path = self.loader.resolver(self.directory).path(self.loader.inputs.local(other, where))
            return self._from_file(path, target, chain, where)
        services = self.root.get("services")
        if isinstance(services, Map) and target in services:
            return self.resolved(target, chain, file)
        below = self.below.get("services")
        if isinstance(below, Map) and isinstance(below.get(target), Map):
            found: Map = below[target]
            return found
        known = (*(services if isinstance(services, Map) else ()), *(below if isinstance(below, Map) else ()))
        hint = suggest(target, known)
        raise SpecError(f'cannot extend "{target}": there is no such service', hint=hint, where=where)

    def _from_file(self, path: str, target: str, chain: tuple[tuple[str, str], ...], where: str) -> Map:
        folder = os.path.dirname(path)
        root = Map()
        for document in self.loader.documents(path, "extended file", where):
            root = self.loader.merged(root, self.loader.checked(document, self.variables, waits=MERGED))
        services = root.get("services")
        if not isinstance(services, Map) or target not in services:
            raise SpecError(
                f'cannot extend "{target}": there is no such service in {path}',
                hint=suggest(target, tuple(services or ())),
                where=where,
            )
        scope = _Scope(self.loader, root, Map(), folder, self.variables)
        holder = Map()
        holder["services"] = Map()
        found = holder["services"]["base"] = scope.resolved(target, chain, path)
        copy = unique(holder)
        self.loader.resolver(folder).tree(copy)
        base: Map = copy["services"]["base"]
        return self.loader.history.note(base, found) if self.loader.history else base
