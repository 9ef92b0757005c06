"""Builds against BuildKit, side by side on this machine.

    python bench/build.py [--runs N] [--ours]

Rows: 12 instructions (3 RUN, a COPY of 100 files) without any cache, the same with nothing changed, and a Python web
application with pip install from an index on this machine, on a base that has pip, as the usual ones do. Ratios count;
the times are this machine's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
PACKAGES = ("flask", "requests", "pyyaml")
WITH_PIP = f"""FROM {PYTHON}
COPY wheels /wheels
RUN python3 $(ls /wheels/pip-*.whl)/pip install -q --no-index --break-system-packages --root-user-action=ignore \\
    /wheels/pip-*.whl && rm -rf /wheels
"""
APPLICATION = """FROM {base}
COPY requirements.txt /
RUN python3 -m pip install -q --no-cache-dir --break-system-packages --root-user-action=ignore \\
    --disable-pip-version-check --index-url http://index:{port}/ --trusted-host index -r /requirements.txt
COPY app.py /app.py
CMD ["python3", "/app.py"]
"""
BASE = "pycompose-bench-pip:1"
LABEL = "org.pycompose.bench"  # by which Docker's images are found again
COMPOSE = f"""services:
  {{}}:
    build: {{{{context: ., labels: {{{{{LABEL}: "1"}}}}, extra_hosts: ["index:host-gateway"]}}}}
"""
ROWS = (("build, 12 instructions, cold", 3.0), ("build, nothing changed", 3.0), ("build, pip install, cold", 1.5))


def write_twelve(base: Path) -> Path:
    twelve = base / "twelve"
    (twelve / "files").mkdir(parents=True)
    for number in range(100):
        (twelve / "files" / f"f{number}").write_bytes(bytes(str(number), "ascii") * 500)
    (twelve / "Dockerfile").write_text(TWELVE)
    (twelve / "compose.yaml").write_text(COMPOSE.format("web"))
    return twelve


def write_application(base: Path, tools: list[Tool]) -> tuple[Path, ThreadingHTTPServer] | None:
    """The Python application, its base built by each tool, and its index; None when the wheels cannot be had."""
    python, wheels = base / "python", base / "index"
    fetch = [sys.executable, "-m", "pip", "download", "-q", "-d", str(wheels), *PACKAGES]
    pip = [sys.executable, "-m", "pip", "download", "-q", "-d", str(base / "pip" / "wheels"), "pip"]
    if any(subprocess.run(words, check=False, stderr=subprocess.PIPE).returncode for words in (fetch, pip)):
        return None
    (base / "pip" / "Dockerfile").write_text(WITH_PIP)
    (base / "pip" / "compose.yaml").write_text(f"services:\n  base:\n    image: {BASE}\n    build: .\n")
    for tool in tools:
        tool.call(["build"], base / "pip")
    server = serve_index(wheels)
    python.mkdir()
    (python / "app.py").write_text("import flask, requests, yaml\n")
    (python / "requirements.txt").write_text("\n".join(PACKAGES))
    (python / "Dockerfile").write_text(APPLICATION.format(base=BASE, port=server.server_port))
    (python / "compose.yaml").write_text(COMPOSE.format("app"))
    return python, server


def serve_index(wheels: Path) -> ThreadingHTTPServer:
    """A simple index (PEP 503) of the wheels, for whoever can reach this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/")
            if name.endswith(".whl"):
                data, kind = (wheels / Path(name).name).read_bytes(), "application/octet-stream"
            else:
                found = [
                    path.name for path in wheels.iterdir() if path.name.split("-")[0].lower() == name.replace("-", "_")
                ]
                data, kind = "".join(f'<a href="/{one}">{one}</a>' for one in found).encode(), "text/html"
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_words: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


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
        twelve, application = write_twelve(base), write_application(base, tools)
        if application is None:
            print("no wheels from PyPI: the row with pip install is left out")
        samples = measure(tools, twelve, application[0] if application else None, options.runs)
        if application:
            application[1].shutdown()
    finally:
        shutil.rmtree(base, ignore_errors=True)
        if isinstance(docker, Docker):
            names = ["twelve-web", "python-app", BASE, BUSYBOX, PYTHON]
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
