"""Each flag of up, create, run and down, the global ones, and the COMPOSE_ variables, by what it does."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import IMAGE, Machine, Project, Terminal
from tests.support.flags import covers

pytestmark = pytest.mark.root

TWO = """
services:
  web:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    depends_on: [db]
  db:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
"""


def ids(app: Project) -> dict[str, str]:
    """Short name to id of all containers."""
    return {row["Name"].removeprefix(f"{app.name}-"): row["ID"] for row in app.rows()}


# -- up and create


@covers("up --detach", "up --force-recreate", "up --no-recreate", "up --always-recreate-deps", "up --no-deps")
def test_up_recreates_what_it_is_told(project: MakeProject) -> None:
    app = project(TWO)
    app.up("--no-deps", "web")
    assert list(ids(app)) == ["web-1"]
    app.run("up", "--detach", "--force-recreate", "web")
    first = ids(app)
    app.up("--force-recreate", "web")
    second = ids(app)
    assert second["web-1"] != first["web-1"] and second["db-1"] == first["db-1"]
    app.up("--always-recreate-deps", "web")
    third = ids(app)
    assert third["db-1"] != second["db-1"]
    app.edit("depends_on: [db]", "depends_on: [db]\n    environment: {A: '1'}")
    app.up("--no-recreate")
    assert ids(app) == third
    assert "together" in app.up("--no-recreate", "--force-recreate", code=1).stderr


@covers("up --renew-anon-volumes", "up --timeout")
def test_up_renews_anonymous_volumes(project: MakeProject) -> None:
    app = project(TWO.replace("stop_signal: SIGKILL", "stop_signal: SIGCONT\n    volumes: [/anonymous]", 1))
    app.up()
    app.sh("web", "touch /anonymous/mine")
    began = time.monotonic()
    app.up("-t", "0", "--force-recreate")
    assert app.sh("web", "ls /anonymous") == "mine"
    app.up("--timeout=0", "-V")
    assert app.sh("web", "ls /anonymous") == ""
    assert time.monotonic() - began < 5
    app.down("-v")


@covers("up --scale", "up --no-start", "create --scale")
def test_up_scale_and_no_start(project: MakeProject) -> None:
    app = project(TWO)
    app.up("--no-start", "--scale", "web=2")
    assert {row["Name"].removeprefix(f"{app.name}-"): row["State"] for row in app.rows()} == {
        "web-1": "created",
        "web-2": "created",
        "db-1": "created",
    }
    app.up("--scale", "web=1", "--scale=db=2")
    assert app.names() == ["db-1", "db-2", "web-1"]
    app.run("create", "--scale", "web=3")
    assert len([row for row in app.rows() if row["Service"] == "web"]) == 3
    assert "cannot read the scale" in app.up("--scale", "web", code=1).stderr


@covers("up --remove-orphans", "create --remove-orphans", "COMPOSE_REMOVE_ORPHANS", "COMPOSE_IGNORE_ORPHANS")
def test_orphans(project: MakeProject) -> None:
    ways: list[tuple[tuple[str, ...], dict[str, str]]] = [
        (("up", "-d", "--remove-orphans"), {}),
        (("create", "--remove-orphans"), {}),
        (("up", "-d"), {"COMPOSE_REMOVE_ORPHANS": "true"}),
    ]
    for words, env in ways:
        app = project(TWO)
        app.up()
        app.write("services:\n  web:\n    image: IMAGE\n    command: [sleep, '1000']\n    stop_signal: SIGKILL\n")
        assert "orphan" in app.up().stderr.lower()
        assert "orphan" not in app.up(env={"COMPOSE_IGNORE_ORPHANS": "1"}).stderr.lower()
        assert "db-1" in ids(app)
        app.run(*words, env=env)
        assert list(ids(app)) == ["web-1"], words


@covers("create --force-recreate", "create --no-recreate")
def test_create_recreates(project: MakeProject) -> None:
    app = project(TWO)
    app.run("create")
    first = ids(app)
    app.run("create", "--force-recreate")
    second = ids(app)
    assert set(first.values()).isdisjoint(second.values())
    app.edit("depends_on: [db]", "depends_on: [db]\n    environment: {A: '1'}")
    app.run("create", "--no-recreate")
    assert ids(app) == second
    assert {row["State"] for row in app.rows()} == {"created"}


@covers("up --yes", "up --no-build", "up --quiet-pull", "up --quiet-build", "up --pull")
@covers("create --yes", "create --no-build", "create --quiet-pull", "create --pull")
@covers("run --pull", "run --quiet-pull", "run --quiet-build")
def test_what_concerns_images_is_taken_when_the_image_is_there(project: MakeProject) -> None:
    app = project(TWO)
    shared = ("--quiet-pull", "--pull", "missing")
    app.run("create", "--yes", "--no-build", *shared)
    app.up("-y", "--no-build", "--quiet-build", *shared)
    assert app.names() == ["db-1", "web-1"]
    assert app.run("run", "--rm", "-T", "--no-deps", "--quiet-build", *shared, "db", "echo", "x").stdout == "x\n"
    app.edit(f"image: {IMAGE}", "image: not-here:1")
    for command in (
        ("up", "-d", "--pull", "never"),
        ("create", "--pull=never"),
        ("run", "--pull", "never", "web", "true"),
    ):
        assert "not-here:1" in app.run(*command, code=1).stderr


LOUD = """
services:
  one:
    image: IMAGE
    command: ["sh", "-c", "echo from one; sleep 0.3; exit 3"]
    depends_on: [zero]
  zero:
    image: IMAGE
    command: ["sh", "-c", "trap 'exit 7' TERM; echo from zero; while :; do sleep 0.05; done"]
