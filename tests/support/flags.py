"""Which test carries out which flag: ``@covers("up --scale")`` above a test, read by tests/compose/cli/test_appendix_b.py."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

TESTS = Path(__file__).resolve().parents[1]
F = TypeVar("F", bound=Callable[..., object])


def covers(*flags: str) -> Callable[[F], F]:
    """The test runs these flags ("COMMAND --flag", "--flag" for a global one, or a variable's name) and sees what they do."""
    return lambda test: test


def covered() -> dict[str, set[str]]:
    """Every covered flag with the tests that name it, read from the sources."""
    found: dict[str, set[str]] = {}
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text()
        if "covers(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                for flag in _flags(node):
                    found.setdefault(flag, set()).add(f"{path.name}::{node.name}")
    return found


def _flags(function: ast.FunctionDef) -> list[str]:
    calls = [one for one in function.decorator_list if isinstance(one, ast.Call)]
    return [
        str(word.value)
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "covers"
        for word in call.args
        if isinstance(word, ast.Constant)
    ]
