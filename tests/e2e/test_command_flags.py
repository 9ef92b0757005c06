"""Each flag of the commands that look at, talk to and change existing containers, by what it does."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import IMAGE, Project, Terminal, eventually, read_lines
from tests.support.flags import covers

pytestmark = pytest.mark.root

FILE = """
services:
  web:
    image: IMAGE
    command: ["sh", "-c", "trap 'exit 0' TERM; echo one; echo two; echo three; while :; do sleep 0.05; done"]
    deploy: {replicas: 2}
    ports: ["127.0.0.1::80", "127.0.0.1::53/udp"]
  job:
    image: IMAGE
    command: ["sh", "-c", "echo done; exit 5"]
"""
LONELY = """
services:
  one:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
  two:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    depends_on: [one]
"""


@pytest.fixture(scope="module")
def app(module_project: MakeProject) -> Iterator[Project]:
    one = module_project(FILE)
    one.up()
    eventually(lambda: one.row("job")["State"] == "exited")
    yield one


def services(app: Project, *words: str) -> list[str]:
    """The services that ``ps`` shows with these words."""
    return [json.loads(line)["Service"] for line in app.run("ps", "--format", "json", *words).lines]


# -- ps


@covers("ps --all")
def test_ps_all(app: Project) -> None:
    assert services(app) == ["web", "web"]
    assert services(app, "--all") == services(app, "-a") == ["web", "web", "job"]


@covers("ps --status", "ps --filter")
def test_ps_status_and_filter(app: Project) -> None:
    assert services(app, "--status", "exited") == services(app, "--filter", "status=exited") == ["job"]
    assert services(app, "--status", "exited", "--status", "running") == ["web", "web", "job"]
    assert services(app, "--status", "paused") == []
    assert app.run("ps", "--filter", "x=y", code=1).stderr.startswith("cannot filter by x")


@covers("ps --quiet", "ps --services")
def test_ps_quiet_and_services(app: Project) -> None:
    full = app.run("ps", "-q").lines
    assert full == app.run("ps", "--quiet").lines == [app.ident("web"), app.ident("web", 2)]
    assert app.run("ps", "--services").lines == ["web"]
    assert app.run("ps", "-a", "--services").lines == ["web", "job"]


@covers("ps --no-trunc", "ps --format")
def test_ps_no_trunc(app: Project) -> None:
    short, full = (
        json.loads(app.run("ps", "-a", "--format", "json", *words, "job").stdout) for words in ((), ("--no-trunc",))
    )
    assert (len(short["ID"]), len(full["ID"])) == (12, 64)
    assert short["Command"] == '"sh -c \'echo done; e…"' and full["Command"] == "\"sh -c 'echo done; exit 5'\""
    assert full["ExitCode"] == 5


@covers("ps --orphans", "COMPOSE_FILE")
def test_ps_orphans(app: Project) -> None:
    app.write("services:\n  job:\n    image: IMAGE\n", "less.yaml")
    env = {"COMPOSE_FILE": "less.yaml"}
    for words, expected in (((), ["web", "web"]), (("--orphans=false",), [])):
        lines = app.run("ps", "--format", "json", *words, env=env).lines
        assert [json.loads(line)["Service"] for line in lines] == expected


# -- logs


@covers("logs --tail", "logs --no-log-prefix", "logs --index")
def test_logs_tail_prefix_index(app: Project) -> None:
    assert app.run("logs", "-n", "1", "--no-log-prefix", "web").lines == ["three", "three"]
    assert app.run("logs", "--tail", "0").stdout == ""
    assert app.run("logs", "--tail=2", "--index", "2", "web").lines == ["web-2  | two", "web-2  | three"]
    assert len(app.run("logs", "--tail", "all", "web").lines) == 6


@covers("logs --timestamps", "logs --since", "logs --until")
def test_logs_times(app: Project) -> None:
    line = app.run("logs", "-t", "--no-log-prefix", "job").stdout.strip()
    stamp, text = line.split(" ", 1)
    assert text == "done" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", stamp)
    for flag in ("--timestamps", "--timestamps=true"):
        assert app.run("logs", flag, "--no-log-prefix", "job").stdout.strip() == line
    assert app.run("logs", "--since", stamp, "--no-log-prefix", "job").lines == ["done"]
    assert app.run("logs", "--until", stamp, "--no-log-prefix", "job").lines in (["done"], [])
    assert app.run("logs", "--since", "0s", "job").stdout == ""
    assert app.run("logs", "--until", "1h", "job").stdout == ""
    assert app.run("logs", "--since", "1h", "--no-log-prefix", "job").lines == ["done"]


@covers("logs --no-color", "--ansi", "COMPOSE_ANSI", "NO_COLOR", "--no-ansi")
def test_logs_colours(app: Project) -> None:
    assert "\x1b[" in app.run("--ansi", "always", "logs", "web").stdout
    assert "\x1b[" in app.run("logs", "web", env={"COMPOSE_ANSI": "always", "NO_COLOR": "1"}).stdout
    for words in (
        ("--ansi", "always", "logs", "--no-color"),
        ("--ansi", "never", "logs"),
        ("--no-ansi", "logs"),
        ("logs",),
    ):
        assert "\x1b[" not in app.run(*words, "web", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout, words
    assert app.run("--ansi", "maybe", "logs", code=1).stderr.startswith("cannot use --ansi maybe")


@covers("logs --follow")
def test_logs_follow(app: Project) -> None:
    child = app.start("logs", "--follow", "--no-log-prefix", "--tail", "0", "--index", "1", "web")
    time.sleep(0.2)
    app.sh("web", "echo more >/proc/1/fd/1")
    assert next(read_lines(child.stdout)) == "more"


# -- ls, images, port, top, version


@covers("ls --all", "ls --filter", "ls --format", "ls --quiet")
def test_ls(app: Project, project: MakeProject) -> None:
    other = project(LONELY)
    other.up()
    other.run("kill")
    eventually(lambda: not other.names())
    rows = json.loads(app.run("ls", "--format", "json").stdout)
    mine = next(row for row in rows if row["Name"] == app.name)
    assert list(mine) == ["Name", "Status", "ConfigFiles"]
    assert (mine["Status"], mine["ConfigFiles"]) == ("running(2)", str(app.dir / "compose.yaml"))
    quiet = app.run("ls", "-q").lines
    assert app.name in quiet and other.name not in quiet
    assert app.run("ls", "-a", "--quiet", "--filter", f"name={other.name}").lines == [other.name]
    status = app.run("ls", "--all", "--filter", f"name={app.name}", "--format", "{{.Status}}").stdout
    assert status == "exited(1), running(2)\n"
    assert app.run("ls").lines[0].split() == ["NAME", "STATUS", "CONFIG", "FILES"]
    assert app.run("ls", "--filter", "foo=bar", code=1).stderr.startswith("cannot filter by foo")


@covers("images --quiet", "images --format")
def test_images(app: Project) -> None:
    rows = json.loads(app.run("images", "--format", "json").stdout)
    assert [row["ContainerName"] for row in rows] == [f"{app.name}-{name}" for name in ("web-1", "web-2", "job-1")]
    assert list(rows[0]) == ["ID", "ContainerName", "Repository", "Tag", "Platform", "Size", "LastTagTime"]
    assert f"{rows[0]['Repository']}:{rows[0]['Tag']}" == IMAGE and type(rows[0]["Size"]) is int
    assert (
        app.run("images", "-q").lines == app.run("images", "--quiet").lines == [rows[0]["ID"].removeprefix("sha256:")]
    )
    assert app.run("images").lines[0].split() == "CONTAINER REPOSITORY TAG PLATFORM IMAGE ID SIZE CREATED".split()


@covers("port --protocol", "port --index")
def test_port(app: Project) -> None:
    first = app.run("port", "web", "80").stdout
    second = app.run("port", "--index", "2", "web", "80").stdout
    assert re.fullmatch(r"127\.0\.0\.1:\d+\n", first) and re.fullmatch(r"127\.0\.0\.1:\d+\n", second)
    assert first != second and first == app.run("port", "--index=1", "web", "80").stdout
    assert re.fullmatch(r"127\.0\.0\.1:\d+\n", app.run("port", "--protocol", "udp", "web", "53").stdout)
    wrong = app.run("port", "web", "81", code=1)
    assert wrong.stdout == "" and f"no port 81/tcp for container {app.name}-web-1" in wrong.stderr
    app.run("port", "--index", "7", "web", "80", code=1)


@covers("version --format", "version --short")
def test_version(app: Project) -> None:
    short = app.run("version", "--short").stdout.strip()
    assert json.loads(app.run("version", "-f", "json").stdout) == {"version": short}
    assert (
        app.run("version", "--format", "pretty").stdout == app.run("version").stdout == f"pycompose version {short}\n"
    )


# -- cp


@covers("cp --all", "cp --archive", "cp --follow-link", "cp --index")
def test_cp(app: Project) -> None:
    app.write("hello", "file")
    (app.dir / "link").symlink_to("file")
    app.run("cp", "file", "web:/tmp/everywhere")
    assert [app.sh("web", "cat /tmp/everywhere", flags=("--index", n)) for n in ("1", "2")] == ["hello", "hello"]
    app.run("cp", "--index", "2", "file", "web:/tmp/second")
    app.sh("web", "cat /tmp/second", code=1)
    app.run("cp", "-L", "link", "web:/tmp/followed")
    app.run("cp", "link", "web:/tmp/linked")
    assert app.sh("web", "test -L /tmp/linked && ! test -L /tmp/followed && cat /tmp/followed") == "hello"
    app.sh("web", "echo x >/tmp/owned; chown 1000:1000 /tmp/owned; chmod 4755 /tmp/owned")
    for words, owner in ((("--archive",), 1000), ((), 0)):
        app.run("cp", *words, "web:/tmp/owned", "out")
        assert (Path(app.dir, "out").stat().st_uid, bool(Path(app.dir, "out").stat().st_mode & 0o4000)) == (
            owner,
            owner == 1000,
        )
        Path(app.dir, "out").unlink()
    app.run("run", "-d", "--name", f"{app.name}-extra", "job", "sleep", "1000")
    app.run("cp", "--all", "file", "job:/tmp/x")
    there = app.run("cp", "--all", "job:/tmp/x", "got").code
    assert there == 0
    app.run("kill")
    app.run("up", "-d", "--remove-orphans")


# -- exec, attach


@covers("exec --env", "exec --workdir", "exec --user", "exec --index", "exec --no-tty")
def test_exec(app: Project) -> None:
    script = "echo $A $B; pwd; id -u"
    shown = app.exec(
        "web", "sh", "-c", script, flags=("-e", "A=1", "--env", "B", "-w", "/tmp", "-u", "1000"), env={"B": "2"}
    )
    assert shown.split() == ["1", "2", "/tmp", "1000"]
    names = [app.sh("web", "hostname", flags=("--index", n, "--user=root", "--workdir=/")) for n in ("1", "2")]
    assert names[0] != names[1]
    assert app.run("exec", "--no-tty", "web", "tty", code=1).stdout == "not a tty\n"
    app.exec("web", "true", flags=("--index", "9"), code=1)


@covers("exec --privileged", "exec --detach")
def test_exec_privileged_and_detach(app: Project) -> None:
    caps = "grep CapEff /proc/self/status"
    assert app.sh("web", caps) != app.sh("web", caps, flags=("--privileged",))
    began = time.monotonic()
    assert app.run("exec", "-d", "web", "sh", "-c", "sleep 0.5; echo later >/tmp/later").stdout == ""
    assert time.monotonic() - began < 0.5
    eventually(lambda: app.sh("web", "cat /tmp/later") == "later")


@covers("exec --interactive", "exec --tty")
def test_exec_interactive_and_tty(app: Project, terminal: Callable[..., Terminal]) -> None:
    assert app.run("exec", "-T", "-i", "web", "cat", stdin="typed").stdout == "typed"
    assert app.run("exec", "-T", "--interactive=false", "web", "cat", stdin="typed").stdout == ""
    for words, expected in ((("-t",), "/dev/pts"), (("--tty=false",), "not a tty")):
        screen = terminal(app, "exec", *words, "web", "tty")
        screen.wait()
        assert expected in screen.seen, words


TALKER = """
services:
  talker:
    image: IMAGE
    command: ["sh", "-c", "trap 'echo got INT' INT; while read line; do echo you said $$line; done; while :; do sleep 0.05; done"]
    stdin_open: true
    deploy: {replicas: 2}
    stop_signal: SIGKILL
  screen:
    image: IMAGE
    command: ["sh", "-c", "while read line; do echo you said $$line; done"]
    tty: true
    stdin_open: true
    stop_signal: SIGKILL