"""


@covers("up --abort-on-container-exit", "up --exit-code-from", "up --abort-on-container-failure")
def test_up_aborts(project: MakeProject) -> None:
    app = project(LOUD)
    app.run("up", "--abort-on-container-exit", code=3)
    assert app.names() == []
    app.run("up", "--exit-code-from", "zero", code=7)
    app.run("up", "--exit-code-from=one", code=3)
    app.run("up", "--abort-on-container-failure", code=3)
    assert "no such service: x" in app.run("up", "--exit-code-from", "x", code=1).stderr
    good = project(LOUD.replace("exit 3", "exit 0").replace("trap 'exit 7' TERM; ", "sleep 0.6; exit 0; "))
    assert "from zero" not in good.run("up", "--abort-on-container-failure", code=0).stderr


@covers("up --attach", "up --no-attach", "up --attach-dependencies", "up --no-log-prefix", "up --no-color")
@covers("up --timestamps")
def test_up_shows_what_it_is_told(project: MakeProject) -> None:
    app = project(LOUD)

    def shown(*words: str) -> list[str]:
        lines = app.run("up", "--abort-on-container-exit", *words, code=None, env={"FORCE_COLOR": "1"}).lines
        return [line for line in lines if "from" in line]

    assert shown("--no-log-prefix", "--attach", "zero") == ["from zero"]
    assert shown("--no-log-prefix", "--no-attach", "zero") == ["from one"]
    assert shown("--no-log-prefix", "one") == ["from one"]
    assert sorted(shown("--no-log-prefix", "--attach-dependencies", "one")) == ["from one", "from zero"]
    assert shown("--no-color", "one") == ["one-1  | from one"]
    assert "\x1b[" in shown("one")[0]
    assert re.search(r"\| \d{4}-\d\d-\d\dT[\d:.]+Z from one$", shown("--no-color", "--timestamps", "one")[0])


# -- run


@pytest.fixture(scope="module")
def box(module_project: MakeProject) -> Iterator[Project]:
    app = module_project("""
services:
  box:
    image: IMAGE
    entrypoint: ["sh", "-c"]
    command: ["echo default"]
    environment: {A: file}
    ports: ["127.0.0.1::80"]
    depends_on: [db]
    networks: {default: {aliases: [crate]}}
  db:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
