"""Helpers of the loader's tests: files from text, a project from them, errors as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compose.errors import SpecError
from compose.model.project import Project, project_from_plain
from compose.project import LoadOptions
from compose.spec.desire import plain_project
from compose.spec.pipeline import LENIENT, Switches, load

ENVIRON = {"HOME": "/root"}


def write(directory: Path, **files: str) -> None:
    """Files by name; ``__`` in a keyword is a dot, ``___`` a slash."""
    for name, text in files.items():
        path = directory / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def options_of(directory: Path, *files: str, **more: Any) -> LoadOptions:
    return LoadOptions(files=files, cwd=str(directory), **more)


def plain(directory: Path, *texts: str, switches: Switches = LENIENT, **more: Any) -> dict[str, Any]:
    """The fields of the project of ``compose.yaml`` and further files with these texts."""
    environ = more.pop("environ", ENVIRON)
    names = []
    for index, text in enumerate(texts):
        name = "compose.yaml" if not index else f"over{index}.yaml"
        (directory / name).write_text(text)
        names.append(name)
    return plain_project(load(options_of(directory, *names, **more), environ, switches))


def project(directory: Path, *texts: str, refuse: bool = False, **more: Any) -> Project:
    """The same as a model."""
    return project_from_plain(plain(directory, *texts, switches=Switches(refuse=refuse), **more))


def service(directory: Path, *texts: str, **more: Any) -> dict[str, Any]:
    """The canonical mapping of service ``a``."""
    from compose.model.project import to_plain

    plain: dict[str, Any] = to_plain(project(directory, *texts, **more))["services"]["a"]
    return plain


def errors(directory: Path, *texts: str, **more: Any) -> list[str]:
    """Every problem of a load that must fail, as printed, without the directory."""
    with pytest.raises(SpecError) as caught:
        project(directory, *texts, **more)
    return [problem.text().replace(str(directory), "DIR") for problem in caught.value.problems]
