"""The plugin costs projects that do not use it next to nothing."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("yaml", "pydantic", "networkx", "typer", "watchfiles", "asyncio", "unittest", "sqlite3", "_sqlite3")


def test_importing_the_plugin_loads_nothing_of_ours_but_itself() -> None:
    script = (
        "import sys, pytest; before = set(sys.modules); import compose.testing.plugin;"
        "print('\\n'.join(sorted(set(sys.modules) - before)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    ours = {name for name in loaded if name.split(".")[0] in ("compose", "runtime", "netplan")}
    assert ours <= {"compose", "compose.testing", "compose.testing.plugin"}, ours
    assert loaded.isdisjoint(HEAVY)


def test_names_of_the_package_are_loaded_when_used() -> None:
    import compose.testing

    assert compose.testing.ExecResult.__module__ == "compose.testing.results"
    try:
        compose.testing.nothing  # type: ignore[attr-defined]  # noqa: B018
    except AttributeError as error:
        assert "nothing" in str(error)
    else:
        raise AssertionError("an unknown name was found")
