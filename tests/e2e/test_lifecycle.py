"""The commands, each as a user sees it: what changes, what is said, which exit code."""

from __future__ import annotations

import json
import re
import tarfile
from io import BytesIO

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import IMAGE, Project, eventually

pytestmark = pytest.mark.root

TWO = """
services:
  web:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    environment: {DEBUG: "0"}
    depends_on: [db]
  db:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
"""


def ids(app: Project) -> dict[str, str]:
    return {row["Name"].removeprefix(f"{app.name}-"): row["ID"] for row in app.rows()}


def test_up_and_down(project: MakeProject) -> None:
    app = project(TWO)
    result = app.up()
    assert result.stdout == ""
    assert app.names() == ["db-1", "web-1"]
    again = app.up()
    assert app.steps() == []
    assert "ecreate" not in again.stderr
    app.down()
    assert app.rows() == []
    assert app.down().code == 0  # nothing to do


def test_nothing_to_do_touches_nothing(project: MakeProject) -> None:
    app = project(TWO)
    app.up()
    before = ids(app), app.state("web")["pid"], app.state("db")["pid"]
    app.up()
    assert (ids(app), app.state("web")["pid"], app.state("db")["pid"]) == before


def test_changing_one_service_touches_that_service_only(project: MakeProject) -> None:
    app = project(TWO)
    app.up()
    before = ids(app)
    app.edit('DEBUG: "0"', 'DEBUG: "1"')
    text = app.run("plan").stdout
    assert "config changed: environment.DEBUG" in text
    assert "db-1" not in text
    assert "→" in app.run("plan", "--show-values").stdout
    app.up()
    after = ids(app)
    assert after["db-1"] == before["db-1"]
    assert after["web-1"] != before["web-1"]
    assert app.sh("web", "echo $DEBUG") == "1"
    assert app.steps() == []


def test_values_of_environment_stay_hidden_in_the_plan(project: MakeProject) -> None:
    app = project(TWO)
    app.up()
    app.edit('DEBUG: "0"', "DEBUG: hunter2")
    assert "hunter2" not in app.run("plan").stdout
    assert "hunter2" in app.run("plan", "--show-values").stdout


def test_a_change_in_place_keeps_the_container(project: MakeProject) -> None:
    app = project(TWO.replace("depends_on: [db]", "depends_on: [db]\n    mem_limit: 64m"))
    app.up()
    before = ids(app), app.state("web")["pid"]
    app.edit("mem_limit: 64m", "mem_limit: 80m")
    assert [step["verb"] for step in app.steps()] == ["update"]
    app.up()
    assert (ids(app), app.state("web")["pid"]) == before
    assert app.steps() == []


def test_force_recreate_and_no_recreate(project: MakeProject) -> None:
    app = project(TWO)
    app.up()
    before = ids(app)
    app.up("--force-recreate", "web")
    after = ids(app)
    assert after["web-1"] != before["web-1"]
    assert after["db-1"] == before["db-1"]
    app.edit('DEBUG: "0"', 'DEBUG: "1"')
    app.up("--no-recreate")
    assert ids(app) == after


def test_named_services_and_no_deps(project: MakeProject) -> None:
    app = project(TWO)
    app.up("--no-deps", "web")
    assert app.names() == ["web-1"]
    app.down()
    app.up("web")
    assert app.names() == ["db-1", "web-1"]


def test_no_start_and_create(project: MakeProject) -> None:
    app = project(TWO)
    app.up("--no-start")
    assert {row["State"] for row in app.rows()} == {"created"}
    app.run("start")
    assert app.names() == ["db-1", "web-1"]
    app.down()
    app.run("create")
    assert {row["State"] for row in app.rows()} == {"created"}
    app.up()
    assert app.names() == ["db-1", "web-1"]


def test_orphans(project: MakeProject) -> None:
    app = project(TWO)
    app.up()
    app.write(TWO.split("  db:")[0].replace("    depends_on: [db]\n", ""))
    result = app.up()
    assert "orphan" in result.stderr
    assert "db" in result.stderr
    assert app.names() == ["db-1", "web-1"]
    app.up("--remove-orphans")
    assert app.names() == ["web-1"]


def test_scale(project: MakeProject) -> None:
    app = project(TWO)
    app.up("--scale", "web=3")
    assert app.names() == ["db-1", "web-1", "web-2", "web-3"]
    found = app.sh("db", "nslookup web 127.0.0.11 | grep -c 'Address.*172' || nslookup web | grep -c Address")
    assert int(found.splitlines()[-1]) >= 3
    app.run("scale", "web=1")
    assert app.names() == ["db-1", "web-1"]
    app.run("scale", "web=0")
    assert app.names() == ["db-1"]
    app.write(TWO.replace("    depends_on: [db]", "    depends_on: [db]\n    deploy: {replicas: 2}"))
    app.up()
    assert app.names() == ["db-1", "web-1", "web-2"]


