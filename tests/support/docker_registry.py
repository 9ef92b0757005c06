"""Debian's docker-registry for tests that have the fixture ``start``."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REGISTRY = shutil.which("docker-registry")
Start = Callable[..., str]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(http={...}, auth={...})`` runs a registry and gives its host."""
    running: list[subprocess.Popen[bytes]] = []

    def run(http: dict[str, Any] | None = None, auth: dict[str, Any] | None = None) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        plain: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(tmp_path / f"reg{port}")}},
            "http": {"addr": f"127.0.0.1:{port}", "secret": "x", **(http or {})},
            **({"auth": auth} if auth else {}),
        }
        path = tmp_path / f"{port}.json"
        path.write_text(json.dumps(plain))  # JSON is YAML
        assert REGISTRY
        running.append(
            subprocess.Popen([REGISTRY, "serve", str(path)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return f"127.0.0.1:{port}"
            time.sleep(0.02)
        raise AssertionError("docker-registry did not start")

    yield run
    for process in running:
        process.kill()
        process.wait()
