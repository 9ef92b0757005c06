"""Times hot reload against docker compose watch: from a rename on the host to the new content inside the container.

    make bench-watch                                  docker compose is measured too when it answers
    make bench-watch BENCH="--saves 200"

The container's file is looked at through its process's root, every 0.2 ms, with both tools alike.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.run import BUSYBOX, Docker, Ours, Tool, find_docker  # noqa: E402
from tests.support import rootfs  # noqa: E402

STACK = """services:
  web:
    image: {image}
    build: {{context: ., dockerfile_inline: "FROM {image}"}}
    command: [sh, -c, "echo $$COLOR > /color; exec sleep 100000"]
    environment: {{COLOR: "red"}}
    stop_signal: SIGKILL
    develop:
      watch:
        - {{action: sync, path: ./src, target: /app}}
"""
FILES = 20_000


def prepare(tool: Tool, directory: Path) -> None:
    """A project whose watched tree has 20,000 files, up."""
    (directory / "src").mkdir(parents=True)
    for number in range(FILES):
        path = directory / f"src/d{number % 200}/f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(number))
    text = STACK.format(image=BUSYBOX)
    if isinstance(tool, Ours):
        text = text.replace(f'    build: {{context: ., dockerfile_inline: "FROM {BUSYBOX}"}}\n', "")
    (directory / "compose.yaml").write_text(text)
    tool.call(["up", "-d"], directory)


def root_of(tool: Tool, directory: Path) -> Path:
    """The container's root, seen from the host."""
    if isinstance(tool, Ours):
        import json

        (state,) = tool.run.glob("containers/*/state.json")
        return Path(f"/proc/{json.loads(state.read_text())['pid']}/root")
    words = [*tool.argv, "ps", "-q", "web"]
    ident = subprocess.run(words, cwd=directory, env=tool.environ, capture_output=True, text=True, check=True).stdout
    form = ["docker", "inspect", "-f", "{{.State.Pid}}", ident.strip()]
    pid = subprocess.run(form, env=tool.environ, capture_output=True, text=True, check=True).stdout
    return Path(f"/proc/{pid.strip()}/root")


def until(check: Callable[[], bool], within: float = 60.0) -> None:
    end = time.monotonic() + within
    while not check():
        if time.monotonic() > end:
            sys.exit("cannot measure: it did not come")
        time.sleep(0.0002)


def content(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def saves(directory: Path, root: Path, count: int, pause: float) -> list[float]:
    """Milliseconds of single saves by rename."""
    found = []
    beside = directory / "beside"
    for number in range(count):
        name = f"d{number % 200}/f{number % 200}"
        beside.write_text(f"save {number}")
        began = time.perf_counter()
        beside.rename(directory / "src" / name)
        until(lambda name=name, number=number: content(root / "app" / name) == f"save {number}")  # type: ignore[misc]
        found.append((time.perf_counter() - began) * 1000)
        time.sleep(pause)
    return sorted(found)


def many(directory: Path, root: Path) -> float:
    """Seconds for 10,000 new files of 2 kB that appear at once."""
    made = directory / "made"
    for number in range(10_000):
        path = made / f"d{number % 100:02}/f{number:05}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(2000))
    began = time.perf_counter()
    made.rename(directory / "src/made")
    inner = root / "app/made"
    until(lambda: (inner / "d99/f09999").exists() and sum(len(os.listdir(one)) for one in inner.iterdir()) == 10_000)
    return time.perf_counter() - began


def idle(pid: int, seconds: float) -> float:
    """Per cent of a processor while nothing happens."""

    def ticks() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(seconds)
    return 100 * (ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds


def spec_changes(tool: Ours, directory: Path, root: Path) -> tuple[float, float]:
    """Milliseconds: another environment to the new process, and a limit to the cgroup of the same process."""
    path, pid = directory / "compose.yaml", root.parts[2]
    began = time.perf_counter()
    path.write_text(path.read_text().replace('COLOR: "red"', 'COLOR: "blue"'))

    def is_new() -> bool:
        found = list(tool.run.glob("containers/*/state.json"))
        return len(found) == 1 and content(root_of(tool, directory) / "color") == "blue\n"

    until(is_new)
    changed = (time.perf_counter() - began) * 1000
    time.sleep(1)
    pid = root_of(tool, directory).parts[2]
    path.write_text(
        path.read_text().replace("    stop_signal: SIGKILL\n", "    stop_signal: SIGKILL\n    mem_limit: 64m\n")
    )
    began = time.perf_counter()
    until(lambda: _limit(pid) == str(64 << 20))
    return changed, (time.perf_counter() - began) * 1000


def _limit(pid: str) -> str:
    rows = dict(row.split(":", 2)[1:] for row in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    v1 = content(Path(f"/sys/fs/cgroup/memory{rows.get('memory', '')}/memory.limit_in_bytes"))
    return (v1 or content(Path(f"/sys/fs/cgroup{rows.get('', '')}/memory.max"))).strip()


def measure(tool: Tool, base: Path, args: argparse.Namespace) -> dict[str, str]:
    directory = base / f"watch-{tool.name.split()[0]}"
    rows: dict[str, str] = {}
    prepare(tool, directory)
    watch = subprocess.Popen(
        [*tool.argv, "watch", "--no-up"],
        cwd=directory,
        env=tool.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(8)
        root = root_of(tool, directory)
        times = saves(directory, root, args.saves, 0.05)
        rows["save to content, median ms"] = f"{statistics.median(times):.1f}"
        rows["save to content, 99 of 100, ms"] = f"{times[int(len(times) * 0.99) - 1]:.1f}"
        rows[f"idle on {FILES:,} files, % of a processor"] = f"{idle(watch.pid, args.idle):.2f}"
        if isinstance(tool, Ours):
            new, limit = spec_changes(tool, directory, root)
            rows["environment changed to new process, ms"] = f"{new:.0f}"
            rows["limit changed in place, ms"] = f"{limit:.0f}"
            root = root_of(tool, directory)
        rows["10,000 files of 2 kB, s"] = f"{many(directory, root):.2f}"
    finally:
        watch.send_signal(signal.SIGINT)
        watch.wait(30)
        tool.call(["down", "-v", "-t", "0"], directory)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--saves", type=int, default=100)
    parser.add_argument("--idle", type=float, default=10.0, help="seconds to look at the idle watcher")
    args = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="pycompose-bench-"))
    ours, (docker, why) = Ours(base), find_docker()
    tools: list[Ours | Docker] = [ours, *([docker] if docker else [])]
    image = rootfs.write_busybox(str(base / "busybox.tar"))
    try:
        subprocess.run([*ours.argv, "import", image, BUSYBOX], env=ours.environ, check=True, capture_output=True)
        if docker:
            subprocess.run(["docker", "import", image, BUSYBOX], env=docker.environ, check=True, capture_output=True)
        found = {tool.name: measure(tool, base, args) for tool in tools}
        for row in found[ours.name]:
            print(f"{row:45}" + "".join(f"{found[tool.name].get(row, '-'):>12}" for tool in tools))
        print(f"\n{'':45}" + "".join(f"{tool.name.split()[0]:>12}" for tool in tools) + (f"   ({why})" if why else ""))
    finally:
        if docker:
            subprocess.run(["docker", "rmi", "-f", BUSYBOX], env=docker.environ, check=False, capture_output=True)
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
