"""Runs a shell script of this directory with some command as ``docker``; ``python -m tests.scripts.run`` records docker's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.glob("*.sh"))
CLEAN_UP = ["docker", "compose", "--profile", "*", "down", "-v", "-t", "0", "--remove-orphans"]


def project_of(script: Path) -> str:
    return f"script-{script.stem}"


def run(script: Path, directory: str, environ: Mapping[str, str], timeout: float = 60) -> dict[str, object]:
    """What the script wrote to stdout, and its code; then everything it made is taken down."""
    env = {**environ, "COMPOSE_PROJECT_NAME": project_of(script), "COMPOSE_ANSI": "never", "LC_ALL": "C"}
    done = subprocess.run(
        ["bash", str(script)], cwd=directory, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout
    )
    subprocess.run(CLEAN_UP, cwd=directory, env={**env, "LEVEL": "x"}, capture_output=True, timeout=timeout)
    sys.stderr.write(done.stderr.decode(errors="replace"))
    return {"code": done.returncode, "stdout": done.stdout.decode()}


def recorded(script: Path) -> dict[str, object]:
    return dict(json.loads((HERE / "recorded" / f"{script.stem}.json").read_text()))


def main(names: list[str]) -> None:
    """Ask docker compose, which must have the image busybox:test (tests/support/rootfs.py as a tar, imported)."""
    for script in SCRIPTS:
        if names and script.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as directory:
            answer = run(script, directory, os.environ)
        text = json.dumps(answer, indent=1, ensure_ascii=False)
        (HERE / "recorded" / f"{script.stem}.json").write_text(f"{text}\n")
        print(f"{script.stem}: {answer}")


if __name__ == "__main__":
    main(sys.argv[1:])
