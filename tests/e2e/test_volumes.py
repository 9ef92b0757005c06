"""Named and anonymous volumes, binds, tmpfs, secrets and configs."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Machine, Project, Terminal
from tests.support.flags import covers

pytestmark = pytest.mark.root

SLEEP = 'command: ["sleep", "1000"]\n    stop_signal: SIGKILL'


def test_a_named_volume_outlives_down_but_not_down_v(project: MakeProject) -> None:
    app = project(f"""
services:
  db:
    image: IMAGE
    {SLEEP}
    volumes: ["data:/data"]
volumes:
  data:
""")
    app.up()
    app.sh("db", "echo precious > /data/file")
    app.down()
    app.up()
    assert app.sh("db", "cat /data/file") == "precious"
    app.edit("stop_signal: SIGKILL", "stop_signal: SIGKILL\n    environment: {A: b}")
    app.up()
    assert app.sh("db", "cat /data/file") == "precious"
    app.down("-v")
    app.up()
    app.sh("db", "test ! -e /data/file")


def test_a_new_volume_starts_with_the_images_content(project: MakeProject) -> None:
    app = project(f"""
services:
  a:
    image: IMAGE
    {SLEEP}
    volumes: ["conf:/etc"]
  b:
    image: IMAGE
    {SLEEP}
    volumes: [{{type: volume, source: empty, target: /etc, volume: {{nocopy: true}}}}]
volumes:
  conf:
  empty:
""")
    app.up()
    assert "root:x:0:0" in app.sh("a", "cat /etc/passwd")
    app.sh("b", "test ! -e /etc/passwd")
    app.sh("a", "echo other > /etc/passwd")
    app.down()
    app.up()
    assert app.sh("a", "cat /etc/passwd") == "other"  # copied once


def test_two_services_share_a_volume(project: MakeProject) -> None:
    app = project(f"""
services:
  writer:
    image: IMAGE
    {SLEEP}
    volumes: ["shared:/out"]
  reader:
    image: IMAGE
    {SLEEP}
    volumes: ["shared:/in:ro"]
volumes:
  shared:
""")
    app.up()
    app.sh("writer", "echo hi > /out/file")
    assert app.sh("reader", "cat /in/file") == "hi"
    app.sh("reader", "touch /in/other 2>/dev/null", code=1)


def test_binds(project: MakeProject) -> None:
    app = project(f"""
services:
  a:
    image: IMAGE
    {SLEEP}
    volumes:
      - ./here:/here
      - ./here/file:/single:ro
      - {{type: bind, source: ./long, target: /long, read_only: true}}
      - ./made-by-up:/made
""")
    (app.dir / "here").mkdir()
    (app.dir / "long").mkdir()
    (app.dir / "here" / "file").write_text("one\n")
    result = app.up()
    assert "made-by-up" in result.stderr  # created as a directory, with a note
    assert (app.dir / "made-by-up").is_dir()
    assert app.sh("a", "cat /here/file /single") == "one\none"
    app.sh("a", "echo two > /here/new")
    assert (app.dir / "here" / "new").read_text() == "two\n"
    for target in ("/single", "/long/x"):
        app.sh("a", f"echo x > {target}", code=1)


def test_tmpfs_and_shm(project: MakeProject) -> None:
    app = project(f"""
services:
  a:
    image: IMAGE
    {SLEEP}
    shm_size: 2m
    tmpfs: ["/t:size=64k,mode=700"]
    volumes: [{{type: tmpfs, target: /long, tmpfs: {{size: 128k}}}}]
""")
    app.up()
    mounts = {line.split()[1]: line for line in app.sh("a", "cat /proc/mounts").splitlines()}
    assert "size=64k" in mounts["/t"]
    assert "size=128k" in mounts["/long"]
    assert "size=2048k" in mounts["/dev/shm"]
    app.sh("a", "head -c 100k /dev/zero > /t/big 2>/dev/null", code=1)


def test_anonymous_volumes_move_to_the_next_container(project: MakeProject, machine: Machine) -> None:
    app = project(f"""
services:
  a:
    image: IMAGE
    {SLEEP}
    environment: {{A: "1"}}
    volumes: ["/anon"]
""")
    app.up()
    app.sh("a", "echo kept > /anon/file")
    app.edit('A: "1"', 'A: "2"')
    app.up()
    assert app.sh("a", "cat /anon/file") == "kept"
    app.up("-V", "--force-recreate")
    app.sh("a", "test ! -e /anon/file")
    app.down("-v")
    assert not [name for name in os.listdir(f"{machine.state}/volumes") if len(name) == 64]


def secrets(project: MakeProject) -> Project:
    app = project(f"""
