"""Asks BuildKit for the answers of the differential suite; needs a Docker daemon with buildx.

    python -m tests.runtime.build.record [NAME...]

Each case is built by ``docker buildx build`` from the base that the tests import too; the saved image is loaded into a
store of its own and described. What BuildKit refuses is recorded as an error with its last line.

Not asked are the cases of ``rules.txt``: features of the syntax that today's daemon has only with a frontend from a
registry, or carries out otherwise without the containerd store. BuildKit did not answer those: their files
(``"source": "rules"``) are what our builder made, read through against the Dockerfile reference.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from runtime.images import store
from runtime.paths import Roots
from tests.runtime.build.case_files import ANSWERS, Case, base_archive, describe, read_cases, tree_of

TAG = "pycompose-differential:1"


def main(names: list[str]) -> None:
    ANSWERS.mkdir(exist_ok=True)
    subprocess.run(["docker", "import", "-", "base:1"], input=base_archive(), check=True, stdout=subprocess.DEVNULL)
    rules = {case.name for case in read_cases("rules.txt")}
    for case in read_cases():
        if case.name in rules:
            continue
        if case.name in names or (not names and not (ANSWERS / f"{case.name}.json").exists()):
            with tempfile.TemporaryDirectory() as directory:
                answer = ask(case, Path(directory))
            text = json.dumps(answer, indent=1, ensure_ascii=True, sort_keys=True)
            (ANSWERS / f"{case.name}.json").write_text(text + "\n")
            print(case.name, answer.get("error", "ok"), flush=True)


def ask(case: Case, directory: Path) -> dict[str, Any]:
    context = directory / "context"
    context.mkdir()
    case.write(context)
    command = ["docker", "buildx", "build", "--no-cache", "--provenance=false", "-q", "-t", TAG, *case.args, "."]
    built = subprocess.run(command, cwd=context, capture_output=True, text=True)
    if built.returncode:
        lines = [line for line in built.stderr.splitlines() if line.strip()]
        return {"error": next((line for line in reversed(lines) if "ERROR" in line), lines[-1])}
    saved = directory / "saved.tar"
    subprocess.run(["docker", "save", "-o", str(saved), TAG, "base:1"], check=True)
    subprocess.run(["docker", "rmi", "-f", TAG], check=True, stdout=subprocess.DEVNULL)
    roots = Roots(str(directory / "state"), str(directory / "run"))
    store.load_archive(roots, str(saved))
    base = tree_of(roots, store.resolve(roots, "base:1"))
    return describe(roots, store.resolve(roots, TAG), base)


if __name__ == "__main__":
    main(sys.argv[1:])
