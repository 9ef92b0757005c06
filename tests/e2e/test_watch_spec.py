"""Hot reload of the project itself, and the actions that need more than a file written: rebuild, restart, commands."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import IMAGE, Project, Terminal, eventually
from tests.support.watching import Watch, inside, replace_file

pytestmark = pytest.mark.root

STACK = """
services:
  web:
    image: IMAGE
    init: true
    command: [sh, -c, "echo color=$$COLOR; exec sleep 1000"]
    environment: {COLOR: "${COLOR:-red}"}
    stop_grace_period: 0s
    develop:
      watch:
        - {action: sync, path: ./src, target: /app}
"""
MakeTerminal = Callable[..., Terminal]


@pytest.fixture
def stack(project: MakeProject) -> Project:
    one = project(STACK)
    (one.dir / "src").mkdir()
    one.up()
    return one


def watching(one: Project, *words: str) -> Watch:
    return Watch(one, "--no-up", *words).ready()


def pid(one: Project, service: str = "web") -> int:
    return int(one.state(service)["pid"])


# the Compose file


def test_a_changed_limit_is_applied_to_the_same_process(stack: Project) -> None:
    before, watch = pid(stack), watching(stack)
    stack.edit("    init: true\n", "    init: true\n    mem_limit: 64m\n")
    (plan, done) = watch.wait("config", 2)
    assert "update" in plan["text"] and "mem_limit: (none) → 67108864" in plan["text"]
    assert done["text"].startswith("configuration applied in ") and done["seconds"] < 2
    assert pid(stack) == before and stack.steps() == []


def test_a_changed_environment_is_a_new_process_of_that_service_alone(stack: Project) -> None:
    stack.edit(
        "services:\n",
        "services:\n  other: {image: IMAGE, init: true, command: [sleep, '1000']}\n".replace("IMAGE", IMAGE),
    )
    stack.up()
    other, watch = pid(stack, "other"), watching(stack)
    stack.write("COLOR=blue\n", ".env")  # which was not there
    watch.wait("config", contains="applied")
    assert stack.logs("web")[-1] == "color=blue"
    assert pid(stack, "other") == other


def test_a_wrong_file_is_told_with_its_place_and_changes_nothing(stack: Project) -> None:
    before, watch = pid(stack), watching(stack)
    stack.edit("    init: true\n", "    init: perhaps\n")
    (error,) = watch.wait("error")
    assert error["text"].startswith("compose.yaml:5:11: services.web.init:")
    assert "the last good configuration goes on" in error["text"]
    (stack.dir / "src/a").write_text("a")
    watch.wait("sync")
    stack.edit("    init: perhaps\n", "    init: true\n    labels: {a: b}\n")
    watch.wait("config", contains="valid again")
    watch.wait("config", contains="applied")
    assert pid(stack) == before and "a=b" in stack.row("web")["Labels"]


def test_a_file_that_is_missing_is_waited_for(stack: Project) -> None:
    watch = watching(stack)
    stack.edit("services:", "include: [more.yaml]\nservices:")
    (error,) = watch.wait("error")
    assert "more.yaml" in error["text"]
    stack.write("services: {extra: {image: IMAGE, init: true, command: [sleep, '1000']}}\n", "more.yaml")
    watch.wait("config", contains="applied")
    assert stack.names() == ["extra-1", "web-1"]
    stack.edit("'1000'", "'2000'", "more.yaml")
    watch.wait("config", 2, contains="applied")
    assert stack.steps() == []


def test_new_services_and_replicas_come_and_old_ones_go_as_up_would(stack: Project) -> None:
    before, watch = pid(stack), watching(stack)
    stack.edit("    init: true\n", "    init: true\n    scale: 3\n")
    watch.wait("config", contains="applied")
    assert stack.names() == ["web-1", "web-2", "web-3"] and pid(stack) == before
    (stack.dir / "src/a").write_text("a")
    assert watch.wait("sync")[0]["containers"] == 3


def test_a_service_that_leaves_the_file_is_told_of(project: MakeProject) -> None:
    more = "  more: {image: IMAGE, command: sleep 1000, stop_signal: SIGKILL}\n"
    one = project(STACK + more)
    (one.dir / "src").mkdir()
    one.up()
    watch = watching(one)
    one.edit(more.replace("IMAGE", IMAGE), "")
    assert "more-1" in watch.wait("warning")[0]["text"]
    assert one.names() == ["more-1", "web-1"]


def test_contents_of_a_config_reach_the_running_process(stack: Project) -> None:
    stack.write("one", "page.txt")
    stack.edit("    init: true\n", "    init: true\n    configs: [page]\n")
    stack.edit("services:", "configs: {page: {file: page.txt}}\nservices:")
    stack.up()
    before, watch = pid(stack), watching(stack)
    replace_file(stack.dir / "page.txt", "two and more")
    watch.wait("config", contains="applied")
    assert stack.sh("web", "cat /page") == "two and more" and pid(stack) == before


def test_changed_rules_count_at_once(stack: Project) -> None:
    watch = watching(stack)
    (stack.dir / "more").mkdir()
    stack.edit("      watch:\n", "      watch:\n        - {action: sync, path: ./more, target: /more}\n")
    watch.wait("config", contains="applied")
    (stack.dir / "more/a").write_text("a")
    watch.wait("sync")
    assert stack.sh("web", "cat /more/a") == "a"


def test_watch_config_plan_shows_and_off_does_nothing(stack: Project) -> None:
    before, watch = pid(stack), watching(stack, "--watch-config", "plan")
    stack.write("COLOR=blue\n", ".env")
    (shown,) = watch.wait("config")
    assert "this is what up would do" in shown["text"] and "environment.COLOR: changed" in shown["text"]
    watch.quiet()
    assert pid(stack) == before
    watch.end()
    watch = watching(stack, "--watch-config", "off")
    stack.write("COLOR=green\n", ".env")
    watch.quiet()
    assert watch.of("config") == [] and pid(stack) == before


# other terminals


def test_down_and_up_in_another_terminal(stack: Project) -> None:
    watch = watching(stack)
    (stack.dir / "src/a").write_text("a")
    watch.wait("sync")
    stack.down()
    (stack.dir / "src/b").write_text("b")
    watch.wait("sync", contains="no container")
    stack.write("COLOR=blue\n", ".env")
    watch.wait("config", contains="nothing of the project runs")
    assert stack.rows() == []
    stack.up()
    watch.wait("sync", contains="after its start")
    assert stack.sh("web", "cat /app/a /app/b") == "ab"
    (stack.dir / "src/c").write_text("c")
    watch.wait("sync", 3, contains="synced")
    assert stack.sh("web", "cat /app/c") == "c"
    assert watch.of("error") == []


def test_a_second_watch_is_refused(stack: Project) -> None:
    watch = watching(stack)
    refused = stack.run("watch", "--no-up", code=1)
    assert "another watch runs on it" in refused.stderr
    watch.end(9)
    watching(stack)


def test_nothing_to_watch_is_said(stack: Project) -> None:
    stack.write("services: {web: {image: IMAGE}}\n")
    assert "no service has develop.watch" in stack.run("watch", "--watch-config", "off", code=1).stderr
    assert "choose one of apply, plan, off" in stack.run("watch", "--watch-config", "x", code=1).stderr


# actions


def test_restart_commands_and_dependents(stack: Project) -> None:
    stack.write(
        """
