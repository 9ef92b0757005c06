"""A container that writes to what is watched, each time it starts; and what is no such loop."""

from __future__ import annotations

import time

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import eventually
from tests.support.watching import Watch, inside, replace_file

pytestmark = pytest.mark.root

LOOP = """
services:
  web:
    image: IMAGE
    init: true
    command: [sh, -c, "cat /proc/sys/kernel/random/uuid > /conf/stamp; exec sleep 1000"]
    volumes: [./conf:/conf]
    stop_grace_period: 0s
    develop:
      watch:
        - {action: restart, path: ./conf}
        - {action: sync, path: ./src, target: /app}
"""


def test_a_restart_that_changes_what_it_is_restarted_for(project: MakeProject) -> None:
    one = project(LOOP)
    for name in ("conf", "src"):
        (one.dir / name).mkdir()
    one.up()
    watch = Watch(one, "--no-up").ready()
    (one.dir / "conf/app.cfg").write_text("a")
    (said,) = watch.wait("warning", within=30)
    assert said["text"].startswith(
        f"web: restarting it changes {one.dir}/conf/stamp and web.develop.watch[0] (restart)"
    )
    assert said["text"].endswith("add to web.develop.watch[0]:  ignore: [stamp]")
    restarts = len(watch.of("restart"))
    assert restarts <= 10
    # what is not the loop's is as quick as ever, in the same directory, too
    (one.dir / "src/a").write_text("a")
    assert watch.wait("sync")[0]["seconds"] < 1
    eventually(lambda: inside(one, "web", "/app/a").read_text() == "a", 5)
    (one.dir / "conf/app.cfg").write_text("b")
    watch.wait("restart", restarts + 1, within=3)
    time.sleep(4)
    assert len(watch.of("restart")) <= restarts + 2 and len(watch.of("warning")) == 1
    # the advice ends it
    one.edit("path: ./conf}", "path: ./conf, ignore: [stamp]}")
    watch.wait("config")
    watch.quiet(1)
    before = len(watch.of("restart"))
    (one.dir / "conf/app.cfg").write_text("c")
    watch.wait("restart", before + 1, within=3)
    watch.quiet(1)
    assert len(watch.of("restart")) == before + 1
    assert watch.end() == 130


def test_ten_quick_saves_are_ten_quick_saves(project: MakeProject) -> None:
    one = project(LOOP.replace("cat /proc/sys/kernel/random/uuid > /conf/stamp; ", ""))
    for name in ("conf", "src"):
        (one.dir / name).mkdir()
    one.up()
    watch = Watch(one, "--no-up").ready()
    for number in range(10):
        replace_file(one.dir / "conf/app.cfg", f"{number}")
        time.sleep(0.4)
    watch.quiet(1)
    assert 5 <= len(watch.of("restart")) <= 10
    assert inside(one, "web", "/conf/app.cfg").read_text() == "9"
    assert watch.of("warning") == [] and watch.of("error") == []
    assert watch.end() == 130
