"""Times pycompose against docker compose, side by side: the same files, the same busybox root, turn and turn about.

    make bench                      all rows; docker compose is measured too when it answers
    make bench BENCH="--runs 5 --only 'up|down'"

Medians of wall-clock milliseconds, from spawning the command to its end. Services are ``sleep`` on one network with
``stop_signal: SIGKILL``. Nothing is installed and nothing of yours is touched: pycompose gets directories of its own.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support import rootfs, world  # noqa: E402

BUSYBOX, PYTHON = "pycompose-bench-busybox:1", "pycompose-bench-python:1"
SERVICE = '  s{}:\n    image: {}\n    command: ["sleep", "100000"]\n    stop_signal: SIGKILL\n'
SMALL = """services:
  web:
    image: {}
    command: ["sleep", "100000"]
    stop_signal: SIGKILL
    ports: ["127.0.0.1::80"]
    volumes: ["data:/data"]
volumes: {{data: {{}}}}
"""


class Tool:
    """A command line that is measured: ``argv`` before the compose command's own words."""

    def __init__(self, name: str, argv: list[str], environ: dict[str, str]) -> None:
        self.name, self.argv, self.environ = name, argv, {**os.environ, **environ}
        self.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # some CI machines set it; users do not

    def start(self, words: list[str], cwd: Path, environ: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self.argv, *words],
            cwd=cwd,
            env={**self.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def call(self, words: list[str], cwd: Path, environ: dict[str, str] | None = None) -> float:
        """Milliseconds. A failure ends the benchmark: a wrong command may be fast."""
        began = time.perf_counter()
        with self.start(words, cwd, environ) as child:
            _out, err = child.communicate()
            took = time.perf_counter() - began
        if child.returncode:
            sys.exit(f"cannot measure {self.name}: {' '.join(words)} gave {child.returncode}\n{err.decode()[-2000:]}")
        return took * 1000

    def before_first_sight(self, directory: Path) -> None:
        """Make the next command see the file for the first time."""

    def memory(self) -> float:
        """MiB of PSS of all the tool's own processes."""
        raise NotImplementedError


class Ours(Tool):
    def __init__(self, base: Path) -> None:
        self.state, self.run = base / "state", base / "run"
        environ = {"PYCOMPOSE_STATE_DIR": str(self.state), "PYCOMPOSE_RUN_DIR": str(self.run)}
        super().__init__("pycompose", [str(Path(sys.executable).with_name("pycompose"))], environ)

    def before_first_sight(self, directory: Path) -> None:
        shutil.rmtree(self.state / "memos", ignore_errors=True)

    def memory(self) -> float:
        return sum(pss(pid) for pid in world.processes_of(str(self.run)))


class Docker(Tool):
    NAMES = ("dockerd", "containerd", "containerd-shim", "docker-proxy")

    def __init__(self) -> None:
        super().__init__("docker compose", ["docker", "compose"], {})

    def memory(self) -> float:
        pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
        return sum(pss(pid) for pid in pids if read(f"/proc/{pid}/comm").startswith(self.NAMES))


def read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def pss(pid: int) -> float:
    """MiB (proc_pid_smaps(5): Pss of smaps_rollup, in KiB)."""
    found = re.search(r"^Pss:\s+(\d+)", read(f"/proc/{pid}/smaps_rollup"), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def find_docker() -> tuple[Docker | None, str]:
    """docker compose with a daemon behind it, or why there is none to compare with."""
    for command in (
        ["docker", "compose", "version", "--short"],
        ["docker", "version", "--format", "{{.Server.Version}}"],
    ):
        try:
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None, "there is no docker here"
        if answer.returncode:
            return None, f"`{' '.join(command)}` does not answer"
    versions = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        for command in (["docker", "compose", "version", "--short"], ["docker", "version", "-f", "{{.Server.Version}}"])
    ]
    return Docker(), f"docker compose {versions[0]}, engine {versions[1]}"


class Bench:
    """The rows of the table. Each method gives the milliseconds of one repetition for one tool."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.port = free_port()

    def directory(self, count: int) -> Path:
        path = self.base / f"bench{count}"
        if not path.exists():
            path.mkdir()
            text = "services:\n" + "".join(SERVICE.format(number, BUSYBOX) for number in range(count))
            (path / "compose.yaml").write_text(text)
        return path

    def small(self) -> Path:
        path = self.base / "look"
        if not path.exists():
            path.mkdir()
            (path / "compose.yaml").write_text(SMALL.format(BUSYBOX))
        return path

    def up_first(self, tool: Tool) -> float:
        directory = self.directory(10)
        tool.call(["down"], directory)
        tool.before_first_sight(directory)
        took = tool.call(["up", "-d"], directory)
        tool.call(["down"], directory)
        return took

    def up_down(self, tool: Tool, count: int) -> tuple[float, float]:
        directory = self.directory(count)
        return tool.call(["up", "-d"], directory), tool.call(["down"], directory)

    def while_up(self, tool: Tool, words: list[str], runs: int) -> list[float]:
        directory = self.directory(10)
        return [tool.call(words, directory) for _ in range(runs)]

    def shop(self, tool: Tool) -> tuple[float, float]:
        """Example (a): up --wait to the first HTTP 200, and down."""
        environ = {"SHOP_IMAGE": PYTHON, "SHOP_PORT": str(self.port)}
        directory = self.base / "shop"
        if not directory.exists():
            shutil.copytree(ROOT / "examples" / "shop", directory)
        began = time.perf_counter()
        tool.call(["up", "-d", "--wait"], directory, environ)
        while not answers(self.port):
            time.sleep(0.001)
        took = (time.perf_counter() - began) * 1000
        down = tool.call(["down"], directory, environ)
        tool.call(["down", "-v"], directory, environ)
        return took, down

    def clean(self, tools: list[Tool]) -> None:
        """Leave nothing up, whatever happened."""
        for tool in tools:
            for directory in self.base.glob("*/compose.yaml"):
                with tool.start(["down", "-v", "-t", "0"], directory.parent) as child:
                    child.communicate()

    def memory(self, tool: Tool) -> float:
        """MiB a container, 50 up."""
        directory = self.directory(50)
        tool.call(["up", "-d"], directory)
        time.sleep(1)
        found = tool.memory() / 50
        tool.call(["down"], directory)
        return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


Samples = dict[str, dict[str, list[float]]]  # row -> tool -> values


class Row:
    """One line of the table: what must be reached, as a ratio and in milliseconds (0: no such bound)."""

    def __init__(self, name: str, ratio: float, bound: float = 0, unit: str = "ms") -> None:
        self.name, self.ratio, self.bound, self.unit = name, ratio, bound, unit


# commands that only look, beside ps: never above docker compose's time (ms: a bound of our own)
LOOKS = {"ls": 0, "images": 0, "port": 0, "top": 0, "version": 0, "config": 0, "volumes": 0, "--help": 150}
LOOK_WORDS = {"port": ["port", "web", "80"]}
ROWS = [
    Row("up -d, 10 services, file seen first", 3),
    Row("up -d, 10 services, after down", 6),
    Row("up -d, 50 services, after down", 8),
    Row("up -d, nothing to do", 1.8, 82),
    Row("ps", 2, 56),
    Row("logs", 2, 64),
    Row("exec -T true", 2, 91),
    Row("run --rm true", 5),
    *(Row(f"look: {name}", 0 if bound else 1, bound) for name, bound in LOOKS.items()),
    Row("down, 10 services", 8),
    Row("down, 50 services", 12),
    Row("shop, up -d --wait to HTTP 200", 4),
    Row("shop, down", 4),
    Row("memory, per container of 50", 0, 2.5, "MiB"),
]
WHILE_UP = {
    "up -d, nothing to do": ["up", "-d"],
    "ps": ["ps"],
    "logs": ["logs"],
    "exec -T true": ["exec", "-T", "s0", "true"],
    "run --rm true": ["run", "--rm", "-T", "s0", "true"],
}


def measure(bench: Bench, tools: list[Tool], runs: int, wanted: Callable[[str], bool]) -> Samples:
    """Every wanted row, the tools in turns."""
    samples: Samples = {row.name: {tool.name: [] for tool in tools} for row in ROWS}

    def note(row: str, tool: Tool, value: float) -> None:
        samples[row][tool.name].append(value)
        print(f"  {row:38} {tool.name:15} {value:9.1f}", file=sys.stderr)

    def pairs(rows: tuple[str, str], one: Callable[[Tool], tuple[float, float]], count: int) -> None:
        if any(map(wanted, rows)):
            for _ in range(count):
                for tool in tools:
                    for row, value in zip(rows, one(tool)):
                        note(row, tool, value)

    first = ROWS[0].name
    for tool in tools:
        tool.call(["down"], bench.directory(10))
    for _ in range(runs if wanted(first) else 0):
        for tool in tools:
            note(first, tool, bench.up_first(tool))
    pairs(("up -d, 10 services, after down", "down, 10 services"), lambda tool: bench.up_down(tool, 10), runs)
    few = max(3, runs // 2)
    pairs(("up -d, 50 services, after down", "down, 50 services"), lambda tool: bench.up_down(tool, 50), few)
    if any(map(wanted, WHILE_UP)):
        for tool in tools:
            tool.call(["up", "-d"], bench.directory(10))
            for row, words in WHILE_UP.items():
                for value in bench.while_up(tool, words, 2 * runs) if wanted(row) else []:
                    note(row, tool, value)
            tool.call(["down"], bench.directory(10))
    if any(wanted(f"look: {name}") for name in LOOKS):
        look(bench, tools, 2 * runs, wanted, note)
    pairs(("shop, up -d --wait to HTTP 200", "shop, down"), bench.shop, few)
    for tool in tools if wanted("memory, per container of 50") else []:
        note("memory, per container of 50", tool, bench.memory(tool))
    return samples


def look(
    bench: Bench, tools: list[Tool], runs: int, wanted: Callable[[str], bool], note: Callable[[str, Tool, float], None]
) -> None:
    """The commands that only look, on a project with a port, a volume and a network."""
    for tool in tools:
        tool.call(["up", "-d"], bench.small())
    for _ in range(runs):
        for tool in tools:
            for name in LOOKS:
                if wanted(f"look: {name}"):
                    note(f"look: {name}", tool, tool.call(LOOK_WORDS.get(name, [name]), bench.small()))
    for tool in tools:
        tool.call(["down", "-v"], bench.small())


def table(samples: Samples, tools: list[Tool]) -> tuple[str, list[str]]:
    """The table as Markdown, and the rows that missed what they must reach."""
    names = [tool.name for tool in tools]
    lines = [f"| | {' | '.join(names)} | ratio | must reach | |", "|---" * (len(names) + 4) + "|"]
    missed = []
    for row in ROWS:
        medians = [statistics.median(samples[row.name][name]) for name in names if samples[row.name][name]]
        if not medians:
            continue
        ratio = medians[1] / medians[0] if len(medians) > 1 else 0.0
        ok = (not ratio or ratio >= row.ratio) and (not row.bound or medians[0] <= row.bound)
        missed += [] if ok else [row.name]
        cells = [f"{value:.2f}" if row.unit == "MiB" else f"{value:.0f}" for value in medians]
        must = [f"{row.ratio:g}x"] if row.ratio else []
        must += [f"{row.bound:g} {row.unit}"] if row.bound else []
        shown = f"{ratio:.1f}x" if ratio else ""
        verdict = "missed" if not ok else "ok" if ratio or row.bound else ""
        lines.append(f"| {row.name} | {' | '.join(cells)} | {shown} | {', '.join(must)} | {verdict} |")
    return "\n".join(lines), missed


def import_images(base: Path, ours: Ours, docker: Docker | None) -> None:
    """The same two roots for both."""
    for reference, write in ((BUSYBOX, rootfs.write_busybox), (PYTHON, rootfs.write_python)):
        archive = write(str(base / "root.tar"))
        ours.call(["import", archive, reference], base)
        if docker is not None:
            subprocess.run(["docker", "import", archive, reference], check=True, stdout=subprocess.DEVNULL)
        os.unlink(archive)


def show_timings(bench: Bench, ours: Ours) -> None:
    """Where the time of the hot commands goes, as the product itself says."""
    directory = bench.directory(10)
    for words in (["up", "-d"], ["up", "-d"], ["ps"], ["down"]):
        with ours.start([words[0], "--timings", *words[1:]], directory) as child:
            _out, err = child.communicate()
        print(f"\n$ pycompose {' '.join(words)} --timings\n{err.decode().strip()}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=11, help="repetitions (fewer of the slow rows)")
    parser.add_argument("--only", default="", help="rows whose name matches this regular expression")
    parser.add_argument("--ours", action="store_true", help="do not measure docker compose")
    parser.add_argument("--json", default="", metavar="FILE", help="write all samples")
    parser.add_argument("--timings", action="store_true", help="also show where the time goes")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("cannot run the benchmark: containers need root for now\n  try: sudo make bench")
    if not rootfs.busybox_is_static():
        sys.exit("cannot run the benchmark: it needs a static busybox\n  try: apt-get install busybox-static")
    docker, said = (None, "left out") if options.ours else find_docker()
    base = Path(tempfile.mkdtemp(prefix="pyc-bench-", dir="/tmp"))
    try:
        return run(base, docker, said, options)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def run(base: Path, docker: Docker | None, said: str, options: argparse.Namespace) -> int:
    ours, bench = Ours(base), Bench(base)
    tools: list[Tool] = [ours, *([docker] if docker else [])]
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, Python {platform.python_version()}; {said}\n")
    import_images(base, ours, docker)
    try:
        samples = measure(bench, tools, options.runs, lambda name: bool(re.search(options.only, name)))
    finally:
        bench.clean(tools)
        if docker is not None:
            subprocess.run(["docker", "rmi", BUSYBOX, PYTHON], check=False, stdout=subprocess.DEVNULL)
    text, missed = table(samples, tools)
    print(text)
    if docker is None:
        print(f"\nNo comparison: {said}.")
    if options.timings:
        try:
            show_timings(bench, ours)
        finally:
            bench.clean([ours])
    if options.json:
        Path(options.json).write_text(json.dumps(samples, indent=1))
    if missed:
        print(f"\nMissed: {', '.join(missed)}.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
