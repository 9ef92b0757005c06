"""The pipeline on one screen: files → trees → one canonical tree, checked. See PIPELINE.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from compose.errors import SpecError
from compose.project import LoadOptions, working_directory
from compose.record import record
from compose.spec import defaults, environment, profiles, validate
from compose.spec.check import READ, Check
from compose.spec.document import parse_documents
from compose.spec.extends import apply_extends
from compose.spec.files import Place, Variables, find_place, project_name
from compose.spec.history import History
from compose.spec.include import apply_include
from compose.spec.inputs import Inputs, display_name
from compose.spec.interpolate import Interpolator, substitute
from compose.spec.merge import merge_documents
from compose.spec.paths import Resolver
from compose.spec.schema import check_document
from compose.spec.sofar import check_so_far
from compose.spec.tree import Map, Override, Path, Report, Reset, Seq, format_mark, in_reading_order, sweep


@record
class Switches:
    """Which phases a load leaves out; all run unless ``config`` is asked otherwise.

    ``interpolate``: fill in ``${...}``; without it nothing that depends on values is done either. ``normalize``: add
    what the file leaves unsaid. ``resolve_paths``, ``consistency``: as they say. ``resolve_environment``: fold
    ``env_file`` into ``environment``. ``refuse``: what can be read but not run is a problem; else, what no engine runs
    is a warning; with ``keep`` it is neither, but among the ``refusals`` of what was loaded. ``extensions``: keep
    ``x-`` keys within attributes, which only ``config`` shows.
    """

    interpolate: bool = True
    normalize: bool = True
    resolve_paths: bool = True
    consistency: bool = True
    resolve_environment: bool = True
    refuse: bool = True
    keep: bool = False
    extensions: bool = False


ALL = Switches()
LENIENT = Switches(refuse=False)
KEEPING = Switches(refuse=False, keep=True)


@record
class Loaded:
    """A whole project in canonical form. ``root``: the tree, only enabled services and used resources in it.

    ``profiles``: all that the files name, in their order; ``disabled``: services that no active profile includes.
    """

    name: str
    place: Place
    root: Map
    order: tuple[str, ...]
    disabled: tuple[str, ...]
    warnings: tuple[str, ...]
    inputs: Inputs
    separator: str = "-"
    all_resources: bool = False
    profiles: tuple[str, ...] = ()
    refusals: tuple[SpecError, ...] = ()


class Loader:
    """Loads files into trees; one per command, shared by included and extended files."""

    def __init__(
        self, inputs: Inputs, report: Report, cwd: str, *, templates: bool = False, history: History | None = None
    ) -> None:
        self.history = history
        self.templates = templates  # variables stay in the text, so such text may stand for any kind of value
        self.inputs = inputs
        self.report = report
        self.cwd = cwd
        self.home = inputs.variable("HOME") or os.path.expanduser("~")
        self._empty: list[Path] = []  # of the document that was checked last
        self._texts: dict[str, bytes] = {}
        self._parsed: dict[str, list[Any]] = {}

    def documents(self, path: str, what: str = "Compose file", where: str = "") -> list[Any]:
        """The raw documents of a file; fresh trees each time, because interpolation changes them."""
        if path in self._parsed:
            return self._parsed.pop(path)
        if path not in self._texts:
            self._texts[path] = self.inputs.read(path, what, where)
        name = display_name(path, self.cwd)
        if self.history:
            self.history.texts[name] = self._texts[path]
        documents = parse_documents(self._texts[path], name, self.report)
        if not documents:
            raise SpecError("cannot load an empty Compose file", hint="it needs at least services:", where=name)
        for document in documents:
            if not isinstance(document, Map):
                found = "a list" if isinstance(document, Seq) else "text"
                raise SpecError(
                    f"cannot load a Compose file that is {found}, not a mapping",
                    where=f"{name}:1:1",
                    hint="begin with services:",
                )
        return documents

    def peek(self, path: str) -> list[Any]:
        """The documents of a file that will be asked for again: to look at, not to change."""
        self._parsed[path] = self.documents(path)
        return self._parsed[path]

    def checked(self, document: Any, variables: Variables, *, waits: int = READ) -> Map:
        """A raw document, interpolated and in canonical form (an empty one if it is beyond use).

        ``waits``: the problems that wait for the last merge, as in ``Check``.
        """
        interpolator = Interpolator(variables, self.report, variables.names)
        if self.templates:
            interpolator.files(document)
        else:
            interpolator.tree(document)
        check = Check(document, self.report, templates=self.templates, waits=waits)
        checked = check_document(document, check)
        self._empty = check.empty
        return checked if isinstance(checked, Map) else Map()

    def merged(self, base: Map, over: Map, merge: Callable[[Map, Map], Map] = merge_documents) -> Map:
        """Two trees merged, and that remembered if somebody asked for it."""
        result = merge(base, over)
        return self.history.note(result, over, base) if self.history else result

    def resolver(self, directory: str) -> Resolver:
        return Resolver(directory, self.home)

    def model(self, files: tuple[str, ...], directory: str, variables: Variables, chain: tuple[str, ...]) -> Map:
        """Files merged in order, with what they include and extend. ``chain``: the files that led here."""
        result = Map()
        for path in files:
            for document in self.documents(path):
                layer, empty = self.checked(document, variables), self._empty
                layer = apply_include(self, layer, directory, variables, (*chain, path))
                layer = apply_extends(self, layer, result, directory, variables)
                result = self.merged(result, layer)
                check_so_far(result, empty, self.report)
        return result


def load(
    options: LoadOptions,
    environ: Mapping[str, str],
    switches: Switches = ALL,
    history: History | None = None,
    inputs: Inputs | None = None,
) -> Loaded:
    """Load a project. Raises SpecError with every problem found. ``history``: is told what is merged from what.

    ``inputs``: where what was read is noted, for a caller who wants to know it of a load that failed, too.
    """
    inputs, report = inputs or Inputs(environ), Report()
    cwd = options.cwd or working_directory(environ)
    place = find_place(options, inputs, report, cwd)
    loader = Loader(inputs, report, cwd, templates=not switches.interpolate, history=history)
    name = project_name(options, place.variables, *_declared_name(loader, place))
    place.variables.supplied["COMPOSE_PROJECT_NAME"] = name
    root = loader.model(place.files, place.directory, place.variables, ())
    if history:
        history.root = root
        root = history.note(merge_documents(Map(root.mark), root), root)
    broken = sweep(root, report)
    defaults.drop_version(root, report)
    if switches.resolve_paths:
        loader.resolver(place.directory).tree(root)
    named = profiles.all_profiles(root)
    active = profiles.active_profiles(options, place.variables) if switches.interpolate else ("*",)
    disabled = profiles.split_profiles(root, active, options.targets)
    if switches.interpolate and switches.resolve_environment:
        environment.resolve(root, loader, place.variables)
    defaults.complete(root, name, report, normalize=switches.normalize)
    if history:
        history.fold(root)
    order = _judged(root, disabled, broken, report, switches)
    if not switches.keep or report.problems:  # all is told at once
        report.judge_unfit(refuse=switches.refuse or switches.keep)
    report.raise_if_any()
    everything = options.all_resources or not switches.interpolate
    defaults.prune(root, everything=everything, extensions=switches.extensions)
    separator = "_" if options.compatibility else "-"
    warnings = tuple(report.warnings)
    return Loaded(
        name,
        place,
        root,
        order,
        disabled,
        warnings,
        inputs,
        separator,
        everything,
        named,
        tuple(in_reading_order(report.unfit)),
    )


def _judged(
    root: Map, disabled: tuple[str, ...], broken: set[Path], report: Report, switches: Switches
) -> tuple[str, ...]:
    """The order of services, after everything that can only be checked on the whole project."""
    if not (switches.consistency and switches.interpolate):
        return tuple(root["services"])
    validate.consistency(root, disabled, broken, report)
    order = validate.order_or_cycle(root, report)
    if switches.refuse or switches.keep:
        validate.refuse_unsupported(root, report)
    return order


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
