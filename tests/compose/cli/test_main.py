"""From argv to exit code: the error boundary, and what a hot command may import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from compose.cli import main
from compose.cli.commands import version
from compose.cli.options import Globals
from compose.cli.session import Session
from compose.errors import EngineError, Interrupted, SpecError, UsageError
from netplan.errors import PortInUse
from runtime.errors import NotFound, StartFailed

ROOT = Path(__file__).parents[3]
HEAVY = {
    *("typer", "click", "rich", "pydantic", "networkx", "yaml", "watchfiles"),
    *("dataclasses", "typing", "socket", "pathlib", "subprocess", "inspect", "logging", "argparse", "asyncio"),
    *("urllib", "shutil", "tempfile", "uuid", "random", "datetime", "contextlib", "concurrent", "tarfile"),
    *("json", "signal", "hashlib"),
}
PATTERNS = {"re", "enum"}  # where an image is not there, its name is checked with them
COMPOSE = """
services:
  web: {image: "nothing:1", command: "sleep 1"}
  db: {image: "nothing:1", command: "sleep 1"}
"""


@pytest.fixture
def project(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    return {
        **os.environ,
        "PYCOMPOSE_STATE_DIR": str(tmp_path / "state"),
        "PYCOMPOSE_RUN_DIR": str(tmp_path / "run"),
        "PYTHONPATH": str(ROOT),
        "PWD": str(tmp_path),
    }


def loaded(environ: dict[str, str], *argv: str) -> tuple[set[str], str, int]:
    """What a command line loads, prints on stderr, and answers."""
    code = (
        "import sys, os; from compose.cli.main import run; code = run(sys.argv[1:], os.environ);"
        "print('\\n' + ' '.join(sys.modules)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *argv],
        capture_output=True,
        text=True,
        env=environ,
        cwd=environ["PWD"],
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return set(done.stdout.splitlines()[-1].split()), done.stderr, done.returncode


HOT = [
    ("ps", 0),
    ("ps -a --format json", 0),
    ("logs", 0),
    ("logs -n 5 web", 0),
    ("logs -f", 0),
    ("exec -T web true", 1),
    ("stop", 0),
    ("down", 0),
    ("kill", 0),
    ("up -d --pull never", 1),
    ("run --rm --pull never -T web true", 1),
    ("plan", 0),
    ("top", 0),
]


@pytest.mark.parametrize("line", ["__complete bash logs w", "__complete zsh up --", "--help", "up --help", "help up"])
def test_completing_and_helping_import_nothing_heavy(project: dict[str, str], line: str) -> None:
    bare, _, _ = loaded({**project, "PWD": "/"}, "version")
    loaded(project, "ps")  # writes the memo
    modules, _, code = loaded(project, *line.split())
    assert code == 0
    assert ({name.partition(".")[0] for name in modules} & HEAVY) - bare == set()


def test_hot_commands_import_nothing_heavy(project: dict[str, str]) -> None:
    bare, _, _ = loaded({**project, "PWD": "/"}, "version")
    already = (HEAVY | PATTERNS) & bare  # what an installed .pth file brings to every interpreter of this machine
    loaded(project, "ps")  # writes the memo
    for line, expected in HOT:
        modules, errors, code = loaded(project, *line.split())
        assert code == expected, (line, errors)
        tops = {name.partition(".")[0] for name in modules}
        heavy = HEAVY | PATTERNS if line.startswith(("ps", "logs", "exec", "top")) else HEAVY
        assert (tops & heavy) - already == set(), line


@pytest.mark.parametrize("line", ["ps", "logs"])
def test_reading_commands_load_no_executor(project: dict[str, str], line: str) -> None:
    loaded(project, "ps")
    modules, _, _ = loaded(project, line)
    assert not {"compose.execute.executor", "compose.plan.reconcile", "compose.api.up"} & modules


def run(capfd: pytest.CaptureFixture[str], *argv: str, **environ: str) -> tuple[int, str, str]:
    code = main.run(argv, {"PATH": os.environ["PATH"], **environ})
    shown = capfd.readouterr()
    return code, shown.out, shown.err


def test_version_is_the_packages(capfd: pytest.CaptureFixture[str]) -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert version.VERSION == tomllib.load(file)["project"]["version"]
    assert run(capfd, "version", "--short")[:2] == (0, f"{version.VERSION}\n")
    code, _, _ = run(capfd, "version", "--format", "xml")
    assert code == 1


FAILURES = [
    (UsageError("cannot x", hint="try y"), 1, "cannot x\n  try y\n"),
    (SpecError("cannot x", where="a.yaml:1:2"), 1, "a.yaml:1:2: cannot x\n"),
    (SpecError("one", problems=(SpecError("one"), SpecError("two", hint="h"))), 1, "one\ntwo\n  h\n"),
    (EngineError("cannot start", code=127), 1, "cannot start\n"),
    (Interrupted("cannot finish: interrupted"), 130, "cannot finish: interrupted\n"),
    (NotFound("cannot find x", "make it"), 1, "cannot find x\n  make it\n"),
    (StartFailed("cannot execute x", 126), 1, "cannot execute x\n"),
    (PortInUse("cannot publish 80", "nginx", "stop it"), 1, "cannot publish 80\n  stop it\n"),
]


@pytest.mark.parametrize(("error", "code", "text"), FAILURES)
def test_an_error_is_one_message_and_a_code(
    error: Exception, code: int, text: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> int:
        raise error

    monkeypatch.setattr(version, "run", fail)
    assert run(capfd, "version") == (code, "", text)
    got, out, err = run(capfd, "--progress", "json", "version")
    assert (got, out) == (code, "")
    assert json.loads(err) == {"error": True, "message": text[:-1]}


@pytest.mark.parametrize("name", ["exec", "run"])
@pytest.mark.parametrize("error", [StartFailed("cannot execute x", 126), EngineError("cannot execute x", code=126)])
def test_exec_and_run_pass_on_why_nothing_started(
    name: str, error: Exception, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> int:
        raise error

    monkeypatch.setattr(f"compose.cli.commands.{name}.run", fail)
    assert run(capfd, name, "web", "x") == (126, "", "cannot execute x\n")


def test_interrupts_and_closed_pipes_are_quiet(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(version, "run", interrupt)
    assert run(capfd, "version") == (130, "", "")


@pytest.mark.parametrize("ignored", [False, True])
def test_sigterm_is_an_interrupt(
    ignored: bool, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(*_args: object) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        return 0

    monkeypatch.setattr(version, "run", wait)
    terminate, interrupt = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    main._take_sigterm_as_sigint()  # as the console script does
    try:
        if ignored:  # as a shell does for what it starts in the background
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert run(capfd, "version") == (130, "", "")
    finally:
        signal.signal(signal.SIGTERM, terminate)
        signal.signal(signal.SIGINT, interrupt)


def test_a_reader_that_leaves_is_no_error(project: dict[str, str]) -> None:
    command = f"{sys.executable} -m compose.cli.main config | true; echo ${{PIPESTATUS[0]}}"
    (Path(project["PWD"]) / "compose.yaml").write_text(
        "services:\n" + "".join(f'  s{n}: {{image: "x:1"}}\n' for n in range(3000))
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=project, cwd=project["PWD"])
    assert (done.stdout, done.stderr) == ("141\n", "")


def test_a_full_disk_is_told(project: dict[str, str]) -> None:
    command = [sys.executable, "-m", "compose.cli.main", "version"]
    for unbuffered in ("", "1"):
        environ = {**project, "PYTHONUNBUFFERED": unbuffered}
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environ, check=False)
        assert (done.returncode, done.stderr) == (1, "cannot go on: output: No space left on device\n")


def test_directories_that_cannot_be_are_named(project: dict[str, str]) -> None:
    for line in ("up -d", "ps", "logs -f", "image ls", "run web x"):
        _, errors, code = loaded({**project, "PYCOMPOSE_STATE_DIR": "/dev/null/x"}, *line.split())
        assert code in (0, 1)
        assert "this is a bug" not in errors, line
        assert code == 0 or "/dev/null/x" in errors, line


def test_a_bug_is_one_sentence_and_a_file(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_args: object) -> int:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(version, "run", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, _, err = run(capfd, "version")
    assert code == 1
    assert err.startswith("cannot go on: unexpected ZeroDivisionError: a bug\n")
    (report,) = tmp_path.iterdir()
    assert str(report) in err
    assert "raise ZeroDivisionError" in report.read_text()


def test_wrong_modes_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(capfd, "--progress", "loud", "version")[2].startswith("cannot use --progress loud\n")
    assert run(capfd, "version", COMPOSE_ANSI="perhaps")[2].startswith("cannot use --ansi perhaps\n")


@pytest.mark.parametrize(
    ("ansi", "environ", "coloured"),
    [
        ("", {}, False),
        ("", {"CLICOLOR_FORCE": "1"}, True),
        ("", {"FORCE_COLOR": "1"}, True),
        ("", {"CLICOLOR_FORCE": "0"}, False),
        ("", {"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, False),
        ("always", {"NO_COLOR": "1"}, True),
        ("never", {"CLICOLOR_FORCE": "1"}, False),
    ],
)
def test_colours_away_from_a_terminal(ansi: str, environ: dict[str, str], coloured: bool, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as file:
        assert Session(Globals(ansi=ansi), environ).colours(file.fileno()) is coloured


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "CLICOLOR": "0"}, False),
        ({"TERM": "xterm", "CLICOLOR": "0", "CLICOLOR_FORCE": "1"}, True),
    ],
)
def test_colours_on_a_terminal(environ: dict[str, str], coloured: bool) -> None:
    ours, theirs = os.openpty()
    try:
        assert Session(Globals(), environ).colours(theirs) is coloured
    finally:
        os.close(ours)
        os.close(theirs)


def test_timings_say_where_the_time_went(project: dict[str, str]) -> None:
    _, errors, _ = loaded(project, "ps", "--timings")
    names = [line.split("ms  ")[1] for line in errors.splitlines()]
    assert names[0] == "interpreter"
    assert {"imports", "load", "observe", "total"} <= set(names)


@pytest.mark.parametrize(
    "line", ["ps nope", "logs nope", "stop nope", "up -d nope", "exec nope true", "top nope", "port nope 80"]
)
def test_a_service_that_does_not_exist_is_named(project: dict[str, str], line: str) -> None:
    _, errors, code = loaded(project, *line.split())
    assert code == 1
    assert "nope" in errors
    assert "Traceback" not in errors


def test_a_missing_file_is_one_message_and_a_name_is_enough_to_look(project: dict[str, str]) -> None:
    (Path(project["PWD"]) / "compose.yaml").unlink()
    _, errors, code = loaded(project, "ps")
    assert code == 1
    assert errors.startswith("cannot find a Compose file")
    for line in ("-p x ps", "-p x logs", "-p x stop", "-p x down"):
        assert loaded(project, *line.split())[2] == 0, line


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("up --build --no-build", "cannot use --build and --no-build together"),
        ("up -d --attach web", "cannot use --detach and --attach together"),
        ("up --pull often", "cannot use --pull often"),
        ("up --scale web", "cannot read the scale web"),
        ("down --rmi some", "cannot use --rmi some"),
        ("ps --status odd", "cannot filter by the status odd"),
        ("ps --format yaml", "cannot show the format yaml"),
        ("logs --since yesterday", "cannot understand the time yesterday"),
        ("logs -n few", "cannot show the last few lines"),
        ("port web http", "cannot read the port http"),
        ("cp a b", "cannot copy from a to b"),
        ("run -p x:y web", "cannot publish x:y"),
        ("attach --detach-keys ctrl- web", "cannot use the detach key ctrl-"),
    ],
)
def test_wrong_options_are_refused_in_words(project: dict[str, str], line: str, text: str) -> None:
    _, errors, code = loaded(project, *line.split())
    assert (code, errors[: len(text)]) == (1, text)
