"""What can be read but not run keeps ``up`` from starting, and nothing else from looking or stopping."""

from __future__ import annotations

from pathlib import Path

import pytest

from compose.cli.options import Globals
from compose.cli.session import Session
from compose.errors import SpecError
from compose.project import LoadOptions, load_desired

FILE = "services:\n  a:\n    image: x\n    platform: windows/arm\n    stop_signal: SIGNOPE\n"
REASONS = [
    "compose.yaml:4:5: services.a.platform",
    "compose.yaml:5:18: services.a.stop_signal",
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "compose.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("time", ["first", "remembered"])
def test_loading(time: str, here: Path) -> None:
    options, state = LoadOptions(cwd=str(here)), str(here / "state")
    if time == "remembered":
        load_desired(options, {}, state, refuse=False)
    with pytest.raises(SpecError) as caught:
        load_desired(options, {}, state)
    assert len(caught.value.problems) == len(REASONS)
    for reason in REASONS:
        assert any(problem.text().startswith(reason) for problem in caught.value.problems)
    assert [s.name for s in load_desired(options, {}, state, refuse=False).services] == ["a"]


def test_a_session(here: Path) -> None:
    session = Session(Globals(), {"PYCOMPOSE_STATE_DIR": str(here / "state"), "PYCOMPOSE_RUN_DIR": str(here / "run")})
    name, desired = session.project()
    assert desired is not None and desired.project == name
    with pytest.raises(SpecError, match="platform"):
        session.desired()


def test_what_is_wrong_stops_everything(here: Path) -> None:
    (here / "compose.yaml").write_text("services: {a: {imag: x}}")
    with pytest.raises(SpecError, match="imag"):
        load_desired(LoadOptions(cwd=str(here)), {}, str(here / "state"), refuse=False)


def test_both_are_told_at_once(here: Path) -> None:
    (here / "compose.yaml").write_text(FILE + "    prots: []\n")
    with pytest.raises(SpecError) as caught:
        load_desired(LoadOptions(cwd=str(here)), {}, str(here / "state"), refuse=False)
    assert [problem.path for problem in caught.value.problems] == [
        "services.a.platform",
        "services.a.stop_signal",
        "services.a.prots",
    ]