"""


@covers("attach --index", "attach --no-stdin", "attach --sig-proxy", "attach --detach-keys")
def test_attach(project: MakeProject, terminal: Callable[..., Terminal]) -> None:
    import signal

    app = project(TALKER)
    app.up()
    child = app.start("attach", "--index", "2", "--sig-proxy=false", "--no-stdin", "talker")
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    assert child.wait(5) == 130
    assert app.logs() == []
    child = app.start("attach", "--no-stdin", "--index=1", "talker")
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    assert next(read_lines(child.stdout)) == "got INT"
    assert app.run("logs", "--index", "2", "talker").stdout == ""
    assert app.run("attach", "--index", "2", "talker", stdin="hello\n", code=None, env={"TERM": "dumb"}, timeout=1)
    assert "you said hello" in app.logs("talker")
    screen = terminal(app, "attach", "--detach-keys", "ctrl-x,q", "screen")
    eventually(lambda: (screen.write("hello\n"), "you said hello" in screen.read())[1], 10)
    screen.write("\x18q")
    assert screen.wait() == 0
    assert app.names() == ["screen-1", "talker-1", "talker-2"]


# -- kill, stop, restart, start, pause, rm, scale, wait


@covers("kill --signal", "kill --remove-orphans")
def test_kill(project: MakeProject) -> None:
    app = project(
        "services:\n  a:\n    image: IMAGE\n    command: [sh, -c, \"trap 'echo usr' USR1; while :; do sleep 0.05; done\"]\n"
        "  b:\n    image: IMAGE\n    command: [sleep, '1000']\n    stop_signal: SIGKILL\n"
    )
    app.up()
    app.run("kill", "-s", "USR1", "a")
    eventually(lambda: app.logs("a") == ["usr"])
    app.edit(
        "  b:\n    image: IMAGE\n    command: [sleep, '1000']\n    stop_signal: SIGKILL\n".replace("IMAGE", IMAGE), ""
    )
    app.run("kill", "--signal", "SIGKILL", "--remove-orphans")
    eventually(lambda: app.row("a")["ExitCode"] == 137)
    assert [row["Service"] for row in app.rows()] == ["a"]
    assert app.run("kill", "-s", "NOPE", code=1).stderr.startswith("cannot")


DEAF = """
services:
  deaf:
    image: IMAGE
    command: ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"]