def test_a_new_project_name_is_another_project(project: MakeProject) -> None:
    one, two = project(TWO), project(TWO)
    one.up()
    two.up()
    one.down()
    assert two.names() == ["db-1", "web-1"]
    listed = two.run("ls", "--format", "json").stdout
    assert two.name in listed
    assert one.name not in listed


def test_stop_start_restart_kill(project: MakeProject) -> None:
    app = project(TWO)
    app.up()
    app.sh("web", "echo kept > /root/file")
    before = ids(app)
    app.run("stop", "-t", "0", "web")
    assert app.names() == ["db-1"]
    assert app.row("web")["State"] == "exited"
    app.run("start", "web")
    assert app.names() == ["db-1", "web-1"]
    assert app.sh("web", "cat /root/file") == "kept"
    pid = app.state("web")["pid"]
    app.run("restart", "-t", "0", "web")
    assert app.state("web")["pid"] != pid
    app.run("kill", "web")
    row = eventually(lambda: (row := app.row("web"))["State"] == "exited" and row, 3, "killed")
    assert row["ExitCode"] == 137
    app.up()
    assert app.names() == ["db-1", "web-1"]
    assert ids(app) == before
    assert app.sh("web", "cat /root/file") == "kept"


def test_the_stop_signal_and_the_grace_period(project: MakeProject) -> None:
    app = project("""
services:
  polite:
    image: IMAGE
    command: ["sh", "-c", "trap 'echo bye; exit 7' USR1; while :; do sleep 0.05; done"]
    stop_signal: SIGUSR1
  deaf:
    image: IMAGE
    command: ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"]
    stop_grace_period: 300ms
""")
    app.up()
    eventually(lambda: app.names() == ["deaf-1", "polite-1"])
    app.sh("polite", "true")
    app.run("stop")
    assert app.row("polite")["ExitCode"] == 7
    assert app.logs("polite") == ["bye"]
    assert app.row("deaf")["ExitCode"] == 137


def test_pause_and_unpause(project: MakeProject) -> None:
    app = project("""
services:
  clock:
    image: IMAGE
    command: ["sh", "-c", "while :; do echo tick; sleep 0.02; done"]
    stop_signal: SIGKILL
""")
    app.up()
    eventually(lambda: app.logs("clock"), 3)
    app.run("pause")
    assert app.row("clock")["State"] == "paused"
    frozen = len(app.logs("clock"))
    assert len(app.logs("clock")) == frozen
    app.run("unpause")
    assert app.row("clock")["State"] == "running"
    eventually(lambda: len(app.logs("clock")) > frozen, 3)
    app.run("pause")
    app.down()
    assert app.rows() == []


def test_rm(project: MakeProject) -> None:
    app = project(TWO)
    app.up()
    app.run("rm", "-f")
    assert app.names() == ["db-1", "web-1"]
    app.run("rm", "-f", "-s", "web")
    assert [row["Service"] for row in app.rows()] == ["db"]


def test_wait_gives_the_exit_code(project: MakeProject) -> None:
    app = project('services:\n  job:\n    image: IMAGE\n    command: ["sh", "-c", "sleep 0.3; exit 5"]\n')
    app.up()
    result = app.run("wait", "job", code=5)
    assert result.stdout.split()[-1] == "5"


def test_ps_as_docker_compose_prints_it(project: MakeProject) -> None:
    app = project(TWO)
    app.up()
    header, *rows = app.run("ps").lines
    assert header.split() == ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]
    assert [row.split()[0] for row in rows] == [f"{app.name}-web-1", f"{app.name}-db-1"] or len(rows) == 2
    row = app.row("web")
    assert row["Name"] == f"{app.name}-web-1"
    assert (row["Service"], row["State"], row["ExitCode"]) == ("web", "running", 0)
    assert row["Status"].startswith("Up ")
    assert row["Publishers"] in ([], None)
    assert app.run("ps", "-q").lines
    assert sorted(app.run("ps", "--services").lines) == ["db", "web"]
    app.run("stop", "-t", "0", "db")
    assert len(app.run("ps").lines) == 2
    assert len(app.run("ps", "-a").lines) == 3
    assert app.run("ps", "--status", "exited", "-q").lines
    assert "no such service: nope" in app.run("ps", "nope", code=1).stderr


def test_logs(project: MakeProject) -> None:
    app = project("""
services:
  talker:
    image: IMAGE
    command: ["sh", "-c", "echo one; echo two >&2; echo three; printf unfinished"]
  other:
    image: IMAGE
    command: ["echo", "hello"]
""")
    app.up()
    eventually(lambda: all(row["State"] == "exited" for row in app.rows()))
    assert sorted(app.logs("talker")[:3]) == ["one", "three", "two"]
    assert app.logs("talker")[-1] == "unfinished"
    assert re.search(r"^other-1 +\| hello$", app.run("logs", "--no-color").stdout, re.M)
    assert len(app.logs("talker", "-n", "1")) == 1
    assert re.match(r"\d{4}-\d\d-\d\dT", app.logs("other", "-t")[0])
    assert app.logs("other", "--since", "1h") == ["hello"]
    assert app.logs("other", "--until", "1h") == []
    followed = app.run("logs", "-f", "--no-log-prefix", "other", timeout=10)
    assert followed.lines[0] == "hello"


