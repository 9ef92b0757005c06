"""Which files make the project, where its directory is, what it is called, and which ``.env`` counts."""

from __future__ import annotations

import os
import re

from compose.errors import SpecError
from compose.project import LoadOptions
from compose.record import record
from compose.spec import dotenv
from compose.spec.inputs import CANDIDATES, Inputs, display_name
from compose.spec.scalars import boolean
from compose.spec.tree import Report

OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class Variables:
    """What ``${NAME}`` finds: the process environment, then env files, then what Compose itself supplies."""

    def __init__(self, inputs: Inputs, parent: Variables | None = None) -> None:
        self.inputs = inputs
        self.parent = parent
        self.own: dict[str, str] = {}
        self.supplied: dict[str, str] = {}
        self.sources: dict[str, str] = {}  # variable of ``own`` → path of the file it came from

    def __call__(self, name: str) -> str | None:
        value = self.parent(name) if self.parent else self.inputs.variable(name)
        if value is None:
            value = self.own.get(name)
        return self.supplied.get(name) if value is None else value

    def add(self, path: str, name: str, *, overwrite: bool) -> None:
        """Add the variables of an env file; without ``overwrite``, those known already stay."""
        for key, value in dotenv.parse(self.inputs.read(path, "environment file"), name, self).items():
            if value is not None and (overwrite or key not in self.own):
                self.own[key] = value
                self.sources[key] = path

    def all(self) -> dict[str, str]:
        """Every variable with its value."""
        outer = self.parent.all() if self.parent else self.inputs.everything()
        return {**self.supplied, **self.own, **outer}

    def names(self) -> tuple[str, ...]:
        """Names of all variables, for hints; asking does not make the load depend on them."""
        return tuple(self.all())

    def origin(self, name: str) -> str:
        """Where a variable's value comes from, in words; "" when it has none."""
        if self.parent is not None and self.parent(name) is not None:
            return self.parent.origin(name)
        if self.parent is None and self.inputs.variable(name) is not None:
            return "the environment"
        if name in self.own:
            path = self.sources[name]
            return f"{path}:{dotenv.line_of(self.inputs.read(path, 'environment file'), name)}"
        return "pycompose itself" if name in self.supplied else ""

    def child(self) -> Variables:
        """For an included project: ours win, its own env files supply defaults."""
        return Variables(self.inputs, self)


@record
class Place:
    """The files of a project (absolute, or ``-``), its directory, and the env files that were read."""

    files: tuple[str, ...]
    directory: str
    env_files: tuple[str, ...]
    variables: Variables


def find_place(options: LoadOptions, inputs: Inputs, report: Report, cwd: str) -> Place:
    """Find files, directory and env files. Raises SpecError when there is no Compose file."""
    variables = Variables(inputs)
    variables.supplied["PWD"] = cwd
    directory = _absolute(options.project_directory, cwd) if options.project_directory else ""
    env_files = _explicit_env_files(options, variables, cwd)
    for path in env_files:
        variables.add(path, display_name(path, cwd), overwrite=True)
    wanted = not env_files and not boolean(inputs.variable("COMPOSE_DISABLE_ENV_FILE") or "")
    if wanted:
        env_files = _default_env_file(directory or cwd, variables, cwd, env_files)
    files = _find_files(options, variables, inputs, report, cwd)
    if not directory:
        first = next((path for path in files if path != "-"), "")
        directory = os.path.dirname(first) or cwd
    if wanted:
        env_files = _default_env_file(directory, variables, cwd, env_files)
    return Place(files, directory, env_files, variables)


def _absolute(path: str, base: str) -> str:
    return os.path.normpath(os.path.join(base, path))


def _explicit_env_files(options: LoadOptions, variables: Variables, cwd: str) -> tuple[str, ...]:
    named = options.env_files
    if not named:
        listed = variables.inputs.variable("COMPOSE_ENV_FILES") or ""
        named = tuple(part.strip() for part in listed.split(",") if part.strip())
    return tuple(_absolute(path, cwd) for path in named)


def _default_env_file(directory: str, variables: Variables, cwd: str, already: tuple[str, ...]) -> tuple[str, ...]:
    path = os.path.join(directory, ".env")
    if path in already or not variables.inputs.is_file(path):
        return already
    variables.add(path, display_name(path, cwd), overwrite=False)
    return (*already, path)


def _find_files(
    options: LoadOptions, variables: Variables, inputs: Inputs, report: Report, cwd: str
) -> tuple[str, ...]:
    files = options.files
    if not files:
        listed = variables("COMPOSE_FILE") or ""
        files = tuple(part for part in listed.split(variables("COMPOSE_PATH_SEPARATOR") or ":") if part)
    if files:
        return tuple(path if path == "-" else _absolute(inputs.local(path), cwd) for path in files)
    start = _absolute(options.project_directory, cwd) if options.project_directory else cwd
    return _discover(start, inputs, report)


def _discover(start: str, inputs: Inputs, report: Report) -> tuple[str, ...]:
    directory = start
    while True:
        found = [name for name in CANDIDATES if inputs.is_file(os.path.join(directory, name))]
        if found:
            break
        parent = os.path.dirname(directory)
        if parent == directory:
            raise SpecError(
                f"cannot find a Compose file in {start} or above",
                hint=f"name it {CANDIDATES[0]}, or give it with -f FILE",
            )
        directory = parent
    if len(found) > 1:
        report.warn(f"{directory} holds {' and '.join(found)}; {found[0]} is used")
    overrides = [name for name in OVERRIDES if inputs.is_file(os.path.join(directory, name))]
    if len(overrides) > 1:
        report.warn(f"{directory} holds {' and '.join(overrides)}; {overrides[0]} is used")
    return tuple(os.path.join(directory, name) for name in (found[0], *overrides[:1]))


def project_name(options: LoadOptions, variables: Variables, declared: str, directory: str, where: str = "") -> str:
    """The project's name: option, COMPOSE_PROJECT_NAME, ``name:`` in the files, the directory's name."""
    for name, source in (
        (options.project_name, "the option --project-name"),
        (variables("COMPOSE_PROJECT_NAME") or "", "COMPOSE_PROJECT_NAME"),
        (declared, "name"),
    ):
        if not name:
            continue
        if source == "name":  # docker compose is lenient with the one in the file
            name = normalise_name(name)
        if _NAME.fullmatch(name):
            return name
        hint = f'try "{normalise_name(name)}"' if normalise_name(name) else ""
        allowed = "lower-case letters, digits, dashes and underscores, first a letter or digit"
        place = where if source == "name" else ""
        raise SpecError(f'cannot use "{name}" from {source} as a project name: {allowed}', hint=hint, where=place)
    derived = normalise_name(os.path.basename(directory))
    if not derived:
        raise SpecError(
            f"cannot derive a project name from {directory}", hint="give one with -p NAME or name: in the file"
        )
    return derived


def normalise_name(name: str) -> str:
    """Lower case, without what a project name may not contain: ``My.App`` → ``myapp``."""
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")
