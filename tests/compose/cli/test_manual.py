"""Help texts and man pages."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from compose.cli import app, generate, manual
from compose.cli.main import run
from compose.cli.manual_table import PAGES
from compose.cli.topics import INTRO, TOPICS


def shown(capfdbinary: pytest.CaptureFixture[bytes], *argv: str) -> tuple[int, str, str]:
    import sys

    code = run(argv, {"PATH": os.environ["PATH"]})
    sys.stdout.flush()
    out, err = capfdbinary.readouterr()
    return code, out.decode(), err.decode()


def test_the_table_is_the_declarations() -> None:
    with open(generate.MANUAL) as file:
        assert file.read() == generate.manual(), "run: python -m compose.cli.generate"


def test_alone_it_says_what_it_is_and_five_commands(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    code, out, _ = shown(capfdbinary)
    assert (code, out) == (0, INTRO)
    assert sum(line.startswith("  pycompose ") for line in out.splitlines()) == 5


def test_every_command_has_its_page(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    overview = shown(capfdbinary, "help")[1]
    assert overview == shown(capfdbinary, "--help")[1]
    for name in app.COMMANDS:
        if name in app.HIDDEN:
            continue
        page = shown(capfdbinary, "help", *name.split())[1]
        assert page.startswith(f"Usage: pycompose {name} [OPTIONS]")
        assert page == shown(capfdbinary, *name.split(), "--help")[1], name
        assert f"  {name}" in overview
        assert all(len(line) <= 100 for line in page.splitlines()), name
        for names, _value, text in PAGES[name][3]:
            assert all(option in page for option in names)
            assert text, (name, names)


def test_topics(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    for topic, text in TOPICS.items():
        assert shown(capfdbinary, "help", topic)[1] == text
    code, _, err = shown(capfdbinary, "help", "lgos")
    assert (code, err) == (1, "cannot explain lgos: no such command or topic\n  did you mean logs?\n")


@pytest.mark.parametrize(
    ("line", "topic"),
    [
        ("--help", ""),
        ("-h", ""),
        ("-p x --help", ""),
        ("up --help", "up"),
        ("-f a.yaml up -d web --help", "up"),
        ("logs -n 5 -h", "logs"),
        ("image ls --help", "image ls"),
        ("exec --help", "exec"),
        ("exec -u root --help", "exec"),
        ("exec web ls --help", None),
        ("run web --help", None),
        ("up -- --help", None),
        ("-p --help ps", None),
        ("ps", None),
        ("nope --help", None),
    ],
)
def test_whose_help_is_asked_for(line: str, topic: str | None) -> None:
    assert manual.topic_of(line.split()) == topic


def test_man_pages_are_written_and_read_by_man(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    code, _, err = shown(capfdbinary, "help", "--man", str(tmp_path / "man1"))
    names = sorted(os.listdir(tmp_path / "man1"))
    assert (code, err) == (0, f"wrote {len(names)} pages to {tmp_path}/man1\n")
    assert "pycompose.1" in names
    assert "pycompose-image-ls.1" in names
    if not shutil.which("groff"):
        pytest.skip("needs groff: apt-get install groff-base")
    for name in names:
        command = ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", str(tmp_path / "man1" / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == "", name
        assert "SYNOPSIS" in done.stdout
