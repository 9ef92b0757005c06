"""Builds against BuildKit, side by side on this machine.

    python bench/build.py [--runs N] [--ours]

Rows: 12 instructions (3 RUN, a COPY of 100 files) without any cache, the same with nothing changed, and a Python
application with pip install from wheels at hand. Ratios count; the times are this machine's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.run import BUSYBOX, PYTHON, Docker, Ours, Tool, find_docker, import_images  # noqa: E402

TWELVE = f"""FROM {BUSYBOX}
ARG VERSION=1
ENV A=1 B=2
LABEL v=$VERSION
WORKDIR /app
RUN mkdir -p /data && echo $VERSION > /data/v
COPY files /app/files
RUN cat /app/files/* | wc -c > /data/size
USER 0
EXPOSE 80
RUN ln -s /app/files /files
CMD ["sh"]
"""
PACKAGES = ("networkx", "typer", "pyyaml")
APPLICATION = f"""FROM {PYTHON}
COPY wheels /wheels
RUN python3 $(ls /wheels/pip-*.whl)/pip install -q --no-index --no-cache-dir --break-system-packages \\
    --root-user-action=ignore --find-links=/wheels {" ".join(PACKAGES)}
COPY app.py /app.py
CMD ["python3", "/app.py"]
"""
LABEL = "org.pycompose.bench"  # by which Docker's images are found again
COMPOSE = f'services:\n  {{}}:\n    build: {{{{context: ., labels: {{{{{LABEL}: "1"}}}}}}}}\n'
ROWS = (("build, 12 instructions, cold", 3.0), ("build, nothing changed", 3.0), ("build, pip install, cold", 1.5))


def write_projects(base: Path) -> tuple[Path, Path | None]:
    """The two projects; the second is None when the wheels cannot be had."""
    twelve = base / "twelve"
    (twelve / "files").mkdir(parents=True)
    for number in range(100):
        (twelve / "files" / f"f{number}").write_bytes(bytes(str(number), "ascii") * 500)
    (twelve / "Dockerfile").write_text(TWELVE)
    (twelve / "compose.yaml").write_text(COMPOSE.format("web"))
    python = base / "python"
    python.mkdir()
    fetch = [sys.executable, "-m", "pip", "download", "-q", "-d", str(python / "wheels"), "pip", *PACKAGES]
    if subprocess.run(fetch, check=False, stderr=subprocess.PIPE).returncode:
        return twelve, None
    (python / "app.py").write_text("import networkx, typer, yaml\n")
    (python / "Dockerfile").write_text(APPLICATION)
    (python / "compose.yaml").write_text(COMPOSE.format("app"))
    return twelve, python


def measure(tools: list[Tool], twelve: Path, python: Path | None, runs: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds by row and tool, the tools in turns."""
    samples: dict[str, dict[str, list[float]]] = {row: {tool.name: [] for tool in tools} for row, _ratio in ROWS}
    for tool in tools:
        tool.call(["build"], twelve)
    for _ in range(runs):
        for tool in tools:
            samples[ROWS[0][0]][tool.name].append(tool.call(["build", "--no-cache"], twelve))
    for _ in range(2 * runs):
        for tool in tools:
            samples[ROWS[1][0]][tool.name].append(tool.call(["build"], twelve))
    for _ in range(max(2, runs // 3) if python else 0):
        for tool in tools:
            assert python is not None
            samples[ROWS[2][0]][tool.name].append(tool.call(["build", "--no-cache"], python))
    return samples


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--ours", action="store_true", help="do not measure BuildKit")
    options = parser.parse_args()
    docker, said = (None, "left out") if options.ours else find_docker()
    base = Path(tempfile.mkdtemp(prefix="pyc-bench-", dir="/tmp"))
    try:
        ours = Ours(base)
        tools: list[Tool] = [ours, *([docker] if docker else [])]
        print(f"{os.cpu_count()} CPUs; {said}\n")
        import_images(base, ours, docker)
        twelve, python = write_projects(base)
        if python is None:
            print("no wheels from PyPI: the row with pip install is left out")
        samples = measure(tools, twelve, python, options.runs)
    finally:
        shutil.rmtree(base, ignore_errors=True)
        if isinstance(docker, Docker):
            names = ["twelve-web", "python-app", BUSYBOX, PYTHON]
            subprocess.run(["docker", "rmi", "-f", *names], check=False, capture_output=True)
            prune = ["docker", "image", "prune", "-f", "--filter", f"label={LABEL}"]  # what each build replaced
            subprocess.run(prune, check=False, capture_output=True)
    return _table(samples)


def _table(samples: dict[str, dict[str, list[float]]]) -> int:
    missed = 0
    for row, must in ROWS:
        medians = [statistics.median(values) for values in samples[row].values() if values]
        if medians:
            ratio = medians[1] / medians[0] if len(medians) > 1 else 0.0
            missed += bool(ratio) and ratio < must
            cells = "  ".join(f"{value:8.0f} ms" for value in medians)
            print(f"{row:32} {cells}   {ratio:.1f}x (must reach {must:g}x)" if ratio else f"{row:32} {cells}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
