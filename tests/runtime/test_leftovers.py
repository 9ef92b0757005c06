"""What killed commands left is found, what lives is not."""

from __future__ import annotations

import os
from pathlib import Path

from runtime.leftovers import leftovers
from runtime.linux.identity import start_time
from runtime.paths import Roots


def test_only_what_nobody_owns_is_left_over(tmp_path: Path) -> None:
    roots = Roots(str(tmp_path / "s"), str(tmp_path / "r"))
    assert leftovers(roots) == []
    mine = f".new-{os.getpid()}-{start_time(os.getpid())}-aa"
    for path in ("s/containers/cc", f"s/containers/{mine}", "r/containers/cc"):
        (tmp_path / path).mkdir(parents=True)
    assert leftovers(roots) == []
    for path in (f"s/containers/.new-{os.getpid()}-1-bb", "s/trash/dd", "r/containers/ee"):
        (tmp_path / path).mkdir(parents=True)
    assert leftovers(roots) == [
        str(tmp_path / path) for path in (f"s/containers/.new-{os.getpid()}-1-bb", "s/trash/dd", "r/containers/ee")
    ]
