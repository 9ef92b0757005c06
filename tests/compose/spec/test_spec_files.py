"""Discovery, project directory and name, env files for interpolation, memo inputs, standard input."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from compose.errors import SpecError
from compose.project import LoadOptions, load_desired, load_project, working_directory

from .loading import write

A = "services: {a: {image: 'x:${TAG:-none}'}}"


def image(directory: Path, environ: dict[str, str] | None = None, **options: Any) -> str:
    return load_project(LoadOptions(cwd=str(directory), **options), environ or {}).services["a"].image


def test_upward_search_with_override(tmp_path: Path) -> None:
    write(tmp_path, **{"docker-compose__yml": A, "compose__override__yaml": "services: {a: {image: over}}"})
    below = tmp_path / "b" / "c"
    below.mkdir(parents=True)
    found = load_project(LoadOptions(cwd=str(below)), {})
    assert found.services["a"].image == "over"
    assert found.working_dir == str(tmp_path)
    assert found.config_files == (f"{tmp_path}/docker-compose.yml", f"{tmp_path}/compose.override.yaml")


def test_several_candidates(tmp_path: Path) -> None:
    write(tmp_path, compose__yml="services: {a: {image: second}}", compose__yaml="services: {a: {image: first}}")
    found = load_project(LoadOptions(cwd=str(tmp_path)), {})
    assert found.services["a"].image == "first"
    assert found.warnings == (f"{tmp_path} holds compose.yaml and compose.yml; compose.yaml is used",)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_project(LoadOptions(cwd=str(tmp_path)), {})
    assert caught.value.text() == (
        f"cannot find a Compose file in {tmp_path} or above\n  name it compose.yaml, or give it with -f FILE"
    )
    with pytest.raises(SpecError, match=r"cannot find the Compose file .*/nope.yaml"):
        load_project(LoadOptions(cwd=str(tmp_path), files=("nope.yaml",)), {})


def test_explicit_files_take_no_override_and_the_first_ones_directory(tmp_path: Path) -> None:
    write(tmp_path, **{"sub___compose__yaml": A, "sub___compose__override__yaml": "services: {a: {image: over}}"})
    write(tmp_path, more__yaml="services: {a: {volumes: [./d:/d]}}")
    found = load_project(LoadOptions(cwd=str(tmp_path), files=("sub/compose.yaml", "more.yaml")), {})
    assert found.services["a"].image == "x:none"
    assert found.services["a"].volumes[0].source == f"{tmp_path}/sub/d"
    assert (found.name, found.working_dir) == ("sub", f"{tmp_path}/sub")


def test_compose_file_variable(tmp_path: Path) -> None:
    write(tmp_path, one__yaml=A, two__yaml="services: {a: {image: two}}")
    assert image(tmp_path, {"COMPOSE_FILE": "one.yaml:two.yaml"}) == "two"
    assert image(tmp_path, {"COMPOSE_FILE": "one.yaml,two.yaml", "COMPOSE_PATH_SEPARATOR": ","}) == "two"
    (tmp_path / ".env").write_text("COMPOSE_FILE=one.yaml\nTAG=e\n")
    assert image(tmp_path) == "x:e"


def test_standard_input_is_never_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Input:
        buffer = io.BytesIO(A.encode())

    monkeypatch.setattr("sys.stdin", Input)
    options = LoadOptions(cwd=str(tmp_path), files=("-",))
    desired = load_desired(options, {}, str(tmp_path / "state"))
    assert desired.services[0].image == "x:none"
    assert (desired.working_dir, desired.config_files) == (str(tmp_path), ("-",))
    assert not (tmp_path / "state").exists()


def test_env_files(tmp_path: Path) -> None:
    write(tmp_path, compose__yaml=A, one="TAG=one\n", two="TAG=two\n")
    (tmp_path / ".env").write_text("TAG=dot\n")
    assert image(tmp_path) == "x:dot"
    assert image(tmp_path, {"TAG": "shell"}) == "x:shell"
    assert image(tmp_path, env_files=("one", "two")) == "x:two"
    assert image(tmp_path, {"COMPOSE_ENV_FILES": "two,one"}) == "x:one"
    assert image(tmp_path, {"COMPOSE_DISABLE_ENV_FILE": "1"}) == "x:none"
    with pytest.raises(SpecError, match=r"cannot find the environment file .*/three"):
        image(tmp_path, env_files=("three",))


def test_env_file_beside_the_found_file(tmp_path: Path) -> None:
    write(tmp_path, compose__yaml=A)
    (tmp_path / ".env").write_text("TAG=above\n")
    below = tmp_path / "below"
    below.mkdir()
    assert image(below) == "x:above"
    (below / ".env").write_text("TAG=below\n")
    assert image(below) == "x:below"


def name(directory: Path, environ: dict[str, str] | None = None, **options: Any) -> str:
    return load_project(LoadOptions(cwd=str(directory), **options), environ or {}).name


def test_project_name(tmp_path: Path) -> None:
    place = tmp_path / "My.App-1"
    place.mkdir()
    write(place, compose__yaml=A)
    assert name(place) == "myapp-1"
    write(place, compose__yaml="name: 'In.File${N:-}'\n" + A)
    assert name(place, {"N": "2"}) == "infile2"
    assert name(place, {"COMPOSE_PROJECT_NAME": "fromenv"}) == "fromenv"
    assert name(place, {"COMPOSE_PROJECT_NAME": "fromenv"}, project_name="option") == "option"
    with pytest.raises(SpecError) as caught:
        name(place, project_name="No.Good")
    assert caught.value.text() == (
        'cannot use "No.Good" from the option --project-name as a project name: lower-case letters, digits, dashes and '
        'underscores, first a letter or digit\n  try "nogood"'
    )


def test_the_name_can_be_used_in_values(tmp_path: Path) -> None:
    write(
        tmp_path,
        compose__yaml="name: shop\nservices: {a: {image: '${COMPOSE_PROJECT_NAME}', environment: [COMPOSE_PROJECT_NAME]}}",
    )
    a = load_project(LoadOptions(cwd=str(tmp_path)), {}).services["a"]
    assert (a.image, a.environment) == ("shop", {"COMPOSE_PROJECT_NAME": "shop"})


def test_a_symlinked_directory_gives_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    write(real, compose__yaml=A)
    monkeypatch.chdir(link)
    assert working_directory({"PWD": str(link)}) == str(link)
    assert load_project(LoadOptions(), {"PWD": str(link)}).name == "link"
    assert working_directory({"PWD": str(tmp_path)}) == str(real)
    assert working_directory({}) == str(real)


def test_a_removed_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SpecError, match="cannot find the working directory"):
        load_project(LoadOptions(), {})
    monkeypatch.chdir(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    write(tmp_path, compose__yaml=A)
    (tmp_path / "compose.yaml").chmod(0)
    with pytest.raises(SpecError, match=r"cannot read the Compose file .*: permission denied"):
        load_project(LoadOptions(cwd=str(tmp_path)), {})
