"""What the tests of the testing package share: a project in a directory, the machine's directories in the environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from compose.testing import Stack
from tests.support.cli import Machine

TWO = """
services:
  web:
    image: busybox:test
    command: sh -c 'mkdir -p /www; echo hi > /www/index.html; echo serving; exec httpd -f -p 80 -h /www'
    ports: ["8080:80"]
    volumes: [data:/data]
    healthcheck: {test: ["CMD", "test", "-e", "/www/index.html"], interval: 1s}
    stop_signal: SIGKILL
  db:
    image: busybox:test
    command: sh -c 'exec 3>>/db/log; n=0; while true; do n=$$((n+1)); echo $$n >&3; sleep 0.01; done'
    volumes: [db:/db]
    depends_on: [web]
    stop_signal: SIGKILL
volumes: {data: {}, db: {}}
"""

SICK = """
services:
  sick:
    image: busybox:test
    command: sh -c 'echo I feel ill; sleep 60'
    stop_signal: SIGKILL
    healthcheck: {test: ["CMD-SHELL", "echo no luck; exit 1"], interval: 50ms, retries: 2}
"""


@contextmanager
def stack_of(machine: Machine, directory: Path, text: str) -> Iterator[Stack]:
    """A stack of this Compose file on that machine, up; for fixtures of a whole module."""
    (directory / "compose.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYCOMPOSE_STATE_DIR", machine.state)
        patch.setenv("PYCOMPOSE_RUN_DIR", machine.run)
        with Stack(directory=directory) as stack:
            yield stack