def test_exec_and_its_exit_codes(project: MakeProject) -> None:
    app = project(TWO)
    app.up()
    assert app.exec("web", "echo", "a b", "c") == "a b c\n"
    app.exec("web", "sh", "-c", "exit 9", code=9)
    app.exec("web", "no-such-program", code=127)
    app.sh("web", "echo '#!/bin/sh' > /tmp/script; chmod 644 /tmp/script")
    app.exec("web", "/tmp/script", code=126)
    assert app.exec("web", "cat", stdin="through a pipe\n") == "through a pipe\n"
    big = b"x" * 3_000_000
    assert app.run("exec", "-T", "web", "wc", "-c", stdin=big).stdout.strip() == str(len(big))
    result = app.run("exec", "-T", "web", "sh", "-c", "echo out; echo err >&2")
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    app.run("exec", "-d", "web", "touch", "/tmp/made")
    eventually(lambda: app.exec("web", "ls", "/tmp/made", code=None).strip() == "/tmp/made")
    app.run("stop", "-t", "0", "web")
    assert app.run("exec", "-T", "web", "true", code=1).stderr


def test_run(project: MakeProject) -> None:
    app = project(TWO)
    result = app.run("run", "--rm", "-T", "-e", "COLOUR=red", "web", "sh", "-c", "echo $COLOUR $DEBUG; exit 3", code=3)
    assert result.stdout == "red 0\n"
    assert app.names() == ["db-1"]  # its dependency was started
    assert [row["Service"] for row in app.rows()] == ["db"]  # and the one-off is gone
    app.run("run", "--rm", "-T", "--no-deps", "web", "no-such-program", code=127)
    name = app.run("run", "-d", "web", "sleep", "1000").stdout.strip()
    assert re.fullmatch(rf"{app.name}-web-run-[0-9a-f]{{12}}", name)
    assert name not in app.run("ps").stdout
    assert name in app.run("ps", "-a").stdout
    assert app.run("run", "--rm", "-T", "--entrypoint", "echo", "web", "hi").stdout == "hi\n"
    assert app.run("run", "--rm", "-T", "web", "cat", stdin="piped\n").stdout == "piped\n"


def test_cp(project: MakeProject) -> None:
    app = project(TWO)
    app.up()
    app.write("hello\n", "local.txt")
    app.run("cp", "local.txt", "web:/tmp/inside.txt")
    assert app.sh("web", "cat /tmp/inside.txt") == "hello"
    app.run("cp", "web:/tmp/inside.txt", "back.txt")
    assert (app.dir / "back.txt").read_text() == "hello\n"
    stream = BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        member = tarfile.TarInfo("streamed")
        member.size = 3
        tar.addfile(member, BytesIO(b"abc"))
    app.run("cp", "-", "web:/tmp", stdin=stream.getvalue())
    assert app.sh("web", "cat /tmp/streamed") == "abc"
    assert app.run("cp", "web:/no/such", "x", code=1).stderr


def test_top_images_config_version(project: MakeProject) -> None:
    app = project(TWO)
    app.up()
    assert "sleep 1000" in app.run("top", "web").stdout
    assert IMAGE.partition(":")[0] in app.run("images").stdout
    assert app.run("config", "--services").lines == ["web", "db"]
    config = json.loads(app.run("config", "--format", "json").stdout)
    assert config["services"]["web"]["depends_on"]["db"]["condition"] == "service_started"
    assert app.run("config", "-q").stdout == ""
    assert re.match(r"\d+\.\d+", app.run("version", "--short").stdout)


def test_dry_run_and_plan_touch_nothing(project: MakeProject) -> None:
    app = project(TWO)
    text = app.run("plan").stdout
    assert re.search(r"^\d+ .*container +db-1 +create ", text, re.M)
    result = app.run("up", "-d", "--dry-run")
    assert "db-1" in result.stderr + result.stdout
    assert app.rows() == []
    app.up()
    before = ids(app)
    app.run("down", "--dry-run")
    assert ids(app) == before


def test_environment_file_and_override(project: MakeProject) -> None:
    app = project(TWO)
    app.write("services: {web: {environment: {DEBUG: '${LEVEL:-none}'}}}\n", "compose.override.yaml")
    app.write("LEVEL=7\n", ".env")
    app.up()
    assert app.sh("web", "echo $DEBUG") == "7"


def test_timings_say_where_the_time_goes(project: MakeProject) -> None:
    app = project(TWO)
    shown = app.up("--timings").stderr
    assert re.search(r"\bms\b", shown)
    assert "import" in shown


def test_progress_json(project: MakeProject) -> None:
    app = project(TWO)
    lines = app.run("--progress", "json", "up", "-d").stderr.splitlines()
    assert all(json.loads(line) for line in lines)
    assert any("web-1" in line for line in lines)
    failed = app.run("--progress", "json", "up", "-d", "nope", code=1).stderr.splitlines()[-1]
    assert json.loads(failed)["error"] is True
