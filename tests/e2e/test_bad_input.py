"""What is wrong is said in one clear message on stderr, exit code 1, and nothing half-made is left."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import IMAGE, ROOT, Machine, Project, execute

pytestmark = pytest.mark.root

SERVICE = 'services:\n  web:\n    image: IMAGE\n    command: ["sleep", "1000"]\n    stop_signal: SIGKILL\n'


def refused(app: Project, *words: str, command: tuple[str, ...] = ("up", "-d"), code: int = 1) -> str:
    """The message; it holds all the words, is short, and nothing of the project was made."""
    result = app.run(*command, code=code)
    for word in words:
        assert word in result.stderr, f"{word!r} is not in the message\n{result!r}"
    assert "Traceback" not in result.stderr
    assert "unexpected" not in result.stderr
    assert len(result.stderr.splitlines()) <= 12, result
    return result.stderr


FILES = {
    "broken YAML": ("services:\n  web: [\n", ("compose.yaml:",)),
    "unknown key": (SERVICE + "    depend_on: [db]\n", ("compose.yaml:6:5", "depend_on", "depends_on")),
    "wrong type": (SERVICE + "    environment: 7\n", ("compose.yaml:6", "environment")),
    "undefined network": (SERVICE + "    networks: [nowhere]\n", ("web", "nowhere", "network")),
    "undefined volume": (SERVICE + "    volumes: ['data:/data']\n", ("web", "data", "volume")),
    "undefined secret": (SERVICE + "    secrets: [key]\n", ("web", "key", "secret")),
    "unknown dependency": (SERVICE + "    depends_on: [db]\n", ("web", "db")),
    "not supported": (SERVICE + "    use_api_socket: true\n", ("use_api_socket", "not supported")),
    "unset and required": (SERVICE + "    user: ${NEEDED:?give a user}\n", ("NEEDED", "give a user")),
    "no image": ("services:\n  web:\n    command: ['true']\n", ("web", "image")),
    "missing image": (SERVICE.replace("IMAGE", "nobody/has-this:7"), ("nobody/has-this:7",)),
    "cycle": (
        "services:\n  a: {image: IMAGE, depends_on: [b]}\n  b: {image: IMAGE, depends_on: [c]}\n"
        "  c: {image: IMAGE, depends_on: [a]}\n",
        ("cycle", "a", "b", "c", "→"),
    ),
    "missing bind source": (
        SERVICE + "    volumes: [{type: bind, source: ./gone, target: /x, bind: {create_host_path: false}}]\n",
        ("gone",),
    ),
    "missing secret file": (SERVICE + "    secrets: [key]\nsecrets:\n  key: {file: ./gone.txt}\n", ("gone.txt",)),
    "duplicate container name": (
        "services:\n  a: {image: IMAGE, container_name: same}\n  b: {image: IMAGE, container_name: same}\n",
        ("same",),
    ),
    "port used twice": (SERVICE.replace("  web:", "  web:") + "    ports: ['70000:80']\n", ("70000",)),
    "unknown signal": (SERVICE.replace("SIGKILL", "SIGNOPE"), ("SIGNOPE",)),
    "bad capability": (SERVICE + "    cap_add: [CAP_FLY]\n", ("FLY",)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_file(project: MakeProject, name: str) -> None:
    text, words = FILES[name]
    app = project(text)
    refused(app, *words)
    listed = app.run("ps", "-aq", "--orphans", code=None)
    assert listed.stdout.strip() == ""


def test_several_problems_at_once(project: MakeProject) -> None:
    app = project(SERVICE + "    depend_on: [db]\n    comand: x\n")
    refused(app, "depend_on", "comand")


def test_an_unreadable_and_a_missing_file(project: MakeProject) -> None:
    app = project()
    refused(app, "compose.yaml")
    refused(app, "gone.yaml", command=("-f", "gone.yaml", "up", "-d"))
    (app.dir / "compose.yaml").mkdir()
    refused(app, "compose.yaml", command=("-f", "compose.yaml", "up", "-d"))


def test_a_port_in_use_names_its_owner(project: MakeProject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        app = project(SERVICE + f"    ports: ['127.0.0.1:{port}:80']\n")
        message = refused(app, str(port), str(os.getpid()))
        assert "python" in message
    app.up()  # and now that it is free
    assert app.names() == ["web-1"]
    other = project(SERVICE + f"    ports: ['127.0.0.1:{port}:80']\n")
    refused(other, str(port), app.name)


def test_a_container_name_of_another_project(project: MakeProject) -> None:
    name = f"same-{os.getpid()}"
    one, two = (project(SERVICE + f"    container_name: {name}\n") for _ in range(2))
    one.up()
    refused(two, name)
    assert one.run("ps", "-q").lines


def test_a_missing_and_an_unexecutable_program(project: MakeProject) -> None:
    app = project(SERVICE.replace('["sleep", "1000"]', '["no-such-program"]'))
    refused(app, "no-such-program", "web")
    assert app.row("web")["ExitCode"] == 127
    app.run("down")
    app.edit("no-such-program", "/etc/passwd")
    refused(app, "/etc/passwd")
    assert app.row("web")["ExitCode"] == 126
    app.run("run", "--rm", "-T", "web", "no-such-program", code=127)
    app.run("run", "--rm", "-T", "web", "/etc/passwd", code=126)


def test_an_unknown_user_and_a_missing_directory(project: MakeProject) -> None:
    app = project(SERVICE + "    user: stranger\n")
    refused(app, "stranger")
    app.edit("user: stranger", "user: nobody")
    app.up()


def test_a_failure_keeps_what_ran(project: MakeProject) -> None:
    app = project(
        SERVICE
        + '  bad:\n    image: IMAGE\n    command: ["no-such-program"]\n    depends_on: [web]\n'.replace("IMAGE", IMAGE)
    )
    app.up(code=1)
    assert app.names() == ["web-1"]
    app.run("logs", "web")


def test_command_lines(project: MakeProject) -> None:
    app = project(SERVICE)
    refused(app, "nope", command=("up", "-d", "nope"))
    refused(app, "--no-such", command=("up", "--no-such"))
    refused(app, "nonsense", command=("nonsense",))
    refused(app, "nope", command=("build", "nope"))
    refused(app, "web", command=("up", "-d", "--scale", "web=many"))
    app.run("exec", "-T", "web", "true", code=1)


def test_no_root(machine: Machine) -> None:
    """As nobody, with an interpreter that everybody can reach."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    reachable = [path for path in (sys.executable, f"/usr/bin/{version}") if everybody_can_reach(path)]
    setpriv = shutil.which("setpriv")
    if not reachable or not setpriv or not everybody_can_reach(str(ROOT / "compose")):
        pytest.skip("another user cannot reach an interpreter, or there is no setpriv to become one")
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        Path(directory, "compose.yaml").write_text(SERVICE.replace("IMAGE", IMAGE))
        path = [str(ROOT), *(entry for entry in sys.path if entry.endswith("site-packages"))]
        command = [reachable[0], "-m", "compose.cli.main", "up", "-d"]
        argv = [setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups", *command]
        for state in (machine.state, "/proc/nothing"):
            environ = machine.environ({"PYTHONPATH": ":".join(path), "PYCOMPOSE_STATE_DIR": state})
            result = execute(argv, cwd=directory, env=environ)
            assert result.code == 1, result
            assert "root" in result.stderr, result
            assert "Traceback" not in result.stderr
            assert "unexpected" not in result.stderr, result


def everybody_can_reach(path: str) -> bool:
    """Whether all directories on the way may be entered by anybody."""
    real = Path(path).resolve()
    return real.exists() and all(parent.stat().st_mode & 0o001 for parent in real.parents)


def test_an_unwritable_state_directory(project: MakeProject, tmp_path: Path) -> None:
    app = project(SERVICE)
    occupied = tmp_path / "file"
    occupied.write_text("")
    app.env["PYCOMPOSE_STATE_DIR"] = str(occupied / "state")
    refused(app, str(occupied))
    app.env.clear()


def test_a_bad_archive(machine: Machine, tmp_path: Path) -> None:
    bad = tmp_path / "bad.tar"
    bad.write_bytes(b"this is no tar archive" * 100)
    result = machine.call("import", str(bad), "bad:1")
    assert result.code == 1
    assert "bad.tar" in result.stderr
    assert "bad" not in machine.call("image", "ls").stdout
    missing = machine.call("import", str(tmp_path / "gone.tar"), "bad:1")
    assert missing.code == 1
    assert "gone.tar" in missing.stderr


def test_a_full_disk_while_importing(archive: str, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], check=True)
    try:
        machine = Machine()
        machine.state = str(small / "state")
        result = machine.call("import", archive, "big:1")
        assert result.code == 1
        assert "space" in result.stderr
        assert "big" not in machine.call("image", "ls").stdout
        left = [path for path in small.rglob("*") if path.is_file() and path.stat().st_size > 65536]
        assert left == []
        machine.remove()
    finally:
        subprocess.run(["umount", str(small)], check=True)
