"""``kill -9`` before and after the engine calls that bring and push images; see test_crash.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.e2e.test_crash import killed
from tests.e2e.test_images import app as add_image
from tests.runtime.images.registry.fake import Registry, registry
from tests.support.cli import Project

pytestmark = pytest.mark.root

FILE = """
services:
  pulled:
    image: HOST/x/app:1
    stop_signal: SIGKILL
  built:
    image: HOST/x/built:made
    build: {context: ., dockerfile_inline: "FROM IMAGE\\nRUN echo made > /made\\n"}
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
"""
UP, DOWN = ("up", "-d"), ("down", "--rmi", "all", "-t", "0")


def scenario_up(app: Project) -> tuple[str, ...]:
    return UP


def scenario_push(app: Project) -> tuple[str, ...]:
    app.up()
    return ("push", "built")


CASES: dict[str, Callable[[Project], tuple[str, ...]]] = {
    "PullImage": scenario_up,
    "BuildImage": scenario_up,
    "PushImage": scenario_push,
}


@pytest.fixture
def server(archive: str) -> Iterator[Registry]:
    with registry() as one:
        add_image(one, Path(archive).read_bytes(), "one")
        yield one


@pytest.mark.parametrize("action", CASES)
def test_killed_at_an_engine_call(project: MakeProject, server: Registry, action: str) -> None:
    app = project(FILE.replace("HOST", server.host))
    for where in (f"before:{action}:1", f"after:{action}:1"):
        words = CASES[action](app)
        assert killed(app, words, where), f"{action} did not happen"
        app.up()
        assert app.names() == ["built-1", "pulled-1"], app.rows()
        assert (app.sh("built", "cat /made"), app.sh("pulled", "cat /etc/text")) == ("made", "one")
        assert app.steps() == []
        app.run(*words)
        app.run(*DOWN)
