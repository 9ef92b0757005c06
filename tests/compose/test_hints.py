"""Every error says what cannot be done, to what, and what to try: read from the sources, so that none is forgotten."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

COMPOSE = Path(__file__).resolve().parents[2] / "compose"
ERRORS = frozenset(("UsageError", "SpecError", "EngineError", "ComposeError", "DependencyFailed"))
# Messages of other rooms that are passed on with the hints they have, and problems that are reported one by one.
PASSED_ON = frozenset(("hint", "problems"))
FILES = sorted(path for path in COMPOSE.rglob("*.py") if any(f"{name}(" in path.read_text() for name in ERRORS))


def raised(path: Path) -> Iterator[ast.Call]:
    """Every place where one of our errors is made with a message."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS and node.args:
            yield node


def words_of(message: ast.expr) -> str:
    """The words of a message; what is filled in is left out."""
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(COMPOSE)))
def test_every_error_has_a_hint(path: Path) -> None:
    bare = [
        f"{path.name}:{call.lineno}: {words_of(call.args[0])}"
        for call in raised(path)
        if not PASSED_ON & {keyword.arg for keyword in call.keywords}
    ]
    assert not bare, "say what to try: hint="


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(COMPOSE)))
def test_no_hint_is_empty_or_a_sentence_of_its_own_kind(path: Path) -> None:
    """Lower case, no full stop, as the messages."""
    for call in raised(path):
        for keyword in call.keywords:
            if keyword.arg == "hint" and isinstance(keyword.value, (ast.Constant, ast.JoinedStr)):
                hint = words_of(keyword.value)
                assert hint and not hint.endswith("."), f"{path.name}:{call.lineno}: {hint!r}"


def test_there_is_something_to_look_at() -> None:
    assert sum(len(list(raised(path))) for path in FILES) > 150
