"""The canonical form against recorded answers of docker compose 2.40 (`config --format json`), one file per case."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from compose.model.project import Project, project_from_plain
from compose.spec.desire import plain_project
from compose.spec.pipeline import LENIENT, load
from compose.spec.render import render_config

from .loading import ENVIRON, options_of, project

ANSWERS = sorted(Path(__file__).with_name("answers").glob("*.txt"))
_SECTION = re.compile(r"^-- (\S+) --\n", re.MULTILINE)


def unpack(answer: Path, directory: Path) -> tuple[list[str], Any]:
    """Write the case's files; gives the Compose files in order and the expected JSON."""
    _, *parts = _SECTION.split(answer.read_text())
    files = dict(zip(parts[::2], parts[1::2]))
    expected = json.loads(files.pop("expected.json").replace("{DIR}", str(directory)))
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return sorted(name for name in files if re.fullmatch(r"f\d\.yaml", name)), expected


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda path: path.stem)
def test_same_as_docker_compose(answer: Path, tmp_path: Path) -> None:
    directory = tmp_path / answer.stem.replace("-", "_")
    directory.mkdir()
    files, expected = unpack(answer, directory)
    loaded = load(options_of(directory, *files), ENVIRON, LENIENT)
    ours = project_from_plain(plain_project(loaded))
    assert json.loads(render_config(ours, "json")) == expected


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda path: path.stem)
def test_the_models_accept_what_the_tables_made(answer: Path, tmp_path: Path) -> None:
    files, _ = unpack(answer, tmp_path)
    plain = plain_project(load(options_of(tmp_path, *files, project_name="p"), ENVIRON, LENIENT))
    for service in plain["services"].values():
        service["extensions"] = {key: service.pop(key) for key in list(service) if key.startswith("x-")}
    assert Project.model_validate(plain).name == "p"


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda path: path.stem)
def test_what_config_prints_loads_again_to_the_same(answer: Path, tmp_path: Path) -> None:
    directory = tmp_path / answer.stem.replace("-", "_")
    directory.mkdir()
    files, _ = unpack(answer, directory)
    loaded = load(options_of(directory, *files), ENVIRON, LENIENT)
    first = project_from_plain(plain_project(loaded))
    second = project(directory, render_config(first))
    assert render_config(second) == render_config(first)
    assert second.hashes == first.hashes