services:
  web:
    image: IMAGE
    init: true
    command: [sleep, "1000"]
    stop_grace_period: 0s
    develop:
      watch:
        - {action: restart, path: ./conf}
        - {action: sync+restart, path: ./both, target: /both}
        - {action: sync+exec, path: ./run, target: /run/it, exec: {command: [sh, -c, "cat /run/it/f >> /said; id -u >> /said"], user: "1000"}}
        - {action: sync+exec, path: ./bad, target: /bad, exec: {command: [sh, -c, "echo broken; exit 3"]}}
  db: {image: IMAGE, init: true, command: [sleep, "1000"], stop_grace_period: 0s, depends_on: {web: {condition: service_started, restart: true}}}
  free: {image: IMAGE, init: true, command: [sleep, "1000"]}
"""
    )
    for name in ("conf", "both", "run", "bad"):
        (stack.dir / name).mkdir()
    stack.up()
    watch = watching(stack)
    pids = {name: pid(stack, name) for name in ("web", "db", "free")}
    (stack.dir / "conf/x").write_text("x")
    watch.wait("restart")
    now = {name: pid(stack, name) for name in pids}
    assert now["web"] != pids["web"] and now["db"] != pids["db"] and now["free"] == pids["free"]
    (stack.dir / "both/f").write_text("f")
    watch.wait("restart", 2)
    assert stack.sh("web", "cat /both/f") == "f" and pid(stack) != now["web"]
    stack.sh("web", "touch /said; chmod 666 /said")
    (stack.dir / "run/f").write_text("f\n")
    watch.wait("exec")
    assert stack.sh("web", "cat /said").split() == ["f", "1000"]
    (stack.dir / "bad/f").write_text("f")
    (error,) = watch.wait("error")
    assert "exited with code 3" in error["text"] and "broken" in error["text"]
    (stack.dir / "conf/y").write_text("y")
    watch.wait("restart", 3)


def test_rebuild_once_for_two_services_and_again_after_a_failure(project: MakeProject) -> None:
    one = project(
        """
