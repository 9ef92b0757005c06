"""What docs/coming-from-docker-compose.md claims of us."""

from __future__ import annotations

import io
import socket
import tarfile

import pytest

from tests.e2e.conftest import MakeProject

pytestmark = pytest.mark.root

APP = """
version: "3.8"
services:
  conf:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    configs: [{source: c, target: /c}]
  src:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    volumes: ["data:/data"]
  ro:
    image: IMAGE
    command: ["sh", "-c", "touch /data/x || echo refused"]
    volumes_from: ["src:ro"]
  words:
    image: IMAGE
    command: echo a > b
configs: {c: {content: one}}
volumes: {data: {}}
"""


def test_where_the_same_words_do_more(project: MakeProject) -> None:
    app = project(APP)
    result = app.up("--wait-timeout", "20")
    assert '">" is passed on as it is, no shell is involved' in result.stderr
    assert "attribute version is obsolete" in result.stderr
    app.run("wait", "ro", "words", code=None)
    assert app.logs("words") == ["a > b"]
    assert app.logs("ro")[-1] == "refused"
    app.edit("content: one", "content: two")
    app.up()
    assert app.exec("conf", "cat", "/c") == "two"


def test_a_missing_program_is_told(project: MakeProject) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["no-such-program"]\n')
    result = app.run("up", "-d", code=1)
    assert 'executable "no-such-program" not found in $PATH' in result.stderr
    assert (app.row("a")["State"], app.row("a")["ExitCode"]) == ("exited", 127)


def test_names_are_those_of_compose_1_when_asked(project: MakeProject) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["true"]\n')
    app.run("--compatibility", "create")
    assert [row["Name"] for row in app.rows()] == [f"{app.name}_a_1"]
    app.run("--compatibility", "down")


def test_a_volumes_files_come_along(project: MakeProject) -> None:
    app = project(APP)
    app.up("src")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:  # as docker compose cp SERVICE:PATH/. - writes it
        entry = tarfile.TarInfo("./d/f")
        entry.size, entry.uid, entry.gid, entry.mode = 9, 7, 8, 0o640
        tar.addfile(entry, io.BytesIO(b"precious\n"))
    app.run("cp", "-a", "-", "src:/data", stdin=archive.getvalue())
    assert app.sh("src", "stat -c '%u:%g %a' /data/d/f; cat /data/d/f") == "7:8 640\nprecious"


def test_a_port_in_use_names_its_owner_and_the_next_up_attaches(project: MakeProject) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        app = project(f"""
services:
  a:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    ports: ["127.0.0.1:{port}:80"]
""")
        result = app.run("up", "-d", code=1)
        assert f"cannot publish 127.0.0.1:{port}/tcp: the port is in use by" in result.stderr
    app.up()
    assert app.run("port", "a", "80").stdout == f"127.0.0.1:{port}\n"
    assert "eth0" in app.sh("a", "ls /sys/class/net")


def test_a_job_that_fails_keeps_its_dependents_down(project: MakeProject) -> None:
    app = project("""
services:
  job: {image: IMAGE, command: ["false"]}
  web:
    image: IMAGE
    command: ["sleep", "1000"]
    depends_on: {job: {condition: service_completed_successfully}}
""")
    app.run("up", "-d", code=1)
    assert app.names() == []


def test_all_typing_errors_are_told_with_a_guess(project: MakeProject) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    comand: ["true"]\n    enviroment: {A: "1"}\n')
    result = app.run("config", code=1)
    assert "compose.yaml:4:5" in result.stderr
    assert "compose.yaml:5:5" in result.stderr
    assert "command" in result.stderr
    assert "environment" in result.stderr


def test_a_limit_is_changed_in_the_running_container(project: MakeProject) -> None:
    app = project('services:\n  a:\n    image: IMAGE\n    command: ["sleep", "1000"]\n    stop_signal: SIGKILL\n')
    app.up()
    before = app.ident("a")
    app.write(
        'services:\n  a:\n    image: IMAGE\n    command: ["sleep", "1000"]\n    stop_signal: SIGKILL\n    mem_limit: 64m\n'
    )
    app.up()
    assert app.ident("a") == before
