"""What a service's process gets as environment and labels: files folded in, names without a value looked up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from compose.spec import dotenv
from compose.spec.inputs import display_name
from compose.spec.tree import Map, locate

if TYPE_CHECKING:
    from compose.spec.files import Variables
    from compose.spec.pipeline import Loader


def resolve(root: Map, loader: Loader, variables: Variables) -> None:
    """Fold env_file and label_file into environment and labels of every service, in place; read only what is used."""
    services = root.get("services")
    for name, service in services.items() if isinstance(services, Map) else ():
        if isinstance(service, Map):
            _environment(root, name, service, loader, variables)
            _labels(root, name, service, loader, variables)
            build = service.get("build")
            if isinstance(build, Map) and isinstance(build.get("args"), Map):
                build["args"] = _with_values(build["args"], variables, drop=True)


def _environment(root: Map, name: str, service: Map, loader: Loader, variables: Variables) -> None:
    own = service.get("environment")
    own = _with_values(own, variables, drop=False) if isinstance(own, Map) else Map()
    merged = Map(own.mark)
    for index, entry in enumerate(service.get("env_file") or ()):
        if not isinstance(entry, Map):
            continue
        path = entry["path"]
        if not entry.get("required", True) and not loader.inputs.is_file(path):
            continue
        content = loader.inputs.read(
            path, "environment file", where=locate(root, ("services", name, "env_file", index))
        )
        parse = dotenv.parse_raw if entry.get("format") == "raw" else dotenv.parse
        found = parse(content, display_name(path, loader.cwd), _chain(variables, own, merged))
        merged.update({key: value for key, value in found.items() if value is not None})
        _remember(loader, path, content, merged, found)
    service.pop("env_file", None)
    for key in own:
        merged.take(key, own)
    if merged or "environment" in service:
        service["environment"] = merged


def _remember(loader: Loader, path: str, content: bytes, merged: Map, found: Iterable[str]) -> None:
    """Which line of a file set each variable, if somebody asked for that."""
    if loader.history:
        name = display_name(path, loader.cwd)
        loader.history.texts[name] = content
        for key in found:
            mark = (name, dotenv.line_of(content, key), 1)
            merged.marks[key] = (mark, mark)


def _chain(variables: Variables, own: Map, merged: Map) -> dotenv.Lookup:
    """In an env file a variable is looked up in the project's, then the service's, then what was read before."""

    def find(name: str) -> str | None:
        for source in (variables, own.get, merged.get):
            value: Any = source(name)
            if value is not None:
                return str(value)
        return None

    return find


def _with_values(mapping: Map, variables: Variables, *, drop: bool) -> Map:
    result = Map(mapping.mark)
    for key, value in mapping.items():
        found = variables(key) if value is None else value
        if found is not None or not drop:
            result.put(key, found, mapping.marks.get(key))
    return result


def _labels(root: Map, name: str, service: Map, loader: Loader, variables: Variables) -> None:
    files = service.get("label_file")
    if not files:
        return
    merged = Map()
    for index, path in enumerate(files):
        if isinstance(path, str):
            where = locate(root, ("services", name, "label_file", index))
            content = loader.inputs.read(path, "label file", where=where)
            found = dotenv.parse(content, display_name(path, loader.cwd), variables)
            merged.update({key: value or "" for key, value in found.items()})
            _remember(loader, path, content, merged, found)
    del service["label_file"]
    own = service.get("labels")
    if isinstance(own, Map):
        for key in own:
            merged.take(key, own)
    service["labels"] = merged
