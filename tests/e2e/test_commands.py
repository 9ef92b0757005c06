"""The commands that look and copy, on real containers: events, stats, volumes, export, templates."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Project, eventually, read_lines
from tests.support.flags import covers

pytestmark = pytest.mark.root

FILE = """
services:
  web:
    image: IMAGE
    command: ["sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"]
    volumes: ["data:/data", "/anonymous"]
    labels: {team.name: blue}
    ports: ["127.0.0.1::80"]
  db:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    healthcheck: {test: ["CMD", "true"], interval: 60s}
    deploy: {replicas: 2}
volumes: {data: {}, unused: {}}
"""


@pytest.fixture(scope="module")
def app(module_project: MakeProject) -> Iterator[Project]:
    one = module_project(FILE)
    one.up("--wait")
    yield one


# -- events


def actions(rows: list[dict[str, object]]) -> list[str]:
    return [f"{row['service']} {row['action']}" for row in rows]


@covers("events --json", "events --since", "events --until")
def test_events_json_since_until(project: MakeProject) -> None:
    app = project(FILE.replace("replicas: 2", "replicas: 1"))
    app.up("--wait")
    app.run("exec", "-T", "web", "sh", "-c", "exit 4", code=4)
    app.run("pause", "db")
    app.run("unpause", "db")
    app.run("stop", "-t", "5", "web")
    app.run("rm", "-fv", "web")
    rows = [json.loads(line) for line in app.run("events", "--json", "--since", "1m", "--until", "0s").lines]
    web = [row for row in rows if row["service"] == "web"]
    expected = ["create", "start", "exec_create: sh -c exit 4", "exec_start: sh -c exit 4", "exec_die", "kill", "stop"]
    assert [row["action"] for row in web] == [*expected, "die", "destroy"]
    assert {"db pause", "db unpause", "db health_status: healthy"} <= set(actions(rows))
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    die, kill, ended = web[-2], web[5], web[4]
    assert die["attributes"] == {
        "execDuration": die["attributes"]["execDuration"],
        "exitCode": "3",
        "image": "busybox:test",
        "name": f"{app.name}-web-1",
        "team.name": "blue",
    }
    assert die["type"] == "container" and len(die["id"]) == 64
    assert kill["attributes"]["signal"] == "15"
    assert (ended["attributes"]["exitCode"], len(ended["attributes"]["execID"])) == ("4", 64)
    of_db = app.run("events", "--json", "--since", "1m", "--until", "0s", "db").lines
    assert {json.loads(line)["service"] for line in of_db} == {"db"}
    text = app.run("events", "--since", "1m", "--until", "0s", "web").lines[-1]
    assert f" container destroy {die['id']} (image=busybox:test, name={app.name}-web-1, team.name=blue)" in text
    assert app.run("events", "--until", "0s").stdout == ""


def test_events_follow(app: Project) -> None:
    child = app.start("events", "--json", "web")
    watching = iter(read_lines(child.stdout))
    eventually(lambda: app.sh("web", "echo x") == "x" and child.poll() is None)
    for line in watching:
        if json.loads(line)["action"] == "exec_die":
            break
    app.run("events", "nope", code=1)


# -- stats, volumes


@covers("stats --no-stream", "stats --format")
def test_stats_no_stream_and_format(app: Project) -> None:
    lines = app.run("stats", "--no-stream").lines
    assert lines[0].split()[:3] == ["CONTAINER", "ID", "NAME"]
    assert [line.split()[1] for line in lines[1:]] == [f"{app.name}-{n}" for n in ("web-1", "db-1", "db-2")]
    rows = [json.loads(line) for line in app.run("stats", "--no-stream", "--format", "json", "web").lines]
    assert [row["Name"] for row in rows] == [f"{app.name}-web-1"]
    assert int(rows[0]["PIDs"]) >= 1 and rows[0]["CPUPerc"].endswith("%") and not rows[0]["MemUsage"].startswith("0B")
    assert app.run("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "db").lines[0] == f"{app.name}-db-1 1"


@covers("stats --no-trunc")
def test_stats_no_trunc(app: Project) -> None:
    full = app.run("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}}", "web").stdout.strip()
    assert full == app.ident("web")


@covers("stats --all")
def test_stats_all(project: MakeProject) -> None:
    app = project(FILE)
    app.run("create", "web")
    assert app.run("stats", "--no-stream", "--format", "{{.Name}}").stdout == ""
    row = json.loads(app.run("stats", "--no-stream", "-a", "--format", "json").stdout)
    assert (row["Name"], row["PIDs"]) == (f"{app.name}-web-1", "0")


@covers("volumes --quiet", "volumes --format")
def test_volumes_quiet_and_format(app: Project) -> None:
    name = f"{app.name}_data"
    assert app.run("volumes").lines == ["DRIVER    VOLUME NAME", f"local     {name}"]
    assert app.run("volumes", "-q").lines == [name]
    assert app.run("volumes", "-q", "web").lines == [name]
    assert app.run("volumes", "--quiet", "db").lines == []
    row = json.loads(app.run("volumes", "--format", "json").stdout)
    assert (row["Name"], row["Driver"], row["Scope"]) == (name, "local", "local")
    assert Path(row["Mountpoint"]).is_dir()
    assert app.run("volumes", "--format", "{{.Name}} {{.Driver}}").lines == [f"{name} local"]


# -- export


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive}


@covers("export --output")
def test_export_output(app: Project) -> None:
    app.sh("web", "echo mine >/root/new; rm /etc/group; echo v >/data/in-the-volume; mkdir -p /opt/d")
    path = app.dir / "out.tar"
    assert app.run("export", "--output", str(path), "web").stdout == ""
    found = members(path.read_bytes())
    assert {"bin/busybox", "root/new", "opt/d", "data", "proc", "etc/passwd"} <= set(found)
    assert not [
        name for name in found if name.startswith(("data/", "proc/", "sys/", "dev/"))
    ]  # what is mounted is not it
    assert "etc/group" not in found
    with tarfile.open(path) as archive:
        assert archive.extractfile("root/new").read() == b"mine\n"  # type: ignore[union-attr]


def test_export_of_a_stopped_container_to_stdout(project: MakeProject) -> None:
    app = project("services:\n  one:\n    image: IMAGE\n    command: [sh, -c, 'echo kept >/kept']\n")
    app.up()
    eventually(lambda: app.row("one")["State"] == "exited")
    child = app.start("export", "one")
    assert "kept" in members(child.communicate()[0])
    assert app.run("export", "one", "-o", "/nowhere/x.tar", code=1).stderr.startswith("cannot")


@covers("export --index")
def test_export_index(app: Project) -> None:
    app.exec("db", "touch", "/second", flags=("--index", "2"))
    child = app.start("export", "--index", "2", "db")
    assert "second" in members(child.communicate()[0])
    assert app.run("export", "--index", "7", "db", code=1).stdout == ""


# -- templates


@covers("ps --format")
def test_ps_format(app: Project) -> None:
    lines = app.run("ps", "--format", r'table {{.Service}}\t{{upper .State}}\t{{.Label "team.name"}}').lines
    assert lines == [
        "SERVICE   STATE     name",
        "web       RUNNING   blue",
        "db        RUNNING   ",
        "db        RUNNING   ",
    ]
    shown = app.run("ps", "--format", "{{range .Publishers}}{{.URL}} {{.TargetPort}}{{else}}none{{end}}").lines
    assert shown == ["127.0.0.1 80", "none", "none"]
    wrong = app.run("ps", "--format", "{{.Nam}}", code=1)
    assert wrong.stdout == ""
    assert "can't evaluate field Nam\n  did you mean .Name?" in wrong.stderr


def test_ps_json_is_what_go_writes(app: Project) -> None:
    line = app.run("ps", "--format", "json", "web").stdout
    assert r"\u003e80/tcp" in line and "->" not in line
    assert "Label" not in json.loads(line)


# -- cp into what does not run


def test_cp_reaches_the_volumes_of_a_container_that_does_not_run(project: MakeProject) -> None:
    app = project(
        "services:\n  one:\n    image: IMAGE\n    command: [sh, -c, 'cat /data/in/x; test ! -e /data/in/y']\n"
        "    volumes: ['data:/data', './bound:/data/in', './fixed:/fixed:ro']\nvolumes: {data: {}}\n"
    )
    app.write("old\n", "bound/y")
    app.write("f\n", "fixed/f")
    app.write("new\n", "x")
    app.run("create")
    app.run("cp", "x", "one:/data/in/x")
    assert (app.dir / "bound" / "x").read_text() == "new\n"
    assert app.run("cp", "one:/data/in/y", "back").code == 0 and (app.dir / "back").read_text() == "old\n"
    assert "read-only" in app.run("cp", "x", "one:/fixed/x", code=1).stderr
    (app.dir / "bound" / "y").unlink()
    app.run("start")
    eventually(lambda: app.row("one")["State"] == "exited")
    assert app.logs("one") == ["new"] and app.row("one")["ExitCode"] == 0
    app.run("cp", "x", "one:/data/kept")
    assert app.run("run", "--rm", "-T", "one", "cat", "/data/kept").stdout == "new\n"


def test_a_pair_of_flags_that_fight_is_named(app: Project) -> None:
    for words in (
        ("-d", "--exit-code-from", "web"),
        ("--wait", "--abort-on-container-failure"),
        ("--build", "--no-build"),
    ):
        said = app.run("up", *words, code=1).stderr
        assert said.startswith("cannot use --") and " and --" in said and " together\n" in said, said
        assert said.endswith("\n  leave one of them out\n")


# -- commit


@covers("commit --index", "commit --message", "commit --author", "commit --change", "commit --pause")
def test_commit(project: MakeProject) -> None:
    app = project(FILE.replace("labels: {team.name: blue}", "labels: {team.name: blue}\n    environment: {A: one}"))
    app.up()
    app.sh("web", "mkdir /opt; echo changed >/opt/file; rm /etc/group; echo volume >/data/file")
    app.exec("db", "touch", "/second", flags=("--index", "2"))
    name = f"{app.name}/made:1"
    said = app.run(
        "commit", "-m", "a message", "--author", "me <me@x>", "-c", "ENV B=two", "--change", "USER 7", "web", name
    )
    assert said.stdout == "" and "Committed as sha256:" in said.stderr
    image = json.loads(app.machine.call("image", "inspect", name).stdout)[0]
    config = image["Config"]
    assert "A=one" in config["Env"] and "B=two" in config["Env"] and config["User"] == "7"
    assert config["Cmd"][0] == "sh"
    assert image["Config"]["Labels"].items() >= {"team.name": "blue"}.items()
    other = project(f"services:\n  one:\n    image: {name}\n")
    script = "cat /opt/file; test -e /etc/group || echo gone; ls /data 2>/dev/null; id -u; echo $A$B"
    shown = other.run("run", "--rm", "-T", "one", "sh", "-c", script).stdout
    assert shown.split() == ["changed", "gone", "7", "onetwo"]
    app.run("commit", "--pause=false", "--index", "2", "db", f"{app.name}/second")
    other.edit(name, f"{app.name}/second")
    other.run("run", "--rm", "-T", "one", "test", "-e", "/second")
    assert app.row("web")["State"] == app.row("db")["State"] == "running"
    for one in (name, f"{app.name}/second"):
        assert app.machine.call("rmi", one).code == 0


def test_the_last_line_of_up_counts_only_what_was_asked_for(project: MakeProject) -> None:
    sleep = "{image: IMAGE, command: sleep 1000, stop_signal: SIGKILL}"
    app = project(f"services:\n  one: {sleep}\n  two: {sleep}\n")
    app.up()
    assert "2 unchanged" in app.run("up", "-d").stderr
    assert "1 unchanged" in app.run("up", "-d", "one").stderr
    app.edit("services:\n  one: {image", f"services:\n  one: {{container_name: {app.name}-fixed, image")
    assert "unchanged" not in app.run("up", "-d", "one").stderr  # it was made anew under that name
