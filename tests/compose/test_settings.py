"""``COMPOSE_*`` from env files count as settings, and nothing is imported when there are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from compose.cli.options import Globals
from compose.cli.session import Session
from compose.settings import with_env_file


def found(text: str, directory: Path, environ: dict[str, str] | None = None) -> dict[str, str]:
    (directory / ".env").write_text(text)
    shared = Globals(project_directory=str(directory))
    return dict(with_env_file(environ or {}, shared))


NAMES = (
    *("COMPOSE_REMOVE_ORPHANS", "COMPOSE_IGNORE_ORPHANS", "COMPOSE_PARALLEL_LIMIT", "COMPOSE_ANSI", "COMPOSE_PROGRESS"),
    *("COMPOSE_CONVERT_WINDOWS_PATHS", "COMPOSE_STATUS_STDOUT", "COMPOSE_MENU", "COMPOSE_COMPATIBILITY"),
)


@pytest.mark.parametrize("name", NAMES)
def test_taken_from_the_env_file(name: str, tmp_path: Path) -> None:
    assert found(f"{name}=1\n", tmp_path) == {name: "1"}


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_wins(name: str, tmp_path: Path) -> None:
    assert found(f"{name}=file\n", tmp_path, {name: "shell"}) == {name: "shell"}


@pytest.mark.parametrize("name", ["COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES"])
def test_the_loader_finds_these_itself(name: str, tmp_path: Path) -> None:
    assert found(f"{name}=x\n", tmp_path) == {}


def test_other_variables_stay_out(tmp_path: Path) -> None:
    text = "A=1\nexport COMPOSE_ANSI='never' # why\nB=COMPOSE_MENU\nCOMPOSE_PROGRESS=${A}lain\nMY_COMPOSE_X=1\n"
    assert found(text, tmp_path) == {"COMPOSE_ANSI": "never", "COMPOSE_PROGRESS": "1lain"}


def test_a_broken_file_is_the_loaders_to_report(tmp_path: Path) -> None:
    assert found("COMPOSE_ANSI='never\n", tmp_path) == {}
    assert found("COMPOSE_ANSI=\xff\n", tmp_path) == {"COMPOSE_ANSI": "\xff"}


def test_which_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name, value in ((".env", "here"), ("sub/.env", "beside"), ("one.env", "one"), ("two.env", "two")):
        (tmp_path / name).write_text(f"COMPOSE_MENU={value}\n")

    def menu(environ: dict[str, str] | None = None, **shared: object) -> str:
        return with_env_file(environ or {}, Globals(**shared)).get("COMPOSE_MENU", "")  # type: ignore[arg-type]

    assert menu() == "here"
    assert menu(file=("sub/compose.yaml", "x.yaml")) == "beside"
    assert menu(file=("-",)) == "here"
    assert menu(project_directory="sub") == "beside"
    assert menu(env_file=("one.env", "two.env")) == "two"
    assert menu(env_file=("gone.env",)) == ""
    assert menu({"COMPOSE_ENV_FILES": "two.env, one.env"}) == "one"
    assert menu({"COMPOSE_DISABLE_ENV_FILE": "true"}) == ""


def test_a_session_follows_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("COMPOSE_PROGRESS=quiet\nCOMPOSE_PARALLEL_LIMIT=3\n")
    session = Session(Globals(), {})
    assert (session.progress_mode, session.workers) == ("quiet", 3)


def test_nothing_is_imported_for_a_usual_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TAG=1\nCOMPOSE_PROJECT_NAME=x\nCOMPOSE_FILE=a.yaml\n")
    code = """
import sys
from compose.cli.options import Globals
from compose.settings import with_env_file
before = set(sys.modules)
with_env_file({}, Globals(project_directory=sys.argv[1]))
print(sorted(set(sys.modules) - before))
"""
    out = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"
