"""Scripts as people have them in Makefiles and CI: under pycompose they say, return and leave what they do under docker.

The answers in recorded/ are docker compose 2.40's (``python -m tests.scripts.run``). ``docker compose`` in a script is
answered by pycompose here.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.scripts.run import SCRIPTS, recorded, run
from tests.support.cli import PYCOMPOSE, Machine

pytestmark = pytest.mark.root
STANDS_IN = f"""#!{sys.executable} -ISE
import os, sys
assert sys.argv[1] == "compose", sys.argv
os.execv({PYCOMPOSE!r}, [{PYCOMPOSE!r}, *sys.argv[2:]])
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A directory in which ``docker`` is pycompose."""
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text(STANDS_IN)
    docker.chmod(0o755)
    return str(tmp_path / "bin")


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_the_script_does_the_same(script: Path, machine: Machine, path: str, tmp_path: Path) -> None:
    for program in ("bash", "jq", "curl"):
        if program in script.read_text() and not shutil.which(program):
            pytest.skip(f"{script.name} needs {program}: apt-get install {program}")
    directory = tmp_path / "project"
    directory.mkdir()
    environ = machine.environ()
    answer = run(script, str(directory), {**environ, "PATH": f"{path}:{environ['PATH']}"})
    assert answer == recorded(script)


def test_there_are_twenty_and_each_has_an_answer() -> None:
    assert len(SCRIPTS) >= 20
    answers = {path.stem for path in (Path(__file__).parent / "recorded").glob("*.json")}
    assert answers == {script.stem for script in SCRIPTS}
