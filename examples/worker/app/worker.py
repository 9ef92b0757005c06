"""Does numbered jobs in /scratch (a tmpfs), counts them in /done (a volume), and goes on there after a restart."""

import os
import signal
import sys
import time
from pathlib import Path

SCRATCH, COUNT = Path("/scratch"), Path("/done/count")
ALL = 12


def read_count() -> int:
    return int(COUNT.read_text()) if COUNT.exists() else 0


def work(number: int) -> None:
    page = SCRATCH / f"job-{number}"
    page.write_bytes(os.urandom(65536))
    time.sleep(float(os.environ["SECONDS_PER_JOB"]))
    page.unlink()
    fresh = COUNT.with_suffix(".new")
    fresh.write_text(str(number))
    fresh.rename(COUNT)
    print(f"job {number} done", flush=True)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    left = list(SCRATCH.iterdir())
    first = read_count() + 1
    print(f"starting at job {first}, scratch {left or 'is empty'}", flush=True)
    failure = first + int(os.environ["JOBS_BEFORE_FAILURE"])
    for number in range(first, ALL + 1):
        if number == failure:
            sys.exit(f"job {number} failed, on purpose")
        work(number)
    print("all jobs done", flush=True)


main()
