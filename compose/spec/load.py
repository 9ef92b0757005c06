"""The pipeline on one screen: files → trees → one canonical tree, checked. See PIPELINE.md."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from compose.errors import SpecError
from compose.project import LoadOptions, working_directory
from compose.record import record
from compose.spec import defaults, environment, validate
from compose.spec.check import Check
from compose.spec.document import parse_documents
from compose.spec.extends import apply_extends
from compose.spec.files import Place, Variables, find_place, project_name
from compose.spec.include import apply_include
from compose.spec.inputs import Inputs, display_name
from compose.spec.interpolate import Interpolator, substitute
from compose.spec.merge import merge_documents
from compose.spec.paths import Resolver
from compose.spec.schema import check_document
from compose.spec.tree import Map, Override, Report, Reset, Seq, format_mark, sweep


@record
class Loaded:
    """A whole project in canonical form. ``root``: the tree, only enabled services and used resources in it."""

    name: str
    place: Place
    root: Map
    order: tuple[str, ...]
    disabled: tuple[str, ...]
    warnings: tuple[str, ...]
    inputs: Inputs
    separator: str = "-"
    all_resources: bool = False


class Loader:
    """Loads files into trees; one per command, shared by included and extended files."""

    def __init__(self, inputs: Inputs, report: Report, cwd: str) -> None:
        self.inputs = inputs
        self.report = report
        self.cwd = cwd
        self.home = inputs.variable("HOME") or os.path.expanduser("~")
        self._texts: dict[str, bytes] = {}
        self._parsed: dict[str, list[Any]] = {}

    def documents(self, path: str, what: str = "Compose file", where: str = "") -> list[Any]:
        """The raw documents of a file; fresh trees each time, because interpolation changes them."""
        if path in self._parsed:
            return self._parsed.pop(path)
        if path not in self._texts:
            self._texts[path] = self.inputs.read(path, what, where)
        name = display_name(path, self.cwd)
        documents = parse_documents(self._texts[path], name, self.report)
        if not documents:
            raise SpecError("cannot load an empty Compose file", hint="it needs at least services:", where=name)
        for document in documents:
            if not isinstance(document, Map):
                found = "a list" if isinstance(document, Seq) else "text"
                raise SpecError(f"cannot load a Compose file that is {found}, not a mapping", where=f"{name}:1:1")
        return documents

    def peek(self, path: str) -> list[Any]:
        """The documents of a file that will be asked for again: to look at, not to change."""
        self._parsed[path] = self.documents(path)
        return self._parsed[path]

    def checked(self, document: Any, variables: Variables) -> Map:
        """A raw document, interpolated and in canonical form (an empty one if it is beyond use)."""
        Interpolator(variables, self.report).tree(document)
        checked = check_document(document, Check(document, self.report))
        return checked if isinstance(checked, Map) else Map()

    def resolver(self, directory: str) -> Resolver:
        return Resolver(directory, self.home)

    def model(self, files: tuple[str, ...], directory: str, variables: Variables, chain: tuple[str, ...]) -> Map:
        """Files merged in order, with what they include and extend. ``chain``: the files that led here."""
        result = Map()
        for path in files:
            for document in self.documents(path):
                layer = self.checked(document, variables)
                layer = apply_include(self, layer, directory, variables, (*chain, path))
                layer = apply_extends(self, layer, result, directory, variables)
                result = merge_documents(result, layer)
        return result


def load(options: LoadOptions, environ: Mapping[str, str], *, refuse: bool = True) -> Loaded:
    """Load a project. Raises SpecError with every problem found. ``refuse``: unsupported attributes are problems."""
    inputs, report = Inputs(environ), Report()
    cwd = options.cwd or working_directory(environ)
    place = find_place(options, inputs, report, cwd)
    loader = Loader(inputs, report, cwd)
    name = project_name(options, place.variables, *_declared_name(loader, place))
    place.variables.supplied["COMPOSE_PROJECT_NAME"] = name
    root = loader.model(place.files, place.directory, place.variables, ())
    broken = sweep(root)
    defaults.drop_version(root, report)
    loader.resolver(place.directory).tree(root)
    disabled = validate.split_profiles(root, _profiles(options, place.variables), options.targets)
    environment.resolve(root, loader, place.variables)
    defaults.complete(root, name, report)
    validate.consistency(root, disabled, broken, report)
    order = validate.order_or_cycle(root, report)
    if refuse:
        validate.refuse_unsupported(root, report)
    report.raise_if_any()
    defaults.prune(root, everything=options.all_resources)
    separator = "_" if options.compatibility else "-"
    return Loaded(name, place, root, order, disabled, tuple(report.warnings), inputs, separator, options.all_resources)


def _profiles(options: LoadOptions, variables: Variables) -> tuple[str, ...]:
    if options.profiles:
        return options.profiles
    return tuple(part.strip() for part in (variables("COMPOSE_PROFILES") or "").split(",") if part.strip())


def _declared_name(loader: Loader, place: Place) -> tuple[str, str, str]:
    """The last ``name:`` of the files, interpolated; the project directory; where the name stands."""
    declared, where = "", ""
    for path in place.files:
        for document in loader.peek(path):
            value = document.get("name") if isinstance(document, Map) else None
            value = value.value if isinstance(value, Override) else value
            if isinstance(value, Reset):
                declared = ""
            elif isinstance(value, str):
                try:
                    declared = substitute(value, place.variables, lambda name: None)
                except ValueError:
                    continue  # the pipeline reports it with its place
                where = format_mark(document.marks["name"][1])
    return declared, place.directory, where
