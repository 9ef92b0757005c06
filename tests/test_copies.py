"""Files that stand in more than one package because the packages do not know each other."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", ["record.py", "record.pyi", "plain_json.py"])
def test_the_three_are_one(name: str) -> None:
    texts = {package: (ROOT / package / name).read_text() for package in ("compose", "runtime", "netplan")}
    assert len(set(texts.values())) == 1, f"{name} differs between {', '.join(texts)}"
