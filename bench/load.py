"""How long reading Compose files takes, after imports: ``python bench/load.py [--runs N]``.

Each row is the median of its runs, in this process, with what it must stay below; exit code 1 when one does not.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from compose.project import LoadOptions
from compose.spec.desire import desired_from_loaded
from compose.spec.pipeline import load

SERVICE = """\
  s{i}:
    image: nginx:{i}
    command: [a, b, '${{X:-{i}}}']
    environment:
      A: '1'
      B: ${{HOME:-}}
      C: 3
    ports:
      - '{port}:80'
    volumes:
      - ./d{i}:/data
      - vol:/vol:ro
    depends_on:
      - {before}
    labels:
      - a=b
"""
ROWS = (("30 lines", 2, 25), ("100 services", 100, 150), ("5,000 lines", 330, 500))  # name, services, ms


def text_of(count: int) -> str:
    """A Compose file of ``count`` services, each on the one before."""
    services = (SERVICE.format(i=i, port=8000 + i, before=f"s{i - 1}" if i else "base") for i in range(count))
    return f"services:\n  base: {{image: x}}\n{''.join(services)}volumes: {{vol: }}\n"


def measure(count: int, runs: int) -> float:
    """The median of loading such a file into what the planner reads, in ms."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "compose.yaml").write_text(text_of(count))
        options = LoadOptions(cwd=directory)
        samples = []
        for _ in range(runs):
            start = time.perf_counter()
            desired_from_loaded(load(options, {"HOME": "/root"}))
            samples.append((time.perf_counter() - start) * 1000)
    return statistics.median(samples)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    runs = parser.parse_args().runs
    print("| loading, after imports | ms | must |\n|---|---|---|")
    missed = 0
    for name, count, bound in ROWS:
        found = measure(count, runs)
        missed += found >= bound
        print(f"| {name} | {found:.1f} | < {bound} |{'' if found < bound else ' **missed**'}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
