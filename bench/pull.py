"""Times pull and push against docker: one registry on loopback, the same images, turn and turn about.

    .venv/bin/python bench/pull.py [--runs 3]

Needs docker-registry (``make registries``). The image: 5,400 files of this machine's /usr, 307 MB, as one layer and as
five; each run has its own, with other digests, so that neither tool removes anything between runs (ext4 is slow for
minutes where inodes were just deleted) and neither has a layer already. pycompose has an empty store for each run.
Seconds from spawning the command to its end, CPU seconds (docker: of its daemon), peak memory of our process in MiB;
medians.

Before each command as much memory is written and freed as it will need: a virtual machine pays its host about a second
for 300 MB that it has not touched lately, and whoever comes first would pay for both.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from runtime.images.archive import load_archive  # noqa: E402
from runtime.images.registry.push import push  # noqa: E402
from runtime.paths import Roots  # noqa: E402

FILES, BYTES = 5400, 307_000_000
TREES = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/python3",
    "/usr/lib/python3.11",
    "/usr/share",
    "/usr/bin",
    "/usr/lib/gcc",
)
PYCOMPOSE = str(Path(sys.executable).with_name("pycompose"))
Row = tuple[float, float, float]  # seconds, CPU seconds, MiB


def files() -> list[str]:
    """The largest files below 12 MB and as many small ones, by path: real programs, libraries and data."""
    found = []
    for tree in TREES:
        for directory, _names, names in os.walk(tree):
            paths = [f"{directory}/{name}" for name in names]
            found += [
                (os.path.getsize(path), path) for path in paths if os.path.isfile(path) and not os.path.islink(path)
            ]
    found.sort()
    step = max(1, len(found) // FILES)
    chosen = found[::step][:FILES]
    total = sum(size for size, _path in chosen)
    for size, path in reversed(found):
        if total >= BYTES:
            break
        if size < 12_000_000 and (size, path) not in chosen[-50:]:
            chosen.append((size, path))
            total += size
    return sorted({path for _size, path in chosen})


def write_layers(base: Path, count: int, run: int) -> list[Path]:
    """The files as so many tars, each with a file that no other run has."""
    chosen = files()
    paths = [base / f"{count}-{number}.tar" for number in range(count)]
    for number, path in enumerate(paths):
        with tarfile.open(path, "w") as tar:
            tar.addfile(tarfile.TarInfo(f"run-{run}-of-{base.name}"))
            for name in chosen[number * len(chosen) // count : (number + 1) * len(chosen) // count]:
                tar.add(name, name.lstrip("/"), recursive=False)
    return paths


def name_of(host: str, count: int, run: int) -> str:
    return f"{host}/bench{count}-{run}:1"


def make_image(base: Path, host: str, count: int, run: int) -> None:
    """Load the layers as an image, and push it."""
    import hashlib

    layers = write_layers(base, count, run)
    ids = [f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in layers]
    config = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Cmd": ["x"]},
        "rootfs": {"type": "layers", "diff_ids": ids},
    }
    data = json.dumps(config).encode()
    saved = base / f"saved{count}"
    saved.mkdir()
    (saved / "config.json").write_bytes(data)
    for path in layers:
        path.rename(saved / path.name)
    name = name_of(host, count, run)
    row = {"Config": "config.json", "RepoTags": [name], "Layers": [path.name for path in layers]}
    (saved / "manifest.json").write_text(json.dumps([row]))
    roots = Roots(str(base / "source"), str(base / "run"))
    load_archive(roots, str(saved))
    push(roots, name, environ=os.environ)
    shutil.rmtree(saved)


def warm(base: Path) -> None:
    """Let the machine have a gigabyte of free memory that it need not ask its host for, and nothing left to write."""
    os.sync()
    with open(base / "warm", "wb", buffering=0) as file:
        for _each in range(1024):
            file.write(bytes(1 << 20))
        os.unlink(file.name)


def run_ours(words: list[str], state: str) -> Row:
    environ = {**os.environ, "PYCOMPOSE_STATE_DIR": state, "PYCOMPOSE_RUN_DIR": f"{state}-run"}
    # by a small process between: a child's peak memory begins with its parent's
    timed = ["/usr/bin/time", "-q", "-o", f"{state}.time", "-f", "%e %U %S %M", PYCOMPOSE, *words]
    if subprocess.run(timed, env=environ, stdout=subprocess.DEVNULL, check=False).returncode:
        sys.exit(f"cannot measure {' '.join(words)}: it failed")
    seconds, user, system, kib = map(float, Path(f"{state}.time").read_text().split())
    return seconds, user + system, kib / 1024


class Docker:
    """The daemon that DOCKER_HOST, or the usual socket, leads to."""

    def __init__(self) -> None:
        path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            size = struct.calcsize("3i")
            self.pid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")

    def run(self, *words: str) -> Row:
        before, began = self.cpu(), time.perf_counter()
        subprocess.run(["docker", *words], check=True, capture_output=True)
        return time.perf_counter() - began, self.cpu() - before, 0.0

    def forget(self, *names: str) -> None:
        subprocess.run(["docker", "rmi", "-f", *names], check=False, capture_output=True)


def registry(base: Path) -> tuple[subprocess.Popen[bytes], str]:
    program = shutil.which("docker-registry")
    if not program:
        sys.exit("cannot measure: docker-registry is not installed; make registries")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    plain = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(base / "registry")}, "delete": {"enabled": True}},
        "http": {"addr": host, "secret": "x"},
    }
    (base / "registry.json").write_text(json.dumps(plain))
    child = subprocess.Popen([program, "serve", str(base / "registry.json")], stderr=subprocess.DEVNULL)
    time.sleep(1)
    return child, host


def measure(base: Path, host: str, docker: Docker | None, runs: int) -> Iterator[tuple[str, str, Row]]:
    for run in range(runs):
        for count in (1, 5):
            name, row = name_of(host, count, run), f"pull, {count} layers"
            warm(base)
            yield row, "pycompose", run_ours(["image", "pull", "-q", name], f"{base}/store{run}-{count}")
            if docker is not None:
                warm(base)
                yield row, "docker", docker.run("pull", "-q", name)
        yield from measure_push(base, host, docker, run)


def measure_push(base: Path, host: str, docker: Docker | None, run: int) -> Iterator[tuple[str, str, Row]]:
    """The one layer, as if it had been built here: nothing is known of any registry."""
    name, state = name_of(host, 1, run), f"{base}/store{run}-1"
    target = f"{host}/pushed-{run}:1"
    run_ours(["image", "tag", name, target], state)
    shutil.rmtree(f"{state}/images/origins")
    warm(base)
    yield "push, 1 layer", "pycompose", run_ours(["image", "push", "-q", target], state)
    if docker is not None:
        other = f"{host}/docker-{run}:1"
        import_layer(base, name, other)
        warm(base)
        yield "push, 1 layer", "docker", docker.run("push", "-q", other)


def import_layer(base: Path, name: str, other: str) -> None:
    """The layer of docker's image ``name`` as another one that docker has never seen."""
    with open(base / "import.tar", "wb") as file:
        subprocess.run(["docker", "save", name], check=True, stdout=file)
    with tarfile.open(base / "import.tar") as saved:
        row = json.load(saved.extractfile("manifest.json"))[0]  # type: ignore[arg-type]
        layer = saved.extractfile(row["Layers"][0])
        words = ["docker", "import", "-", other]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
            assert child.stdin and layer
            shutil.copyfileobj(layer, child.stdin)
            child.stdin.write(bytes(512))  # another diff id


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    try:
        docker: Docker | None = Docker()
    except OSError as error:
        docker = None
        print(f"docker is not measured: {error}")
    with tempfile.TemporaryDirectory(prefix="pycompose-bench-") as directory:
        base = Path(directory)
        child, host = registry(base)
        try:
            for run in range(options.runs):
                for count in (1, 5):
                    make_image(base, host, count, run)
            samples: dict[tuple[str, str], list[Row]] = {}
            for row, tool, values in measure(base, host, docker, options.runs):
                samples.setdefault((row, tool), []).append(values)
        finally:
            child.kill()
            child.wait()
            if docker is not None:
                made = [name_of(host, count, run) for count in (1, 5) for run in range(options.runs)]
                docker.forget(*made, *(f"{host}/docker-{run}:1" for run in range(options.runs)))
    print("| | | seconds | CPU seconds | MiB |\n|---|---|---|---|---|")
    for (row, tool), rows in samples.items():
        wall, cpu, memory = (statistics.median(one[column] for one in rows) for column in range(3))
        print(f"| {row} | {tool} | {wall:.2f} | {cpu:.2f} | {f'{memory:.0f}' if memory else ''} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
