"""Images from a registry, for real: pulled by up, moved tags, policies, kills, logins, pushes, and nobody there."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from runtime.images.tar import DIRECTORY
from tests.e2e.conftest import MakeProject
from tests.runtime.images.conftest import make_tar, member
from tests.runtime.images.registry.fake import Handler, Registry
from tests.support import world
from tests.support.cli import PYCOMPOSE, Machine, execute, kill
from tests.support.flags import covers

KILLS = int(os.environ.get("PYCOMPOSE_TEST_KILLS", "6"))  # 100 for the whole truth


def app(server: Registry, base: bytes, text: str, tag: str = "1") -> str:
    """An image that serves forever and has a file with that text."""
    server.add_image(base, make_tar(member("etc/text", data=text.encode())), tag=tag, config={"Cmd": ["sleep", "1d"]})
    return f"{server.host}/x/app:{tag}"


def test_up_pulls_what_is_missing_and_says_why(project: MakeProject, server: Registry, base: bytes) -> None:
    one = project(f"services: {{web: {{image: '{app(server, base, 'one')}'}}}}")
    plan = one.steps()
    assert (plan[0]["kind"], plan[0]["verb"], plan[0]["reason"]) == ("image", "pull", "not in the store")
    assert next(step for step in plan if step["verb"] == "create" and step["kind"] == "container")["after"]
    told = one.up().stderr
    assert f"Image {server.host}/x/app:1  Pulled" in told
    assert one.sh("web", "cat /etc/text") == "one"
    server.seen.clear()
    one.up()
    assert not server.seen  # policy missing asks nobody


def test_a_moved_tag_recreates(project: MakeProject, server: Registry, base: bytes) -> None:
    one = project(f"services: {{web: {{image: '{app(server, base, 'one')}'}}}}")
    one.up()
    before = one.ident("web")
    one.up("--pull", "always")
    assert one.ident("web") == before
    app(server, base, "two")
    one.run("pull")
    assert "image changed" in one.run("plan").stdout
    one.up()
    assert one.ident("web") != before
    assert one.sh("web", "cat /etc/text") == "two"


def test_policies(project: MakeProject, server: Registry, base: bytes) -> None:
    image = app(server, base, "one")
    one = project(f"services: {{web: {{image: '{image}', pull_policy: never}}}}")
    refused = one.up(code=1)
    assert f"cannot find image '{image}'" in refused.stderr
    assert not server.seen
    one.edit("never", "every_1h")
    one.up()
    server.seen.clear()
    one.up()
    assert not server.seen
    refs = Path(one.machine.state, "images", "refs")
    path = next(path for path in refs.iterdir() if path.name == f"{image.replace('/', '%')}.json")
    os.utime(path, (time.time() - 7300,) * 2)
    assert "pull_policy: every_1h, and it is 2 hours old" in one.run("plan").stdout
    one.up()
    assert server.seen
    one.edit("every_1h", "always")
    server.before = lambda handler: handler.fail(500, "X", "gone fishing") is None
    failed = one.up(code=1, timeout=120)
    assert f"cannot pull {image}" in failed.stderr
    assert "gone fishing" in failed.stderr


@covers(
    "pull --ignore-buildable", "pull --ignore-pull-failures", "pull --include-deps", "pull --policy", "pull --quiet"
)
def test_pull_and_its_flags(project: MakeProject, server: Registry, base: bytes) -> None:
    image = app(server, base, "one")
    text = (
        f"services: {{web: {{image: '{image}', depends_on: [db]}}, db: {{image: '{server.host}/x/db:1'}},"
        f" mine: {{image: '{server.host}/x/mine:1', build: {{context: ., dockerfile_inline: 'FROM {image}'}}}}}}"
    )
    one = project(text)
    missing = ("/v2/x/db/", "/v2/x/mine/")
    server.before = lambda handler: handler.path.startswith(missing) and handler.fail(404) is None
    assert "cannot pull" in one.run("pull", code=1).stderr
    one.run("pull", "web")
    assert "x/db:1" in one.run("pull", "--include-deps", "web", code=1).stderr
    partly = one.run("pull", "--ignore-pull-failures", "--ignore-buildable").stderr
    assert "x/db:1  Failed" in partly
    assert "x/db:1  Pulled" not in partly
    server.seen.clear()
    one.run("pull", "--policy", "missing", "-q", "web")
    assert not server.seen
    quiet = [line.strip() for line in one.run("pull", "-q", "web").stderr.splitlines()]
    assert len(quiet) == 1
    assert quiet[0].startswith(f"Image {image}  ")


@pytest.mark.parametrize("verb", ["up", "create", "run"])
def test_quiet_pulls_and_builds(project: MakeProject, server: Registry, base: bytes, verb: str) -> None:
    """As docker compose: that an image was pulled is said, its layers are not."""
    image = app(server, base, "one")
    more = {"up": ("--no-start",), "create": (), "run": ("--rm", "-T", "web", "true")}[verb]
    one = project(f"services: {{web: {{image: '{image}'}}}}")
    told = one.run(verb, "--quiet-pull", *more).stderr
    assert [line.split()[2] for line in told.splitlines() if image in line] == ["Pulled"]
    one.run("down", "--rmi", "all")
    assert one.run(verb, *more).stderr.count(image) > 2


def test_a_quiet_build_says_nothing(project: MakeProject, server: Registry, base: bytes) -> None:
    image = app(server, base, "one")
    text = f"services: {{web: {{build: {{context: ., dockerfile_inline: 'FROM {image}'}}}}}}"
    one = project(text)
    done = one.run("build", "-q")
    assert (done.stdout, done.stderr) == ("", "")
    told = one.run("up", "--no-start", "--build", "--quiet-build").stderr
    assert "FROM" not in told
    assert "Image" in told


def test_build_before_pull_and_push(project: MakeProject, server: Registry, base: bytes) -> None:
    image = app(server, base, "base")
    one = project(
        f"services:\n  web:\n    image: '{server.host}/x/y:9'\n    command: sleep 1d\n    build:\n      context: .\n"
        f"      dockerfile_inline: |\n        FROM {image}\n        RUN echo built > /etc/text\n"
    )
    one.up()
    assert one.sh("web", "cat /etc/text") == "built"
    one.run("push")
    assert "9" in server.manifests
    machine = one.machine
    assert machine.call("image", "pull", "-q", f"{server.host}/x/y:9").stdout == f"{server.host}/x/y:9\n"


@covers("build --pull")
def test_a_build_pulls_its_bases(project: MakeProject, server: Registry, base: bytes) -> None:
    """Missing ones, with what is told meanwhile; with ``pull`` moved ones; never those of services."""
    image = app(server, base, "one")
    one = project(
        f"services:\n  web:\n    command: sleep 1d\n    build:\n      dockerfile_inline: |\n"
        f"        FROM {image}\n        COPY --from=own /own /own\n        COPY --from={server.host}/x/app:2 /etc/text /two\n"
        "      additional_contexts: {own: 'service:own'}\n"
        f"  own:\n    image: '{server.host}/x/own:1'\n    command: sleep 1d\n    build:\n"
        f"      dockerfile_inline: |\n        FROM {image}\n        RUN --network=none echo own > /own\n"
    )
    app(server, base, "second", tag="2")
    told = one.run("build", "web").stderr
    assert f"[web internal] pulling {image}" in told or f"[own internal] pulling {image}" in told
    assert "Pull complete" in told
    server.seen.clear()
    assert "pulling" not in one.run("build", "web").stderr
    assert not server.seen
    app(server, base, "moved")
    again = one.run("build", "--pull", "web")
    assert f"pulling {image}" in again.stderr
    assert "x/own" not in " ".join(path for _method, path, _headers in server.seen)
    one.up()
    assert one.sh("web", "cat /etc/text /own /two").split() == ["movedown", "second"]
    one.edit(image, f"{server.host}/x/gone:1")
    server.before = lambda handler: "/x/gone/" in handler.path and handler.fail(404) is None
    assert f"cannot pull {server.host}/x/gone:1" in one.run("build", "web", code=1).stderr
    one.down("-v")


def test_a_registry_that_nobody_serves(project: MakeProject) -> None:
    one = project("services: {web: {image: '127.0.0.1:9/some/thing:1'}}")
    failed = one.up(code=1)
    assert "cannot pull 127.0.0.1:9/some/thing:1: cannot connect to 127.0.0.1:9: connection refused" in failed.stderr
    assert "pycompose load" in failed.stderr
    assert one.rows() == []


def test_login(other_machine: Machine, server: Registry, base: bytes, tmp_path: Path) -> None:
    image = app(server, base, "one")
    server.users = {"me": "secret"}
    env = other_machine.environ({"DOCKER_CONFIG": str(tmp_path)})

    def call(*words: str, stdin: str = "") -> int:
        return execute([PYCOMPOSE, *words], cwd="/", env=env, stdin=stdin or None).code

    assert call("image", "pull", image) == 1
    assert call("login", server.host, "-u", "me", "--password-stdin", stdin="wrong\n") == 1
    assert call("login", server.host, "-u", "me", "--password-stdin", stdin="secret\n") == 0
    assert call("image", "pull", image) == 0
    assert call("logout", server.host) == 0
    app(server, base, "two")
    assert call("image", "pull", image) == 1


def test_a_pull_killed_anywhere_converges(other_machine: Machine, server: Registry, base: bytes) -> None:
    """kill -9 at random moments; every run after that goes on, and in the end the store is whole and clean."""
    data = [make_tar(member(f"file{n}", data=random.Random(n).randbytes(400_000))) for n in range(5)]
    server.add_image(base, *data)
    image = f"{server.host}/x/app:1"

    def slow(handler: Handler) -> bool:
        if "/blobs/" in handler.path:
            time.sleep(0.02)
        return False

    server.before = slow
    dice = random.Random(7)
    for _round in range(KILLS):
        pid = os.spawnve(os.P_NOWAIT, PYCOMPOSE, [PYCOMPOSE, "image", "pull", "-q", image], other_machine.environ())
        time.sleep(0.08 + dice.random() * 0.35)
        kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert other_machine.call("image", "pull", "-q", image).code == 0
    assert other_machine.call("image", "verify").code == 0
    images = f"{other_machine.state}/images"
    assert os.listdir(f"{images}/staging") == []
    assert os.listdir(f"{images}/claims") == []
    assert not world.processes_of(other_machine.run)


def test_two_commands_share_one_download(other_machine: Machine, server: Registry, base: bytes) -> None:
    server.add_image(base, make_tar(member("file", data=os.urandom(2 << 20))))
    image = f"{server.host}/x/app:1"

    def slow(handler: Handler) -> bool:
        if "/blobs/" in handler.path:
            time.sleep(0.2)
        return False

    server.before = slow
    words = [PYCOMPOSE, "image", "pull", "-q", image]
    pids = [os.spawnve(os.P_NOWAIT, PYCOMPOSE, words, other_machine.environ()) for _each in range(2)]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0, 0]
    layers = [
        path for path in server.paths("GET", "/blobs/") if server.blobs[path.rpartition("/")[2]][:2] == b"\x1f\x8b"
    ]
    assert len(layers) == 1  # the other one is in the store


def test_the_store_s_commands(other_machine: Machine, server: Registry, base: bytes, tmp_path: Path) -> None:
    image = app(server, base, "one")
    call = other_machine.call
    assert call("image", "pull", image).code == 0
    assert call("image", "verify").stdout == "2 images are as they were\n"
    assert call("save", "-o", f"{tmp_path}/out.tar", image).code == 0
    assert call("image", "history", image).stdout.startswith("IMAGE")
    assert call("image", "prune").code == 1  # nobody to ask
    shown = call("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}").lines
    assert shown == ["Images 2 0", "Containers 0 0", "Local Volumes 0 0", "Build Cache 0 0"]
    form = ("--format", "{{.Repository}}:{{.Tag}}")
    name, ident = image.removesuffix(":1"), call("image", "inspect", "-f", "{{.Id}}", image).stdout.strip()
    assert [call("image", "ls", one, *form).lines for one in (image, name, "nobody/*")] == [[image], [image], []]
    assert call("image", "ls", "-a", "--no-trunc", "-q", image).lines == [ident]
    pruned = call("image", "prune", "-af")
    assert f"untagged: {image}" in pruned.lines
    assert pruned.stdout.startswith("Deleted Images:\n")
    assert call("image", "ls", "-q").stdout == ""
    assert call("load", "-i", f"{tmp_path}/out.tar").stdout == f"Loaded image: {image}\n"
    assert call("image", "verify", image).code == 0
    assert call("builder", "prune", "-f").stdout.startswith("Removed 0 results")


def test_filters_of_the_store(other_machine: Machine, server: Registry, base: bytes, tmp_path: Path) -> None:
    """As docker's ``image ls --filter``, ``--format``, ``--digests`` and ``image prune --filter``."""
    call = other_machine.call
    labels = {"a:1": "n=1", "x/a:2": "n=2", "x/b:1": "m="}
    for name, label in labels.items():  # created a second apart: before= and since= compare whole times
        (tmp_path / "x.tar").write_bytes(make_tar(member("f", data=name.encode())))
        assert call("import", "-c", f"LABEL {label}", f"{tmp_path}/x.tar", name).code == 0
        time.sleep(1.1)
    assert call("image", "pull", app(server, base, "one")).code == 0
    (tmp_path / "x.tar").write_bytes(make_tar(member("f", data=b"another")))
    assert call("import", "-c", "LABEL n=3", f"{tmp_path}/x.tar", "a:1").code == 0  # the older one has no name now

    def shown(*filters: str) -> list[str]:
        words = [word for text in filters for word in ("--filter", text)]
        lines = call("image", "ls", *words, "--format", "{{.Repository}}:{{.Tag}}").lines
        return [line for line in lines if not line.startswith(("host", "busybox", "pycompose"))]

    assert shown("reference=x/*") == ["x/b:1", "x/a:2"]
    assert shown("reference=*") == ["a:1"]
    assert shown("reference=a", "reference=x/a:?") == ["a:1", "x/a:2"]
    assert shown("label=n") == ["a:1", "x/a:2", "<none>:<none>"]
    assert shown("label=n=2", "label=n") == ["x/a:2"]
    assert shown("label=n=1", "label=n=2") == []
    assert shown("dangling=true") == ["<none>:<none>"]
    assert shown("before=x/b:1", "label=n") == ["x/a:2", "<none>:<none>"]
    assert shown("since=x/a:2", "reference=x/*") == ["x/b:1"]
    assert shown("until=1h", "label=n") == []
    for bad in ("foo=1", "dangling=x", "label", "label!=n", "until=x"):
        failed = call("image", "ls", "--filter", bad)
        assert failed.code == 1, bad
        assert failed.stderr.startswith("cannot "), failed.stderr
    row = json.loads(call("image", "ls", "--format", "json", "x/a").stdout)
    assert (row["Repository"], row["Tag"], row["Digest"], row["Containers"], row["Size"]) == (
        *("x/a", "2", "<none>", "0", "5B"),
    )
    assert row["ID"] == call("image", "ls", "-q", "x/a").stdout.strip()
    digests = call("image", "ls", "--digests").lines
    assert digests[0].split() == ["REPOSITORY", "TAG", "DIGEST", "IMAGE", "ID", "CREATED", "SIZE"]
    assert any(line.startswith(f"{server.host}/x/app") and " sha256:" in line for line in digests)
    assert call("image", "prune", "-f", "--filter", "label!=n").lines == ["Total reclaimed space: 0B"]
    assert "deleted: sha256:" in call("image", "prune", "-f", "--filter", "label=n=1").stdout
    assert call("image", "prune", "-af", "--filter", "label=m").lines[1] == "untagged: x/b:1"
    assert shown("label=n") == ["a:1", "x/a:2"]


