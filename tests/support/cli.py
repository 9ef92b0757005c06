"""Runs the real command on real projects in directories of their own; keeps everything that explains a failure."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support import world

PYCOMPOSE = str(Path(sys.executable).with_name("pycompose"))
ROOT = Path(__file__).resolve().parents[2]
IMAGE = "busybox:test"
PATIENCE = float(os.environ.get("PYCOMPOSE_TESTS_PATIENCE", "1"))  # waits are this many times longer: for slow machines


def eventually(check: Callable[[], Any], within: float = 5.0, what: str = "") -> Any:
    """The first true value of ``check``. It may raise AssertionError, LookupError or OSError meanwhile."""
    within *= PATIENCE
    deadline = time.monotonic() + within
    while True:
        reason: Any = None
        try:
            reason = check()
            if reason:
                return reason
        except (AssertionError, LookupError, OSError, ValueError) as error:
            reason = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or check.__name__}: not within {within} s; last: {reason!r}")
        time.sleep(0.01)


class Result:
    """What a command said."""

    def __init__(self, argv: Sequence[str], code: int, stdout: str, stderr: str, seconds: float) -> None:
        self.argv, self.code, self.stdout, self.stderr, self.seconds = list(argv), code, stdout, stderr, seconds

    def __repr__(self) -> str:
        return (
            f"$ {' '.join(self.argv)}\n-> {self.code} after {self.seconds:.3f} s\n"
            f"--- stdout\n{self.stdout[-4000:]}\n--- stderr\n{self.stderr[-4000:]}"
        )

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


class Machine:
    """A state and a run directory: a private instance of everything, shared by the projects of a test session."""

    def __init__(self) -> None:
        self.base = tempfile.mkdtemp(prefix="pyc-", dir="/tmp")
        self.state, self.run = f"{self.base}/s", f"{self.base}/r"

    def environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        unwanted = ("COMPOSE_", "PYCOMPOSE_", "PYTHONDONTWRITEBYTECODE")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
        return {
            **kept,
            "PYCOMPOSE_STATE_DIR": self.state,
            "PYCOMPOSE_RUN_DIR": self.run,
            "HOME": "/root",
            **(more or {}),
        }

    def call(self, *words: str, stdin: Any = None, cwd: str = "/") -> Result:
        """A command that belongs to no project."""
        return execute([PYCOMPOSE, *words], cwd=cwd, env=self.environ(), stdin=stdin)

    def snapshot(self) -> world.Snapshot:
        return world.snapshot(self.state, self.run)

    def leaks(self, before: world.Snapshot) -> list[str]:
        return world.difference(before, self.snapshot())

    def kill_ours(self) -> list[int]:
        """SIGKILL to every launcher, shim and helper of these directories, until none is left."""
        killed: list[int] = []
        while ours := world.processes_of(self.run):
            for pid in ours:
                kill(pid)
            killed += ours
            time.sleep(0.001)
        return killed

    def remove(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)


def execute(
    argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdin: str | bytes | None = None, timeout: float = 60
) -> Result:
    """Run to the end. A command that does not end is killed and said so."""
    began = time.monotonic()
    data = stdin.encode() if isinstance(stdin, str) else stdin
    source = subprocess.PIPE if data is not None else subprocess.DEVNULL
    with subprocess.Popen(
        argv, cwd=cwd, env=dict(env), stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            out, err = process.communicate(data, timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err += f"\n[killed by the test after {timeout} s]".encode()
    seconds = time.monotonic() - began
    return Result(argv, process.returncode, out.decode(errors="replace"), err.decode(errors="replace"), seconds)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """A signal to a process that may have gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Project:
    """One project: a directory with compose.yaml, and the commands on it."""

    def __init__(self, machine: Machine, directory: Path, name: str, text: str = "") -> None:
        self.machine, self.dir, self.name = machine, directory, name
        self.env: dict[str, str] = {}
        self.history: list[Result] = []
        self.children: list[subprocess.Popen[bytes]] = []
        if text:
            self.write(text)

    # files

    def write(self, text: str, name: str = "compose.yaml") -> Path:
        """Write a file; ``IMAGE`` in a compose file becomes the test image."""
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("IMAGE", IMAGE))
        return path

    def edit(self, old: str, new: str, name: str = "compose.yaml") -> None:
        path = self.dir / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new))

    # commands

    def argv(self, *words: str) -> list[str]:
        return [PYCOMPOSE, "-p", self.name, *words]

    def run(
        self,
        *words: str,
        code: int | None = 0,
        stdin: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Result:
        """The command to its end. ``code``: the exit code that it must have, None for any."""
        environ = self.machine.environ({**self.env, **(env or {})})
        result = execute(self.argv(*words), cwd=str(self.dir), env=environ, stdin=stdin, timeout=timeout)
        self.history.append(result)
        assert code is None or result.code == code, f"expected exit code {code}\n{result!r}"
        return result

    def up(self, *words: str, **settings: Any) -> Result:
        return self.run("up", "-d", *words, **settings)

    def down(self, *words: str, **settings: Any) -> Result:
        return self.run("down", "-t", "0", *words, **settings)

    def exec(
        self, service: str, *command: str, code: int | None = 0, flags: Sequence[str] = (), **settings: Any
    ) -> str:
        """Standard output of a command inside."""
        return self.run("exec", "-T", *flags, service, *command, code=code, **settings).stdout

    def sh(self, service: str, script: str, code: int | None = 0, **settings: Any) -> str:
        return self.exec(service, "sh", "-c", script, code=code, **settings).strip()

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """The command in the background, its output in pipes; it is killed at the end of the test."""
        child = subprocess.Popen(
            self.argv(*words),
            cwd=self.dir,
            env=self.machine.environ({**self.env, **(env or {})}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.children.append(child)
        return child

    # what is there

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """``ps -a`` as docker compose's objects."""
        listed = self.run("ps", "-a", "--format", "json", *words)
        return [json.loads(line) for line in listed.lines if line.strip()]

    def row(self, service: str, number: int = 1) -> dict[str, Any]:
        """The one container of that name."""
        name = f"{self.name}-{service}-{number}"
        for row in self.rows():
            if row["Name"] == name:
                return row
        raise LookupError(f"ps -a shows no {name}")

    def names(self) -> list[str]:
        """Short names of running containers."""
        listed = self.run("ps", "--format", "json")
        rows = [json.loads(line) for line in listed.lines if line.strip()]
        return sorted(row["Name"].removeprefix(f"{self.name}-") for row in rows)

    def ident(self, service: str, number: int = 1) -> str:
        """The full id of a container."""
        short = str(self.row(service, number)["ID"])
        found = [name for name in os.listdir(f"{self.machine.state}/containers") if name.startswith(short)]
        assert len(found) == 1, found
        return found[0]

    def state(self, service: str, number: int = 1) -> dict[str, Any]:
        """The shim's state file, or the last one once the shim has left."""
        ident = self.ident(service, number)
        for path in (
            f"{self.machine.run}/containers/{ident}/state.json",
            f"{self.machine.state}/containers/{ident}/last.json",
        ):
            try:
                with open(path) as file:
                    return dict(json.load(file))
            except FileNotFoundError:
                continue
        raise LookupError(f"{service}-{number} has neither state.json nor last.json")

    def logs(self, service: str = "", *words: str) -> list[str]:
        """Log lines without prefix."""
        return self.run("logs", "--no-log-prefix", *words, *([service] if service else [])).lines

    def steps(self, *words: str) -> list[dict[str, Any]]:
        """What ``up`` would do."""
        return list(json.loads(self.run("plan", "--format", "json", *words).stdout)["steps"])

    # the end

    def close(self, *, failed: bool) -> None:
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.communicate()
        if failed:
            self.explain()
        if failed and os.environ.get("PYCOMPOSE_KEEP_FAILED") == "1":
            print(f"kept: PYCOMPOSE_STATE_DIR={self.machine.state} PYCOMPOSE_RUN_DIR={self.machine.run} in {self.dir}")
            return
        down = self.argv("down", "-v", "-t", "0", "--remove-orphans")
        for directory in (str(self.dir), "/"):  # with the file, and when it is a wrong one, from the labels alone
            result = execute(down, cwd=directory, env=self.machine.environ(self.env))
            if result.code == 0:
                return
        if not failed:
            raise AssertionError(f"cannot clean up\n{result!r}")

    def explain(self) -> None:
        """Everything that helps to understand a failure, to pytest's captured output."""
        print(f"=== project {self.name} in {self.dir}")
        for path in sorted(self.dir.glob("*.y*ml")):
            print(f"--- {path.name}\n{path.read_text(errors='replace')}")
        for result in self.history[-6:]:
            print(f"=== {result!r}" if "json" not in result.argv else f"=== $ {' '.join(result.argv)} -> {result.code}")
        for words in (("ps", "-a"), ("plan",), ("logs", "-n", "20")):
            print(repr(execute(self.argv(*words), cwd=str(self.dir), env=self.machine.environ(self.env), timeout=10)))
        for path in sorted(Path(self.machine.run).glob("containers/*/state.json")):
            print(f"--- {path}\n{path.read_text(errors='replace')}")
        errors = Path(self.machine.run, "shim-errors.log")
        if errors.exists():
            print(f"--- {errors}\n{errors.read_text(errors='replace')[-6000:]}")
        print(f"--- ours: {world.processes_of(self.machine.run)}")


class Terminal:
    """A command on a pseudo-terminal of 24 rows and 100 columns."""

    def __init__(self, project: Project, *words: str, env: Mapping[str, str] | None = None) -> None:
        self.master, slave = pty.openpty()
        import fcntl
        import struct
        import termios

        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        environ = project.machine.environ({**project.env, "TERM": "xterm", **(env or {})})
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CONTROLLING, *project.argv(*words)],
            cwd=project.dir,
            env=environ,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""

    def read(self, seconds: float = 0.05) -> str:
        """What has appeared so far."""
        while select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # EIO: the last holder of the other end is gone
                break
            if not data:
                break
            self.seen += data.decode(errors="replace")
        return self.seen

    def expect(self, text: str, within: float = 5) -> None:
        eventually(lambda: text in self.read(), within, f"{text!r} on the terminal, which shows {self.seen[-500:]!r}")

    def write(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait(self, within: float = 10) -> int:
        """Drain until the command ends; its exit code."""
        eventually(lambda: self.read() is not None and self.process.poll() is not None, within, "end of the command")
        self.read()
        return int(self.process.returncode)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.master >= 0:
            os.close(self.master)
        self.master = -1


_CONTROLLING = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


def read_lines(stream: Any, within: float = 10) -> Iterator[str]:
    """Lines of a pipe, as they come; ends at the end of the pipe or of the time."""
    deadline = time.monotonic() + within
    pending = b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([stream], [], [], left)[0]:
            return
        data = os.read(stream.fileno(), 65536)
        if not data:
            return
        pending += data
        *whole, pending = pending.split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