services:
  a: &a
    build: ./ctx
    init: true
    command: [sleep, "1000"]
    stop_grace_period: 0s
    develop: {watch: [{action: rebuild, path: ./ctx}]}
  b: *a
"""
    )
    before = untagged(one)  # of the tests that ran here before
    one.write(f"FROM {IMAGE}\nCOPY data /data\nRUN test ! -e /data/stop\n", "ctx/Dockerfile")
    one.write("1", "ctx/data/f")
    one.write("data/skipped\n", "ctx/.dockerignore")
    one.up(timeout=120)
    watch = watching(one)
    images = {name: one.state(name)["pid"] for name in "ab"}
    one.write("2", "ctx/data/f")
    watch.wait("rebuild", 2, within=60)
    assert "rebuilt in" in watch.of("rebuild")[-1]["text"]
    assert [one.sh(name, "cat /data/f") for name in "ab"] == ["2", "2"]
    assert images != (images := {name: one.state(name)["pid"] for name in "ab"})
    one.write("x", "ctx/data/skipped")
    watch.quiet()
    assert len(watch.of("rebuild")) == 2
    one.write("x", "ctx/data/stop")
    watch.wait("error", within=60)
    assert {name: one.state(name)["pid"] for name in "ab"} == images
    (one.dir / "ctx/data/stop").unlink()
    one.write("3", "ctx/data/f")
    eventually(lambda: one.sh("a", "cat /data/f") == "3", 60, "built again")
    one.write(f"FROM {IMAGE}\nCOPY data /new\nCMD true\n", "ctx/Dockerfile")
    eventually(lambda: one.sh("b", "cat /new/f", code=None) == "3", 60, "the Dockerfile counts")
    assert untagged(one) <= before


def untagged(one: Project) -> set[str]:
    return {line.split()[2] for line in one.run("image", "ls").lines if "<none>" in line}


# beside the logs


def test_up_watch_shows_logs_and_goes_on_when_all_has_ended(stack: Project) -> None:
    stack.down()
    stack.edit('"echo color=$$COLOR; exec sleep 1000"', '"cat /app/say || true; sleep 0.2"')
    stack.edit("action: sync,", "action: sync+restart,")
    watch = Watch(stack, "--watch", command="up")
    watch.ready()
    eventually(lambda: stack.row("web")["State"] == "exited", 5, "ended")
    time.sleep(0.3)
    assert watch.child.poll() is None
    (stack.dir / "src/say").write_text("hello from the host\n")
    watch.wait("restart")
    eventually(lambda: "hello from the host" in "\n".join(stack.logs("web")), 5, "restarted with the new file")
    assert watch.end() == 130
    assert stack.names() == []


def test_the_menu_key_switches_watching_on_and_off(stack: Project, terminal: MakeTerminal) -> None:
    shown = terminal(stack, "up", "--menu")
    shown.expect("Watch", 15)
    shown.write("w")
    shown.expect("watching ", 10)
    (stack.dir / "src/a").write_text("a")
    eventually(lambda: inside(stack, "web", "/app/a").read_text() == "a", 5, "synced")
    shown.write("w")
    shown.expect("watch is off", 10)
    (stack.dir / "src/b").write_text("b")
    time.sleep(0.3)
    assert not os.path.lexists(inside(stack, "web", "/app/b"))
    shown.write("d")
    assert shown.wait(15) == 0


def test_watch_by_itself_brings_the_project_up(stack: Project) -> None:
    stack.down()
    watch = Watch(stack).ready()
    assert stack.names() == ["web-1"]
    (stack.dir / "src/a").write_text("a")
    watch.wait("sync")
    assert watch.end() == 130
    assert stack.names() == ["web-1"]
