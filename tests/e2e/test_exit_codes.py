"""What scripts read after a command: its code, also when it is interrupted or nobody reads its output."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Project, eventually

pytestmark = pytest.mark.root

FILE = """
services:
  web:
    image: IMAGE
    command: ["sh", "-c", "echo started; exec sleep 1000"]
    stop_signal: SIGKILL
    expose: ["9999"]
"""


@pytest.fixture(scope="module")
def app(module_project: MakeProject) -> Iterator[Project]:
    one = module_project(FILE)
    one.up()
    yield one


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
@pytest.mark.parametrize("line", ["logs -f", "events", "stats --format json", "wait web"])
def test_an_interrupted_command_returns_130(app: Project, line: str, number: int) -> None:
    before = len(app.rows())
    child = app.start(*line.split())
    time.sleep(0.25)
    child.send_signal(number)
    _out, err = child.communicate(timeout=10)
    assert child.returncode == 130, err
    assert b"Traceback" not in err
    eventually(lambda: len(app.rows()) == before)


@pytest.mark.parametrize(
    "line", ["ps", "logs", "config", "events --since 1h", "stats --format json", "top", "export web"]
)
def test_nobody_reads(app: Project, line: str) -> None:
    """Quiet, and 141 if anything was left to say."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        app.argv(*line.split()),
        cwd=app.dir,
        env=app.machine.environ(),
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=10,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("line", ["logs -f", "events"])
def test_a_follower_leaves_when_its_reader_has_left(app: Project, line: str) -> None:
    """Also when nothing more is written: ``logs -f | grep -m1 ready`` ends with the line."""
    reading, writing = os.pipe()
    child = subprocess.Popen(app.argv(*line.split()), cwd=app.dir, env=app.machine.environ(), stdout=writing)
    os.close(writing)
    time.sleep(0.3)
    assert child.poll() is None
    os.close(reading)
    assert child.wait(5) == 141


CODES = [
    ("exec -T web sh -c 'exit 7'", 7),
    ("exec -T web no-such-program", 127),
    ("exec -T web /etc/passwd", 126),
    ("run --rm -T web sh -c 'exit 9'", 9),
    ("exec -T web sh -c 'kill -9 $$'", 137),
    ("ps nope", 1),
    ("nope", 1),
    ("ps --nope", 1),
    ("exec -T nope true", 1),
    ("port web 9999", 1),
    ("pause nope", 1),
    ("unpause web", 1),
    ("up -d --exit-code-from web", 1),
    ("down nope", 1),
    ("logs --tail x", 1),
    ("cp a b", 1),
    ("version", 0),
    ("rm", 0),
    ("ps --status exited", 0),
]


@pytest.mark.parametrize(("line", "code"), CODES, ids=[line for line, _code in CODES])
def test_codes(app: Project, line: str, code: int) -> None:
    import shlex

    done = app.run(*shlex.split(line), code=code)
    assert "Traceback" not in done.stderr
    assert (done.stderr != "") == (code == 1) or code not in (0, 1) or line == "rm"


def test_ps_lists_declared_ports(app: Project) -> None:
    import json

    row = json.loads(app.run("ps", "--format", "json").stdout)
    assert row["Publishers"] == [{"URL": "", "TargetPort": 9999, "PublishedPort": 0, "Protocol": "tcp"}]
    assert row["Ports"] == "9999/tcp"


def test_nothing_to_pause_or_kill_is_no_error(project: MakeProject) -> None:
    app = project(FILE)
    for words in (
        ("pause",),
        ("kill",),
        ("stop",),
        ("restart",),
        ("rm", "-f"),
        ("down",),
        ("logs",),
        ("top",),
        ("ps",),
    ):
        assert app.run(*words, code=None).code in (0, 1), words
    assert app.run("wait", "web", code=1).stderr.startswith("cannot wait")
