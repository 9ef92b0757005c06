"""Problems for terminals and editors."""

from __future__ import annotations

from pathlib import Path

import pytest

from compose.errors import SpecError
from compose.spec.problems import excerpt, problem_to_plain, split_where, with_excerpt

WHERE = {
    "a.yaml:3:7": ("a.yaml", 3, 7),
    "a:b.yaml:3:7": ("a:b.yaml", 3, 7),
    ".env:4": (".env", 4, 0),
    "/x/compose.yaml": ("/x/compose.yaml", 0, 0),
    "": ("", 0, 0),
}


@pytest.mark.parametrize("where", WHERE)
def test_a_place_taken_apart(where: str) -> None:
    assert split_where(where) == WHERE[where]


def test_the_line_and_a_caret(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("services:\n  web:\n\tport: 80\n")
    problem = SpecError("services.web.port: unknown key", hint='did you mean "ports"?', where=f"{file}:3:2")
    assert with_excerpt(problem) == (
        f"{file}:3:2: services.web.port: unknown key\n"
        "    3 | \tport: 80\n"
        "      | \t^\n"
        '  did you mean "ports"?'
    )  # fmt: skip


@pytest.mark.parametrize("where", ["FILE", "FILE:9:1", "FILE:1:99", "gone.yaml:1:1", "<stdin>:1:1", "FILE:2:1"])
def test_nothing_to_show(where: str, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("services: {}\n\n")
    problem = SpecError("it is wrong", where=where.replace("FILE", str(file)))
    assert excerpt(problem) == ""
    assert with_excerpt(problem) == problem.text()


def test_long_lines_are_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("x" * 500)
    assert excerpt(SpecError("wrong", where=f"{file}:1:5")) == ""


def test_plain() -> None:
    problem = SpecError("services.a.b: unknown key", hint="h", where="c.yaml:2:5", path="services.a.b")
    assert problem_to_plain(problem) == {
        "file": "c.yaml", "line": 2, "column": 5, "path": "services.a.b", "message": "services.a.b: unknown key", "hint": "h",
    }  # fmt: skip
