"""Compose files → Project. ``load`` is the way in for programs; PIPELINE.md has the phases.

from compose.spec import load

project = load("compose.yaml", profiles=["debug"])
for name, service in project.services.items():
    print(name, service.image)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike, environ, fspath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compose.model.project import Project

__all__ = ["load"]
_Path = str | PathLike[str]


def load(
    *files: _Path,
    directory: _Path = "",
    project_name: str = "",
    env_files: Iterable[_Path] = (),
    profiles: Iterable[str] = (),
    services: Iterable[str] = (),
    variables: Mapping[str, str] | None = None,
    runnable: bool = False,
) -> Project:
    """Read Compose files into one checked project: merged, interpolated, extended, in canonical form, frozen.

    ``files``: in order, the later ones on top; ``-`` is standard input. Without any they are found as ``pycompose up``
    finds them: COMPOSE_FILE, or ``compose.yaml`` with its override, here or above.
    ``directory``: what relative paths are relative to; by default that of the first file.
    ``project_name``: lower-case letters, digits, ``-`` and ``_``; by default ``name:`` or the directory's name.
    ``env_files``: instead of ``.env``. ``profiles``: the active ones. ``services``: named ones, whose profiles become
    active. ``variables``: instead of the process's environment.
    ``runnable``: refuse what this machine's ``up`` would refuse, too.

    Raises ``compose.errors.SpecError``; its ``problems`` has every problem of all files, each with its place as
    ``file:line:column``. What is not wrong but worth knowing is in the project's ``warnings``.
    """
    from compose.model.project import project_from_plain
    from compose.project import LoadOptions
    from compose.spec.desire import plain_project
    from compose.spec.pipeline import Switches, load

    options = LoadOptions(
        files=tuple(fspath(path) for path in files),
        project_name=project_name,
        project_directory=fspath(directory),
        env_files=tuple(fspath(path) for path in env_files),
        profiles=tuple(profiles),
        targets=tuple(services),
    )
    found = load(options, environ if variables is None else variables, Switches(refuse=runnable))
    return project_from_plain(plain_project(found))
