"""The table of what is supported: every row has its reason or its proof, and every proof is a test that exists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from compose.spec import support
from compose.spec.platforms import runs_here
from compose.spec.support_notes import PROOFS, WHY

TESTS = Path(__file__).parents[2]


def rows() -> dict[str, str]:
    """All rows below ``services.*`` with their status."""
    found = {**support.SERVICE, **support.NESTED}
    for key, values in support.VALUES.items():
        found |= {f"{key}: {'anything else' if value == '*' else value}": status for value, status in values.items()}
    return found


def test_every_row_that_is_done_names_its_test() -> None:
    assert [key for key, status in rows().items() if status == support.DONE and key not in PROOFS] == []


def test_every_row_without_effect_says_why() -> None:
    assert [key for key, status in rows().items() if status == support.NO_EFFECT and not support.why(key)] == []


def test_notes_are_about_rows_that_are_there() -> None:
    assert {*PROOFS, *WHY} - {*rows(), *support.TOP} == set()


@pytest.mark.parametrize("path", sorted({proof.partition("::")[0] for proof in PROOFS.values()}))
def test_the_proving_tests_exist(path: str) -> None:
    tree = ast.parse((TESTS / path).read_text())
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    wanted = {name for proof in PROOFS.values() for file, _, name in [proof.partition("::")] if file == path and name}
    assert wanted - names == set()


@pytest.mark.parametrize(
    ("platform", "machine", "runs"),
    [
        ("linux/amd64", "x86_64", True),
        ("linux/x86_64", "x86_64", True),
        ("amd64", "x86_64", True),
        ("linux", "x86_64", True),
        ("linux/amd64/v3", "x86_64", True),
        ("linux/386", "x86_64", True),
        ("linux/arm64", "x86_64", True),  # by an emulator
        ("linux/riscv64", "x86_64", False),  # its emulator is switched off
        ("linux/s390x", "x86_64", False),
        ("linux/arm64/v8", "aarch64", True),
        ("linux/386", "aarch64", False),
        ("linux/amd64", "aarch64", True),  # Rosetta
        ("windows/amd64", "x86_64", False),
    ],
)
def test_platforms(tmp_path: Path, platform: str, machine: str, runs: bool) -> None:
    (tmp_path / "qemu-aarch64").write_text("enabled\ninterpreter /usr/bin/qemu-aarch64-static\n")
    (tmp_path / "qemu-riscv64").write_text("disabled\n")
    (tmp_path / "rosetta").write_text("enabled\n")
    assert runs_here(platform, machine, str(tmp_path)) is runs