"""


@covers("stop --timeout", "restart --timeout")
def test_stop_and_restart_timeout(project: MakeProject) -> None:
    app = project(DEAF)
    app.up()
    began = time.monotonic()
    app.run("restart", "--timeout", "0")
    app.run("restart", "-t", "0")
    app.run("stop", "-t", "1")
    assert 1 <= time.monotonic() - began < 4
    assert app.row("deaf")["ExitCode"] == 137


@covers("restart --no-deps")
def test_restart_no_deps(project: MakeProject) -> None:
    app = project(LONELY.replace("depends_on: [one]", "depends_on: {one: {condition: service_started, restart: true}}"))
    app.up()

    def pids() -> tuple[int, int]:
        return app.state("one")["pid"], app.state("two")["pid"]

    before = pids()
    app.run("restart", "--no-deps", "one")
    after = pids()
    assert after[0] != before[0] and after[1] == before[1]
    app.run("restart", "one")
    assert pids()[1] != before[1]


@covers("start --wait", "start --wait-timeout", "up --wait-timeout", "up --wait")
def test_start_wait(project: MakeProject) -> None:
    app = project(
        LONELY.replace(
            "    depends_on: [one]", "    healthcheck: {test: [CMD, test, -e, /ready], interval: 50ms, retries: 1000}"
        )
    )
    app.run("create")
    late = app.run("start", "--wait", "--wait-timeout", "1", code=1)
    assert "two" in late.stderr and 1 <= late.seconds < 4
    assert app.run("up", "--wait", "--wait-timeout=1", code=1).seconds < 4
    app.sh("two", "touch /ready")
    app.run("start", "--wait")
    assert app.row("two")["Health"] == "healthy"


@covers("rm --force", "rm --stop", "rm --volumes", "rm --all")
def test_rm(project: MakeProject) -> None:
    app = project(LONELY.replace("depends_on: [one]", "volumes: [/anonymous]"))
    app.up()
    assert app.run("rm", "--force").code == 0
    assert len(app.rows()) == 2
    assert "Are you sure" in app.run("rm", "-s", "one", stdin="n\n").stderr
    app.run("rm", "--stop", "one", stdin="y\n")
    assert [row["Service"] for row in app.rows()] == ["two"]
    volumes = Path(app.machine.state, "volumes")
    before = set(volumes.iterdir())
    app.run("rm", "--all", "-f", "--stop", "--volumes", "two")
    assert app.rows() == []
    assert len(before - set(volumes.iterdir())) == 1


@covers("scale --no-deps")
def test_scale_no_deps(project: MakeProject) -> None:
    app = project(LONELY)
    app.run("scale", "--no-deps", "two=2")
    assert app.names() == ["two-1", "two-2"]
    app.run("scale", "two=1")
    assert app.names() == ["one-1", "two-1"]
    assert app.run("scale", "two", code=1).stderr.startswith("cannot read the scale two")


@covers("wait --down-project")
def test_wait_down_project(project: MakeProject) -> None:
    app = project(LONELY.replace('"1000"', '"0.3"', 1))
    app.up()
    done = app.run("wait", "--down-project", "one")
    assert re.fullmatch(r'container "[0-9a-f]{64}" exited with status code 0\n', done.stdout) and app.rows() == []
    other = project(FILE)
    other.up()
    ident = other.ident("job")
    assert other.run("wait", "job", code=5).stdout == f'container "{ident}" exited with status code 5\n'