services:
  a:
    image: IMAGE
    {SLEEP}
    secrets:
      - password
      - {{source: token, target: renamed, mode: 0400}}
    configs:
      - {{source: settings, target: /etc/app.conf}}
secrets:
  password: {{file: ./password.txt}}
  token: {{environment: TOKEN}}
configs:
  settings: {{content: "level=3\\n"}}
""")
    app.write("swordfish", "password.txt")
    app.env["TOKEN"] = "t0k3n"
    return app


def test_secrets_and_configs(project: MakeProject) -> None:
    app = secrets(project)
    app.up()
    assert app.sh("a", "cat /run/secrets/password") == "swordfish"
    assert app.sh("a", "cat /run/secrets/renamed") == "t0k3n"
    assert app.sh("a", "stat -c %a /run/secrets/renamed") == "400"
    assert app.sh("a", "cat /etc/app.conf") == "level=3"


def test_a_changed_secret_reaches_the_container(project: MakeProject) -> None:
    app = secrets(project)
    app.up()
    app.write("changed", "password.txt")
    assert app.run("plan").stdout
    app.up()
    assert app.sh("a", "cat /run/secrets/password") == "changed"
    assert app.steps() == []


def test_a_volume_with_a_file_system_of_its_own_is_unmounted_with_its_last_container(project: MakeProject) -> None:
    service = "image: IMAGE, command: [sleep, '1000'], stop_signal: SIGKILL, volumes: ['scratch:/t']"
    options = "{type: tmpfs, device: tmpfs, o: size=1m}"
    app = project(
        f"services:\n  a: {{{service}}}\n  b: {{{service}}}\nvolumes:\n  scratch: {{driver_opts: {options}}}\n"
    )
    app.up()
    app.sh("a", "echo shared > /t/x")
    assert app.sh("b", "cat /t/x") == "shared"

    def mounted() -> bool:
        with open("/proc/self/mountinfo") as file:
            return f"{app.name}_scratch" in file.read()

    app.run("rm", "-sf", "a")
    assert mounted()
    app.run("down")
    assert not mounted()


CHANGING = f"""
services:
  db:
    image: IMAGE
    {SLEEP}
    volumes: ["data:/data"]
  web:
    image: IMAGE
    {SLEEP}
volumes:
  data: {{labels: {{a: "1"}}}}
"""


@covers("up --yes", "create --yes")
def test_a_changed_volume_is_made_anew_only_after_a_yes(
    project: MakeProject, terminal: Callable[..., Terminal]
) -> None:
    app = project(CHANGING)
    app.up()
    app.sh("db", "echo precious > /data/file")
    before = {row["Service"]: row["ID"] for row in app.rows()}
    app.edit('a: "1"', 'a: "2"')

    told = app.up()  # no terminal: nobody to ask
    assert "data is kept as it was made" in told.stderr and "pycompose up --yes" in told.stderr
    for answer in ("n\n", "\n", "\x04"):
        shown = terminal(app, "up", "-d")
        shown.expect("Recreate (data will be lost)? [yN] ")
        shown.write(answer)
        assert shown.wait() == 0
        assert app.sh("db", "cat /data/file") == "precious"
    assert {row["Service"]: row["ID"] for row in app.rows()} == before
    dry = app.run("--dry-run", "up", "--yes").stderr
    assert "config changed" in dry
    assert app.sh("db", "cat /data/file") == "precious"

    shown = terminal(app, "up", "-d")
    shown.expect("Recreate (data will be lost)? [yN] ")
    shown.write("y\n")
    assert shown.wait() == 0
    app.sh("db", "test ! -e /data/file")
    after = {row["Service"]: row["ID"] for row in app.rows()}
    assert after["web"] == before["web"] and after["db"] != before["db"]
    assert "is kept" not in app.up().stderr

    app.sh("db", "echo again > /data/file")
    app.edit('a: "2"', 'a: "3"')
    app.run("create", "--yes")
    app.up("--yes")
    app.sh("db", "test ! -e /data/file")


def test_an_attached_up_asks_before_it_shows_anything(project: MakeProject, terminal: Callable[..., Terminal]) -> None:
    app = project(CHANGING)
    app.up()
    app.sh("db", "echo precious > /data/file")
    app.edit('a: "1"', 'a: "2"')
    shown = terminal(app, "up")
    shown.expect("Recreate (data will be lost)? [yN] ")
    assert "Attaching" not in shown.seen
    shown.write("y\n")
    shown.expect("Attaching to")
    app.sh("db", "test ! -e /data/file")
    shown.write("\x03")
    assert shown.wait() in (0, 130)
