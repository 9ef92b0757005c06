"""``make demo``: the shop example from nothing to an answer over HTTP, and back to nothing."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

SHOP = Path(__file__).resolve().parent / "shop"
PYCOMPOSE = Path(sys.executable).with_name("pycompose")


def free_port(wanted: int) -> int:
    """``wanted`` if nobody uses it, else any free one."""
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as probe:
                return int(probe.getsockname()[1])
        except OSError:
            continue
    sys.exit("cannot find a free port on 127.0.0.1")


def run(project: str, port: int, *words: str) -> int:
    """Show the command, then do it."""
    print(f"\n$ pycompose {shlex.join(words)}", flush=True)
    began = time.monotonic()
    command = [str(PYCOMPOSE), "-p", project, *words]
    code = subprocess.run(command, cwd=SHOP, env={**os.environ, "SHOP_PORT": str(port)}, check=False).returncode
    print(f"  [{1000 * (time.monotonic() - began):.0f} ms]" + (f" exit code {code}" if code else ""), flush=True)
    return code


def ask(port: int) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/")
    response = connection.getresponse()
    return f"HTTP {response.status}\n{response.read().decode().strip()}"


def show(project: str, port: int) -> int:
    """The tour; the exit code of the demo."""
    if run(project, port, "up", "-d", "--wait"):
        run(project, port, "ps", "-a")
        run(project, port, "logs", "-n", "20")
        return 1
    run(project, port, "ps")
    answers = []
    for _ in range(2):  # two replicas take turns
        print(f"\n$ curl http://127.0.0.1:{port}/", flush=True)
        answers.append(ask(port))
        print("\n".join(f"  {line}" for line in answers[-1].splitlines()), flush=True)
    run(project, port, "exec", "-T", "edge", "python3", "-c", "import socket; print(socket.gethostbyname_ex('web')[2])")
    return 0 if all(answer.startswith("HTTP 200") for answer in answers) else 1


def main() -> int:
    if os.geteuid() != 0:
        sys.exit("cannot run the demo: containers need root for now\n  try: sudo make demo")
    project, port = f"demo-{os.getpid()}", free_port(8080)
    print(f"The example in {os.path.relpath(SHOP)}, as project {project}.")
    try:
        code = show(project, port)
    finally:
        down = run(project, port, "down", "-v")
    print("\nThe demo worked." if not code and not down else "\nThe demo failed.")
    return code or down


if __name__ == "__main__":
    sys.exit(main())
