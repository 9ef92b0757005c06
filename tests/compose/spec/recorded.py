"""Recorded answers of docker compose: a text file holds a case's files and what `config --format json` said of them.

Sections begin with ``-- NAME --``: Compose files ``f0.yaml``, ``f1.yaml`` … in order, other files by path,
``options.json`` (profiles, environ), ``expected.json``. ``{DIR}`` in the answer is the case's directory, whose name is
the case's. ``python -m tests.compose.spec.recorded FILE...`` asks the docker-compose in PATH and writes the answers.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).with_name("answers")
_SECTION = re.compile(r"^-- (\S+) --\n", re.MULTILINE)


class Case:
    """One recorded case, unpacked below a directory."""

    def __init__(self, path: Path, directory: Path) -> None:
        _, *parts = _SECTION.split(path.read_text())
        self.path = path
        self.directory = directory / path.stem.replace("-", "_")
        self.sections = dict(zip(parts[::2], parts[1::2]))
        sections = dict(self.sections)
        expected = sections.pop("expected.json", "null").replace("{DIR}", str(self.directory))
        self.expected: Any = json.loads(expected.replace("{UP}", str(directory)))
        options = json.loads(sections.pop("options.json", "{}"))
        self.profiles: tuple[str, ...] = tuple(options.get("profiles", ()))
        self.environ: dict[str, str] = {"HOME": "/root", **options.get("environ", {})}
        self.files = sorted(name for name in sections if re.fullmatch(r"f\d\.yaml", name))
        self.directory.mkdir()
        for name, text in sections.items():
            target = self.directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)


def differences(theirs: Any, ours: Any, path: str = "") -> list[str]:
    """Where two answers differ, one line for each place."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        keys = [*theirs, *(key for key in ours if key not in theirs)]
        missing = object()
        pairs = [(f"{path}.{key}", theirs.get(key, missing), ours.get(key, missing)) for key in keys]
        lines = [f"{where}: only ours: {mine!r}" for where, other, mine in pairs if other is missing]
        lines += [f"{where}: only theirs: {other!r}" for where, other, mine in pairs if mine is missing]
        both = [pair for pair in pairs if missing not in pair[1:]]
        return lines + [line for where, other, mine in both for line in differences(other, mine, where)]
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        pairs = [(f"{path}[{index}]", *pair) for index, pair in enumerate(zip(theirs, ours))]
        return [line for where, other, mine in pairs for line in differences(other, mine, where)]
    same = theirs == ours and isinstance(theirs, bool) == isinstance(ours, bool)
    return [] if same else [f"{path}: theirs {theirs!r}, ours {ours!r}"]


def ask(case: Case) -> str:
    """What docker compose says. Raises ValueError with its error."""
    words = ["docker-compose", *(f"--profile={name}" for name in case.profiles), *(f"-f{name}" for name in case.files)]
    environ = {**case.environ, "PATH": "/usr/bin:/bin", "PWD": str(case.directory)}
    found = subprocess.run(
        [_program(), *words[1:], "config", "--format", "json"],
        cwd=case.directory, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode:
        raise ValueError(f"{case.path.name}: {found.stderr.strip().splitlines()[-1]}")
    return found.stdout


def _program() -> str:
    import shutil

    return shutil.which("docker-compose") or "docker-compose"


def record(path: Path) -> None:
    """Write docker compose's answer into a case's file."""
    with tempfile.TemporaryDirectory() as directory:
        case = Case(path, Path(directory))
        answer = json.dumps(json.loads(ask(case)), indent=1, ensure_ascii=False)
    answer = answer.replace(str(case.directory), "{DIR}").replace(directory, "{UP}")
    sections = {**case.sections, "expected.json": answer + "\n"}
    path.write_text("".join(f"-- {name} --\n{text}" for name, text in sections.items()))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        try:
            record(Path(name))
        except ValueError as error:
            print(error)
