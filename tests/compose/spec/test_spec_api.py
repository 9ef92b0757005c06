"""``compose.spec.load``: the way in for programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from compose.errors import SpecError
from compose.spec import load

from .loading import write

FILE = "name: shop\nservices: {web: {image: 'x:${TAG:-1}', gpus: all}, off: {image: y, profiles: [p]}}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, compose__yaml=FILE, over__yaml="services: {web: {volumes: [./d:/d]}}", one__env="TAG=2\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_are_found_or_named(here: Path) -> None:
    assert load(variables={}).services["web"].image == "x:1"
    found = load(here / "compose.yaml", "over.yaml", variables={})
    assert found.services["web"].volumes[0].source == f"{here}/d"


def test_options(here: Path) -> None:
    found = load(
        "compose.yaml", "over.yaml", directory=here / "sub", project_name="mine", env_files=["one.env"], profiles=["p"]
    )
    assert (found.name, found.working_dir, list(found.services)) == ("mine", f"{here}/sub", ["web", "off"])
    assert found.services["web"].image == "x:2"
    assert list(load(services=["off"]).services) == ["web", "off"]
    assert load(variables={"TAG": "3"}).services["web"].image == "x:3"


def test_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAG", "9")
    assert load().services["web"].image == "x:9"


def test_a_project_is_frozen() -> None:
    with pytest.raises(Exception, match="frozen"):
        load().services["web"].image = "other"  # type: ignore[misc]


def test_every_problem_has_its_place() -> None:
    Path("bad.yaml").write_text("services:\n  a: {imag: x}\n  b: {image: x, tty: perhaps}\n")
    with pytest.raises(SpecError) as caught:
        load("bad.yaml")
    assert [(problem.where, problem.path) for problem in caught.value.problems] == [
        ("bad.yaml:2:3", "services.a"),
        ("bad.yaml:2:7", "services.a.imag"),
        ("bad.yaml:3:22", "services.b.tty"),
    ]


def test_what_only_up_refuses(here: Path) -> None:
    (here / "compose.yaml").write_text("services: {a: {image: x, logging: {driver: splunk}}}")
    assert load().services["a"].logging.driver == "splunk"
    with pytest.raises(SpecError, match="splunk"):
        load(runnable=True)
