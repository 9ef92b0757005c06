"""The canonical form against recorded answers of docker compose 2.40 (`config --format json`), one file per case.

``answers/known`` has the shapes of well-known projects, ``answers`` what single rules do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compose.model.project import Project, project_from_plain
from compose.spec.desire import plain_project
from compose.spec.pipeline import LENIENT, load
from compose.spec.render import render_config

from .loading import options_of
from .recorded import HERE, Case, differences

ANSWERS = sorted(HERE.rglob("*.txt"))
each = pytest.mark.parametrize("answer", ANSWERS, ids=lambda path: path.stem)


def plain_of(case: Case) -> dict[str, Any]:
    options = options_of(case.directory, *case.files, profiles=case.profiles)
    environ = {"PWD": str(case.directory), **case.environ}
    return plain_project(load(options, environ, LENIENT))


@each
def test_same_as_docker_compose(answer: Path, tmp_path: Path) -> None:
    case = Case(answer, tmp_path)
    ours = project_from_plain(plain_of(case))
    assert differences(case.expected, json.loads(render_config(ours, "json"))) == []


@each
def test_the_models_accept_what_the_tables_made(answer: Path, tmp_path: Path) -> None:
    plain = plain_of(Case(answer, tmp_path))
    for service in plain["services"].values():
        service["extensions"] = {key: service.pop(key) for key in list(service) if key.startswith("x-")}
    assert Project.model_validate(plain).name


@each
@pytest.mark.parametrize("format", ["yaml", "json"])
def test_what_config_prints_loads_again_to_the_same(answer: Path, format: str, tmp_path: Path) -> None:
    case = Case(answer, tmp_path)
    first = project_from_plain(plain_of(case))
    (case.directory / "again.yaml").write_text(render_config(first, format))
    case.files, case.profiles = ["again.yaml"], ("*",)
    second = project_from_plain(plain_of(case))
    assert render_config(second, format) == render_config(first, format)
    assert second.hashes == first.hashes


def test_there_are_enough_well_known_projects() -> None:
    assert len([answer for answer in ANSWERS if answer.parent.name == "known"]) >= 40
