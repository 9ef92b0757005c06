"""Ctrl-C while something is built: the command ends at once, the containers stay, and nothing of the build is left."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import MakeProject
from tests.support import world
from tests.support.cli import Project, eventually
from tests.support.watching import Watch

pytestmark = pytest.mark.root

APP = """
services:
  web:
    build: .
    image: cancelled:1
    command: [sleep, "1000"]
    stop_grace_period: 0s
    develop:
      watch:
        - {action: rebuild, path: ./src}
"""
SLOW = "FROM IMAGE\nCOPY src /src\nRUN echo running && sleep 1000\n"
STAGES = """FROM IMAGE AS a
RUN echo running && sleep 1000
FROM IMAGE AS b
RUN sleep 1000
FROM a
COPY --from=b / /b
"""


class Deaf:
    """A server that takes connections and never says anything."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.asked = threading.Event()
        self.kept: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        try:
            while True:
                one, _address = self.listener.accept()
                one.recv(4096)
                self.kept.append(one)
                self.asked.set()
        except OSError:
            return

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for one in self.kept:
            one.close()


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    server = Deaf()
    yield server
    server.close()


def write(one: Project, text: str) -> None:
    (one.dir / "src").mkdir(exist_ok=True)
    (one.dir / "src/a").write_text("a")
    (one.dir / "Dockerfile").write_text(text.replace("IMAGE", "busybox:test"))


def interrupted(
    one: Project, before: world.Snapshot, *words: str, begun: threading.Event | None = None, kept: bool = False
) -> str:
    """Run until the build is at work, press Ctrl-C; what was said. It ended at once, with 130, and left nothing."""
    child = one.start(*words)
    assert child.stderr is not None
    said = b""
    if begun is None:
        while b"running" not in said.split(b"sleep 1000")[-1]:
            said += child.stderr.readline()
    else:
        assert begun.wait(10), child.stderr.read()
    child.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert child.wait(10) == 130
    assert time.monotonic() - began < 1.5
    assert os.listdir(f"{one.machine.state}/images/staging") == []
    if words[0] != "build" and not kept:
        one.run("down")  # what up makes beside the build is the project's
    eventually(lambda: not one.machine.leaks(before), 2, "clean machine")
    said += child.stderr.read()
    assert b"Traceback" not in said
    return said.decode()


@pytest.mark.parametrize("words", [("build",), ("up", "-d", "--build"), ("create", "--build")], ids=" ".join)
@pytest.mark.parametrize("text", [SLOW, STAGES], ids=["one", "stages"])
def test_a_command_is_killed(project: MakeProject, words: tuple[str, ...], text: str) -> None:
    one = project(APP)
    write(one, text)
    interrupted(one, one.machine.snapshot(), *words)


@pytest.mark.parametrize("words", [("build",), ("up", "-d", "--build")], ids=" ".join)
@pytest.mark.parametrize("url", ["http://127.0.0.1:PORT/x.tar", "http://127.0.0.1:PORT/x.git"])
def test_a_source_that_never_answers_is_left(
    project: MakeProject, deaf: Deaf, words: tuple[str, ...], url: str
) -> None:
    one = project(APP)
    write(one, f"FROM IMAGE\nRUN echo first\nADD {url.replace('PORT', str(deaf.port))} /x\n")
    interrupted(one, one.machine.snapshot(), *words, begun=deaf.asked)


@pytest.mark.parametrize("words", [("build",), ("up", "-d", "--build")], ids=" ".join)
def test_a_registry_that_never_answers_is_left(project: MakeProject, deaf: Deaf, words: tuple[str, ...]) -> None:
    one = project(APP)
    write(one, f"FROM 127.0.0.1:{deaf.port}/none/such:1\nRUN echo first\n")
    interrupted(one, one.machine.snapshot(), *words, begun=deaf.asked)


def test_a_long_copy_ends(project: MakeProject) -> None:
    one = project(APP)
    write(one, "FROM IMAGE\nCOPY src /x\n")
    for directory in range(60):
        (one.dir / f"src/{directory}").mkdir()
        for number in range(300):
            (one.dir / f"src/{directory}/{number}").write_bytes(b"x")
    child = one.start("build")
    assert child.stderr is not None
    assert b"COPY" in child.stderr.readline()
    time.sleep(0.2)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert child.wait(20) == 130
    assert time.monotonic() - began < 3  # what was copied is removed, which takes its time
    assert os.listdir(f"{one.machine.state}/images/staging") == []


def test_up_leaves_the_old_container_and_its_image(project: MakeProject) -> None:
    one = project(APP)
    write(one, "FROM IMAGE\nRUN echo old > /which\n")
    one.up("--build")
    before, pid = one.machine.snapshot(), one.state("web")["pid"]
    write(one, SLOW)
    interrupted(one, before, "up", "-d", "--build", kept=True)
    assert one.state("web")["pid"] == pid
    assert one.sh("web", "cat /which") == "old"
    write(one, "FROM IMAGE\nRUN echo new > /which\n")
    one.up("--build")
    assert one.sh("web", "cat /which") == "new"


def test_watch_cancels_its_rebuild_and_leaves_the_container(project: MakeProject) -> None:
    one = project(APP)
    write(one, "FROM IMAGE\nRUN echo old > /which\n")
    one.up("--build")
    before, pid = one.machine.snapshot(), one.state("web")["pid"]
    watch = Watch(one, "--no-up").ready()
    write(one, SLOW)
    eventually(lambda: any("running" in str(event) and "echo" not in str(event) for event in watch.events), 10)
    began = time.monotonic()
    assert watch.end() == 130
    assert time.monotonic() - began < 1.5
    assert watch.of("error") == []
    assert watch.of("rebuild")[-1]["text"] == "web: rebuild cancelled; the containers stay as they are"
    assert os.listdir(f"{one.machine.state}/images/staging") == []
    eventually(lambda: not one.machine.leaks(before), 2, "clean machine")
    assert one.state("web")["pid"] == pid
    assert one.sh("web", "cat /which") == "old"


def test_an_attached_up_stops_as_it_does_always(project: MakeProject) -> None:
    one = project(APP)
    write(one, SLOW)
    interrupted(one, one.machine.snapshot(), "up", "--build")
