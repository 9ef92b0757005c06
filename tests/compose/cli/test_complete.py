"""Completion: what is offered, in how much time, and in real shells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose import labels
from compose.cli import complete
from compose.cli.main import run
from tests.support.cli import PYCOMPOSE
from tests.support.tmux import Tmux

FILE = """
services:
  web: {image: "x:1", depends_on: [db]}
  db: {image: "x:1"}
  tools: {image: "x:1", profiles: [debug]}
"""


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / "compose.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("COMPOSE_", "PYCOMPOSE_"))}
    roots = {"PYCOMPOSE_STATE_DIR": str(tmp_path / "s"), "PYCOMPOSE_RUN_DIR": str(tmp_path / "r")}
    return {**kept, **roots, "PWD": str(tmp_path)}


def offered(environ: dict[str, str], line: str, shell: str = "bash") -> list[str]:
    """The candidates for the last word of a line; an empty last word is written as a space at its end."""
    words = [shell, *line.split(), *([""] if line.endswith(" ") or not line else [])]
    return [row.partition("\t")[0] for row in complete.answer(words, environ).splitlines()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lo", ["logs", "login", "logout", "load"]),
        ("image in", ["inspect"]),
        ("-p x --ansi never -f compose.yaml log", ["logs", "login", "logout"]),
        ("logs ", ["web", "db", "tools"]),
        ("logs -f web ", ["db", "tools"]),
        ("logs w", ["web"]),
        ("exec ", ["web", "db", "tools"]),
        ("exec -u root w", ["web"]),
        ("exec web ", []),
        ("exec web ls --", []),
        ("run web --", []),
        ("logs --fo", ["--follow"]),
        ("up --abort", ["--abort-on-container-exit", "--abort-on-container-failure"]),
        ("up --men", ["--menu"]),
        ("ps --pro", ["--project-name", "--project-directory", "--profile", "--progress"]),
        ("--profile ", ["debug"]),
        ("--profile=", ["debug"]),
        ("--progress = pl", ["plain"]),
        ("--progress pl", ["plain"]),
        ("up --scale ", ["web=", "db=", "tools="]),
        ("up --attach w", ["web"]),
        ("scale d", ["db="]),
        ("cp w", ["web:", ":files"]),
        ("-f ", [":files"]),
        ("up -d -- ", ["web", "db", "tools"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("help env", ["environment"]),
        ("why ", ["web", "db", "tools", "default"]),
        ("nope ", []),
        ("-p ", []),
    ],
)
def test_what_is_offered(environ: dict[str, str], line: str, expected: list[str]) -> None:
    assert offered(environ, line) == expected


def test_shells_that_keep_a_word_together_get_it_whole(environ: dict[str, str]) -> None:
    assert offered(environ, "--progress=pl", "zsh") == ["--progress=plain"]
    assert offered(environ, "up --scale=w", "fish") == ["--scale=web="]


def test_explanations_come_with_a_tab(environ: dict[str, str]) -> None:
    assert complete.answer(["fish", "unp"], environ) == "unpause\tLet frozen containers go on.\n"


def test_a_project_that_is_broken_or_absent_offers_nothing(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: [broken")
    assert offered(environ, "logs ") == []
    (tmp_path / "compose.yaml").unlink()
    assert offered(environ, "logs ") == []
    assert complete.answer([], environ)


def test_another_file_is_asked_when_it_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text('services: {cache: {image: "x:1"}}')
    assert offered(environ, "-f other.yaml logs ") == ["cache"]
    assert offered(environ, "logs --file other.yaml ") == ["cache"]


def _containers(tmp_path: Path, *rows: tuple[str, str, int]) -> None:
    """Bundles with labels and nothing else, as (project, service, number)."""
    for count, (project, service, number) in enumerate(rows):
        directory = tmp_path / "s" / "containers" / f"{count:064x}"
        directory.mkdir(parents=True)
        told = {labels.PROJECT: project, labels.SERVICE: service, labels.NUMBER: str(number), labels.ONEOFF: "False"}
        (directory / "labels.json").write_text(json.dumps({"name": f"{project}-{service}-{number}", "labels": told}))


def test_what_there_is(environ: dict[str, str], tmp_path: Path) -> None:
    here = tmp_path.name
    environ = {**environ, "COMPOSE_PROJECT_NAME": "here"}
    _containers(tmp_path, ("here", "web", 1), ("here", "web", 12), ("here", "db", 2), ("other", "web", 7))
    (tmp_path / "s" / "containers" / ".half").mkdir()
    (tmp_path / "s" / "containers" / ("f" * 64)).mkdir()  # one that is just being made
    assert offered(environ, "-p ") == ["here", "other"]
    assert offered(environ, "exec --index ") == ["1", "2", "12"]
    assert offered(environ, "logs web --index ") == ["1", "12"]
    assert offered(environ, "port web 80 --index ") == ["1", "12"]
    assert offered({**environ, "COMPOSE_PROJECT_NAME": here.lower()}, "exec --index ") == []


@pytest.mark.parametrize("line", [["-p", ""], ["exec", "--index", ""]])
def test_projects_and_numbers_are_read_from_labels_only(line: list[str], environ: dict[str, str]) -> None:
    subprocess.run([PYCOMPOSE, "__complete", "bash", *line], env=environ, capture_output=True, check=True)  # the memo
    code = "import os, sys; from compose.cli import complete; complete.answer(sys.argv[1:], os.environ)"
    command = [sys.executable, "-c", f"{code}; print(*sys.modules, file=sys.stderr)", "bash", *line]
    loaded = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stderr.split()
    assert "runtime.listing" in loaded
    assert not {"runtime.container", "runtime.state", "json", "yaml", "typer"} & set(loaded)


def test_it_is_quick(environ: dict[str, str]) -> None:
    """A few times what an interpreter alone takes, in turns with it: others work on this machine, too."""
    command = [PYCOMPOSE, "__complete", "bash", "logs", ""]
    subprocess.run(command, env=environ, capture_output=True, check=True)  # writes the memo
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    for _round in range(12):
        for name, words in (("ours", command), ("bare", [sys.executable, "-S", "-c", ""])):
            began = time.monotonic()
            subprocess.run(words, env=environ, capture_output=True, check=True)
            times[name].append(time.monotonic() - began)
    assert min(times["ours"]) < 7 * min(times["bare"])


# -- in the shells themselves


def test_scripts_are_printed(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    for words in (["bash"], ["zsh"], ["fish"], []):
        assert run(["completion", *words], {"SHELL": "/usr/bin/zsh"}) == 0
    import sys as _sys

    _sys.stdout.flush()
    assert run(["completion", "cmd"], {}) == 1
    assert b"cannot complete in cmd\n  shells: bash, zsh, fish" in capfdbinary.readouterr().err


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest, environ: dict[str, str], tmp_path: Path) -> Iterator[Tmux]:
    """The shell in a real terminal, with our script loaded."""
    name = str(request.param)
    for needed in ("tmux", name):
        if not shutil.which(needed):
            pytest.skip(f"needs {needed}: apt-get install {needed}")
    options = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[name]
    window = Tmux(str(tmp_path), {**environ, "HOME": str(tmp_path)}, shell=[name, *options])
    loads = "pycompose completion fish | source" if name == "fish" else f"source <(pycompose completion {name})"
    window.type(f"{loads}; echo loaded=$status$?" if name != "fish" else f"{loads}; echo loaded=0")
    window.expect("loaded=0")
    yield window
    window.close()


def test_a_real_shell_completes(shell: Tmux) -> None:
    shell.type("pycompose ve", "Tab")
    shell.expect("pycompose version")
    shell.key("C-u")
    shell.type("pycompose logs -f we", "Tab")
    shell.expect("pycompose logs -f web")
    shell.key("C-u")
    shell.type("pycompose --progress=pl", "Tab")
    shell.expect("pycompose --progress=plain")
    shell.key("C-u")
    shell.type("pycompose exec -T to", "Tab")
    shell.expect("pycompose exec -T tools")
    shell.key("C-u")
    shell.type("pycompose -f comp", "Tab")
    shell.expect("pycompose -f compose.yaml")