def test_volumes_of_images(project: MakeProject, server: Registry, base: bytes) -> None:
    """``type: image``: a whole image, and a path in one, pulled and mounted read-only."""
    data = make_tar(member("data", DIRECTORY), member("data/a", data=b"first"), member("data/b", data=b"below"))
    more = make_tar(member("data", DIRECTORY), member("data/a", data=b"second"), member("data/.wh.b"))
    server.add_image(data, more, tag="data")
    image = f"{server.host}/x/data:data"
    one = project(
        f"""
services:
  web:
    image: IMAGE
    command: sleep 1d
    volumes:
      - {{type: image, source: '{image}', target: /whole}}
      - {{type: image, source: '{image}', target: /part, image: {{subpath: data}}}}
"""
    )
    one.up()
    assert one.sh("web", "cat /whole/data/a /part/a; ls /part /whole/data").split() == [
        *("secondsecond/part:", "a", "/whole/data:", "a")
    ]
    assert "Read-only file system" in one.run("exec", "-T", "web", "touch", "/part/x", code=1).stderr
    assert "uses it" in one.machine.call("rmi", image).stderr
    one.down()
    assert one.machine.call("rmi", image).code == 0


def test_more_layers_than_docker_takes(project: MakeProject, server: Registry, base: bytes) -> None:
    tars = [make_tar(member(f"file{number}", data=str(number).encode())) for number in range(180)]
    server.add_image(base, *tars, tag="many", config={"Cmd": ["sleep", "1d"]})
    one = project(f"services: {{web: {{image: '{server.host}/x/app:many'}}}}")
    one.up()
    assert one.sh("web", "cat /file0 /file90 /file179; ls / | grep -c file") == "090179180"


def test_ctrl_c_leaves_a_pull_at_once(project: MakeProject, server: Registry, base: bytes) -> None:
    one = project(f"services: {{web: {{image: '{app(server, base, 'one')}'}}}}")
    stuck = threading.Event()

    def stall(handler: Handler) -> bool:
        if "/blobs/" in handler.path:
            stuck.set()
            time.sleep(8)
        return False

    server.before = stall
    child = one.start("up", "-d")
    assert stuck.wait(10)
    child.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert child.wait(5) == 130
    assert time.monotonic() - began < 3
    server.before = lambda _handler: False
    one.up()
    assert os.listdir(f"{one.machine.state}/images/staging") == []