""")
    yield app


def once(app: Project, *words: str, code: int = 0, stdin: str | None = None) -> str:
    return app.run("run", "--rm", "-T", *words, code=code, stdin=stdin).stdout.strip()


@covers("run --no-deps", "run --rm", "run --no-tty", "run --quiet")
def test_run_no_deps(box: Project) -> None:
    assert once(box, "--no-deps", "--no-tty", "box") == "default"
    assert box.rows() == []
    assert "Container db-1" not in box.run("run", "--rm", "-T", "--quiet", "box").stderr
    assert box.names() == ["db-1"]


@covers("run --env", "run --env-from-file", "run --workdir", "run --user", "run --entrypoint", "run --label")
def test_run_changes_the_process(box: Project) -> None:
    box.write("# comment\nB='b b'\nC=${UNSET:-c}\nA=overridden\n", "vars")
    script = "echo $A,$B,$C; pwd; id -u"
    shown = once(box, "-e", "A=given", "--env-from-file", "vars", "-w", "/tmp", "-u", "1000", "box", script)
    assert shown.split("\n") == ["given,b b,c", "/tmp", "1000"]
    assert once(box, "--entrypoint", "echo x", "box") == "x"
    assert once(box, "--entrypoint=", "--user=0", "--workdir=/", "--env", "A=1", "box", "sh", "-c", "echo $A") == "1"
    name = box.run("run", "-d", "--label", "a=b", "-l", "c", "--entrypoint", "sleep", "box", "5").stdout.strip()
    row = next(row for row in box.rows() if row["Name"] == name)
    assert "a=b" in row["Labels"].split(",") and "c=" in row["Labels"].split(",")
    box.run("kill")
    box.run("down", "--remove-orphans", "-t", "0")


@covers("run --publish", "run --service-ports", "run --name", "run --detach", "run --use-aliases")
def test_run_ports_names_aliases(box: Project) -> None:
    sleep = ("--entrypoint", "sleep", "box", "100")
    name = f"{box.name}-x"
    assert box.run("run", "-d", "--name", name, *sleep).stdout == f"{name}\n"
    box.run("run", "--detach", "-P", "--use-aliases", "--name", f"{name}2", *sleep)
    box.run("run", "-d", "-p", "127.0.0.1::90", "--publish", "127.0.0.1::91", "--name", f"{name}3", *sleep)
    box.run("run", "-d", "--service-ports", "--name", f"{name}4", *sleep)
    ports = {row["Name"]: sorted(port["TargetPort"] for port in row["Publishers"]) for row in box.rows()}
    assert [ports[f"{name}{n}"] for n in ("", "2", "3", "4")] == [[], [80], [90, 91], [80]]
    assert box.sh("db", "nslookup -type=a crate.| grep -c 'Address: 1'") == "1"
    assert box.run("run", "--name", name, *sleep, code=1).stderr.startswith("cannot")
    box.run("down", "--remove-orphans", "-t", "0")


@covers("run --volume", "run --cap-add", "run --cap-drop")
def test_run_volumes_and_capabilities(box: Project) -> None:
    box.write("hello", "mounted/file")
    assert once(box, "--no-deps", "-v", "./mounted:/m:ro", "box", "cat /m/file; touch /m/x 2>/dev/null; ls /m") == (
        "hellofile"
    )
    caps = "grep CapEff /proc/self/status"
    sets = [int(once(box, "--no-deps", *words, "box", caps).split()[1], 16) for words in ((), ("--cap-add", "SYS_TIME"), ("--cap-drop=ALL",))]  # fmt: skip
    assert sets[1] == sets[0] | 1 << 25 and sets[2] == 0
    assert once(box, "--no-deps", "--volume", "/anon", "box", "test -d /anon && echo there") == "there"


@covers("run --interactive", "run --tty", "run --remove-orphans")
def test_run_interactive_tty_orphans(box: Project, terminal: Callable[..., Terminal]) -> None:
    assert once(box, "--no-deps", "box", "cat", stdin="typed") == "typed"
    assert once(box, "--no-deps", "--interactive=false", "box", "cat", stdin="typed") == ""
    for words, expected in (((), "/dev/pts"), (("--tty=false",), "not a tty")):
        screen = terminal(box, "run", "--rm", "--no-deps", *words, "box", "tty")
        screen.wait()
        assert expected in screen.seen, words
    box.run("up", "-d", "db")
    before = (box.dir / "compose.yaml").read_text()
    box.write("services:\n  box:\n    image: IMAGE\n")
    assert once(box, "--remove-orphans", "box", "echo", "x") == "x"
    box.write(before)
    assert box.rows() == []


# -- down


@covers("down --remove-orphans", "down --timeout", "down --volumes")
def test_down(project: MakeProject) -> None:
    app = project(TWO.replace("SIGKILL", "SIGCONT\n    volumes: [data:/data]", 1) + "volumes: {data: {}}\n")
    app.up()
    app.run("run", "-d", "db", "sleep", "1000")
    began = time.monotonic()
    app.run("down", "--timeout", "0")
    assert time.monotonic() - began < 3
    assert len(app.rows()) == 1
    app.run("down", "-t", "0", "--remove-orphans")
    assert app.rows() == []
    assert app.run("volumes", "-q").lines == [f"{app.name}_data"]
    app.run("down", "--volumes")
    assert app.run("volumes", "-q").lines == []


@covers("down --rmi")
def test_down_rmi(other_machine: Machine, project: MakeProject) -> None:
    app = project(TWO, on=other_machine)
    other_machine.call("image", "tag", IMAGE, "second:1")
    app.edit(IMAGE, "second:1")
    app.up()
    app.down("--rmi", "local")
    assert "second:1" in other_machine.call("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").lines
    app.up()
    dry = app.run("--dry-run", "down", "--rmi", "all").stderr
    assert "image" in dry and "second:1" in dry
    app.down("--rmi", "all")
    left = other_machine.call("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").lines
    assert "second:1" not in left and IMAGE in left
    assert app.run("down", "--rmi", "some", code=1).stderr.startswith("cannot use --rmi some")


@covers("down --rmi")
def test_down_rmi_keeps_what_others_use(other_machine: Machine, project: MakeProject) -> None:
    app, other = project(TWO, on=other_machine), project(TWO, on=other_machine)
    app.up()
    other.up()
    assert f"image {IMAGE} is kept" in app.down("--rmi", "all").stderr
    assert IMAGE in other_machine.call("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").lines


# -- global options and variables


def files_of(app: Project, *words: str, env: dict[str, str] | None = None) -> dict[str, object]:
    """``config`` as a tree."""
    return dict(json.loads(app.run(*words, "config", "--format", "json", env=env).stdout))


@covers("--file", "--project-directory", "--workdir", "--env-file", "--profile")
@covers("COMPOSE_PATH_SEPARATOR", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES", "COMPOSE_DISABLE_ENV_FILE")
def test_where_the_project_comes_from(project: MakeProject) -> None:
    app = project()
    app.write("services:\n  a:\n    image: x:${TAG:-none}\n    volumes: ['./here:/h']\n", "a.yaml")
    app.write("services:\n  b:\n    image: y\n    profiles: [more]\n", "b.yaml")
    app.write("TAG=dot\n", ".env")
    app.write("TAG=other\n", "other.env")
    (app.dir / "sub").mkdir()

    def image(*words: str, **env: str) -> object:
        return files_of(app, "-f", "a.yaml", *words, env=env)["services"]["a"]["image"]  # type: ignore[index]

    assert [image(), image("--env-file", "other.env"), image(COMPOSE_ENV_FILES="other.env")] == [
        "x:dot",
        "x:other",
        "x:other",
    ]
    assert image(COMPOSE_DISABLE_ENV_FILE="1") == "x:none"
    both = ("-f", "a.yaml", "--file", "b.yaml")
    assert list(files_of(app, *both)["services"]) == ["a"]  # type: ignore[call-overload]
    assert list(files_of(app, *both, "--profile", "more")["services"]) == ["a", "b"]  # type: ignore[call-overload]
    env = {"COMPOSE_FILE": "a.yaml;b.yaml", "COMPOSE_PATH_SEPARATOR": ";", "COMPOSE_PROFILES": "more"}
    assert list(files_of(app, env=env)["services"]) == ["a", "b"]  # type: ignore[call-overload]
    for flag in ("--project-directory", "--workdir"):
        tree = files_of(app, "-f", "a.yaml", flag, "sub")
        assert tree["services"]["a"]["volumes"][0]["source"] == str(app.dir / "sub/here")  # type: ignore[index]


@covers("--project-name", "COMPOSE_PROJECT_NAME", "--version", "--parallel", "COMPOSE_PARALLEL_LIMIT")
def test_names_and_limits(project: MakeProject) -> None:
    app = project(TWO)
    bare = ["config", "--format", "json"]
    environ = app.machine.environ()

    def name(*words: str, **env: str) -> str:
        argv = [app.argv()[0], *words, *bare]
        return str(json.loads(subprocess.check_output(argv, cwd=app.dir, env={**environ, **env}))["name"])

    assert [name("-p", "x"), name("--project-name=y"), name(COMPOSE_PROJECT_NAME="z"), name()] == [
        "x",
        "y",
        "z",
        app.name,
    ]
    for words in (["--version"], ["-v"]):
        assert subprocess.check_output([app.argv()[0], *words], env=environ).startswith(b"pycompose version ")
    app.run("--parallel", "1", "up", "-d")
    app.up("--force-recreate", env={"COMPOSE_PARALLEL_LIMIT": "1"})
    assert app.names() == ["db-1", "web-1"]
    assert "COMPOSE_PARALLEL_LIMIT=x" in app.up(code=1, env={"COMPOSE_PARALLEL_LIMIT": "x"}).stderr


@covers("--dry-run", "--verbose", "--progress", "COMPOSE_PROGRESS", "COMPOSE_STATUS_STDOUT")
def test_progress(project: MakeProject) -> None:
    app = project(TWO)
    assert "DRY-RUN MODE" in app.run("--dry-run", "up", "-d").stderr
    assert app.rows() == []
    rows = [json.loads(line) for line in app.run("--progress", "json", "up", "-d").stderr.splitlines()]
    assert ("Container db-1", "Started") in [(row.get("id"), row.get("status")) for row in rows]
    assert app.up("--force-recreate", env={"COMPOSE_PROGRESS": "quiet"}).stderr == ""
    assert "force" in app.run("--verbose", "--progress=plain", "up", "-d", "--force-recreate").stderr
    moved = app.up("--force-recreate", env={"COMPOSE_STATUS_STDOUT": "1"})
    assert "Container db-1" in moved.stdout and "Container" not in moved.stderr
    assert "cannot use --progress nice" in app.run("--progress", "nice", "ps", code=1).stderr


@covers("--all-resources")
def test_all_resources(project: MakeProject) -> None:
    app = project(TWO + "volumes: {unused: {}}\nnetworks: {idle: {}}\n")
    app.up()
    assert app.run("volumes", "-q").lines == []
    assert "unused" in files_of(app, "--all-resources").get("volumes", {})  # type: ignore[operator]
    app.run("--all-resources", "up", "-d")
    assert app.run("volumes", "-q").lines == [f"{app.name}_unused"]
    removed = app.down("-v").stderr
    assert "idle" in removed and app.run("volumes", "-q").lines in ([], [f"{app.name}_unused"])
    app.run("--all-resources", "down", "-v")
    assert app.run("volumes", "-q").lines == []


@covers("--compatibility", "COMPOSE_COMPATIBILITY")
def test_compatibility(project: MakeProject) -> None:
    app = project(TWO)
    app.run("--compatibility", "up", "-d")
    names = sorted(row["Name"] for row in app.rows())
    assert names == [f"{app.name}_db_1", f"{app.name}_web_1"]
    assert app.up(env={"COMPOSE_COMPATIBILITY": "true"}).code == 0
    assert sorted(row["Name"] for row in app.rows()) == names
    assert app.sh("web", f"nslookup {app.name}_db_1. >/dev/null && echo found") == "found"
    assert app.run("--compatibility", "logs").code == 0
    app.down()
    assert app.rows() == []


@covers("--insecure-registry")
def test_what_docker_compose_ignores_is_refused(project: MakeProject) -> None:
    app = project(TWO)
    assert app.run("--insecure-registry", "x", "ps", code=1).stderr.startswith("cannot use --insecure-registry")


@covers("up --build", "create --build", "run --build", "up --no-build", "create --no-build")
def test_builds_are_made_when_asked(project: MakeProject) -> None:
    app = project("services:\n  made:\n    build: .\n    command: [sleep, '1000']\n    stop_signal: SIGKILL\n")
    app.write("FROM IMAGE\nCOPY text /text\n", "Dockerfile")
    app.write("one", "text")
    app.up("--no-build", code=1)
    app.up()
    assert app.sh("made", "cat /text") == "one"
    app.write("two", "text")
    app.up()
    assert app.sh("made", "cat /text") == "one"
    app.up("--build")
    assert app.sh("made", "cat /text") == "two"
    app.write("three", "text")
    assert app.run("run", "--rm", "-T", "--build", "made", "cat", "/text").stdout == "three"
    app.write("four", "text")
    app.run("create", "--no-build")
    app.run("create", "--build")
    app.run("start")
    assert app.sh("made", "cat /text") == "four"
    app.down("--rmi", "local")
    assert app.name not in app.machine.call("image", "ls").stdout
