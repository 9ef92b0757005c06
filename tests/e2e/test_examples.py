"""The examples do what their pages say."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import ROOT, Machine, Project, eventually
from tests.support.watching import Watch

pytestmark = pytest.mark.root


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def page(port: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)
    connection.request("GET", "/")
    response = connection.getresponse()
    assert response.status == 200
    return response.read().decode()


def test_shop(example: Callable[[str], Project]) -> None:
    app = example("shop")
    port = app.env["SHOP_PORT"] = free_port()
    app.run("up", "-d", "--wait")
    assert app.names() == ["api-1", "edge-1", "store-1", "web-1", "web-2"]
    assert app.row("migrate")["ExitCode"] == 0
    pages = [page(port) for _ in range(4)]
    assert len({re.search(r"served by (\w+)", text)[1] for text in pages}) == 2  # type: ignore[index]
    visits = [int(re.search(r"number (\d+)", text)[1]) for text in pages]  # type: ignore[index]
    assert visits == [1, 2, 3, 4]
    app.env["SHOP_TITLE"] = "The new shop"
    changed = {step["name"] for step in app.steps() if step["kind"] == "container" and step["verb"] == "create"}
    assert changed == {"web-1", "web-2"}
    app.run("up", "-d", "--wait")
    assert "The new shop" in page(port)
    down = app.run("down")
    assert down.seconds < 3  # every program ends at SIGTERM
    app.run("up", "-d", "--wait")
    assert "Visit number 6" in page(port)
    app.run("down", "-v")


def test_two_tier(example: Callable[[str], Project]) -> None:
    app = example("two-tier")
    port = app.env["TWO_TIER_PORT"] = free_port()
    app.up()
    eventually(lambda: len(page(port).splitlines()) == 3, 5)
    assert [line.split()[-1] for line in page(port).splitlines()] == ["8000", "8000", "5432"]
    ask = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"
    app.exec("front", "python3", "-c", ask, "api")
    app.exec("front", "python3", "-c", ask, "db", code=1)
    address = app.exec("api", "python3", "-c", ask, "database").strip()
    reach = "import socket, sys; socket.create_connection((sys.argv[1], 5432), timeout=0.5)"
    app.exec("api", "python3", "-c", reach, address)
    app.exec("front", "python3", "-c", reach, address, code=1)


def test_worker(example: Callable[[str], Project]) -> None:
    app = example("worker")
    app.env["SECONDS_PER_JOB"] = "0.01"
    app.up()
    row = eventually(lambda: (row := app.row("worker"))["State"] == "exited" and row, 20, "all jobs done")
    assert row["ExitCode"] == 0
    lines = app.logs("worker")
    assert [line for line in lines if line.endswith("done")][-1] == "all jobs done"
    assert len([line for line in lines if line.startswith("starting")]) == 4
    assert all("scratch is empty" in line for line in lines if line.startswith("starting"))
    assert app.state("worker")["restart_count"] == 3


def test_the_builtin_image_hides_the_hosts_secrets(example: Callable[[str], Project], tmp_path: Path) -> None:
    app = example("two-tier")
    app.env["TWO_TIER_PORT"] = free_port()
    app.up("db")
    script = """
import os
for path in ("/etc/shadow", "/etc/gshadow", "/etc/ssh", "/etc/sudoers", "/boot", "/root/.ssh", "/etc/ssl/private"):
    assert not os.path.exists(path), path
assert os.listdir("/home") == ["app"]  # the image's own user
for path in ("/root", "/var/lib", "/var/log", "/srv", "/mnt"):
    assert not os.path.exists(path) or not os.listdir(path), (path, os.listdir(path))
try:
    open("/usr/forbidden", "w")
except OSError:
    print("fine")
"""
    assert app.exec("db", "python3", "-c", script) == "fine\n"
    assert not os.path.exists("/usr/forbidden")


def test_make_demo(machine: Machine) -> None:
    for _ in range(2):
        result = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "demo.py")],
            env=machine.environ(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert "HTTP 200" in result.stdout
        assert "The demo worked." in result.stdout


def test_built(example: Callable[[str], Project]) -> None:
    app = example("built")
    port = app.env["BUILT_PORT"] = free_port()
    app.run("up", "-d", "--wait")
    text = eventually(lambda: page(port), 5)
    assert "<h1>Built here</h1>" in text
    assert "The api says hello." in text
    assert "rendered" not in app.run("build").stderr  # nothing changed: cached
    app.env["BUILT_TITLE"] = "Another title"
    app.run("up", "-d", "--wait", "--build")
    assert "<h1>Another title</h1>" in eventually(lambda: page(port), 5)
    assert app.exec("web", "ls", "/app") == "serve.py\n"
    app.run("down", "-v")


def test_pytest(machine: Machine, tmp_path: Path) -> None:
    """The example's own tests, with nothing but the installed package."""
    shutil.copytree(ROOT / "examples" / "pytest", tmp_path / "pytest")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "pytest",
        env=machine.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "5 passed" in ran.stdout, ran.stdout + ran.stderr
    assert re.search(r"t-pytest-.*: up .* reset .* down", ran.stdout)


def test_hot_reload_changes_the_page_in_the_browser_without_a_restart(example: Callable[[str], Project]) -> None:
    app = example("hot-reload")
    port = app.env["HOT_RELOAD_PORT"] = free_port()
    watch = Watch(app).ready()
    watch.wait("sync")
    browser = subprocess.Popen(
        [sys.executable, "-u", str(app.dir / "browser.py"), port], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    app.children.append(browser)
    shown: list[str] = []
    threading.Thread(target=lambda: shown.extend(line.decode() for line in browser.stdout or ()), daemon=True).start()

    def shows(text: str) -> None:
        eventually(lambda: any(text in line for line in shown), 10, f"{text!r} in the browser, which shows {shown}")

    shows("Change this line")
    started = next(line for line in shown if "runs since" in line)
    app.edit("Change this line", "This line was changed", "site/index.html")
    shows("This line was changed")
    app.write("Hello from an edited file\n", "greeting.txt")
    shows("Hello from an edited file")
    assert {line for line in shown if "runs since" in line} == {started}  # the same process all the time
    app.edit("Edit me", "Edited")
    shows("Edited")
    app.edit('        """Nothing for each request."""', "        return", "app/serve.py")
    watch.wait("restart")
    assert watch.end() == 130
