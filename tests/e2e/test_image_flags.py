"""The flags of build, pull, push and watch that the tests of images and builds do not carry out on their way."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.runtime.images.registry.fake import Handler, Registry
from tests.support.cli import Project, eventually
from tests.support.flags import covers
from tests.support.watching import Watch, replace_file

pytestmark = pytest.mark.root


def built(project: MakeProject, dockerfile: str, **service: object) -> Project:
    """A project with a service ``web`` that is built from this."""
    build = {"context": ".", "dockerfile_inline": dockerfile}
    return project(json.dumps({"services": {"web": {"build": build, "command": "sleep 1d", **service}}}))


@covers("build --push")
def test_a_build_is_pushed(project: MakeProject, server: Registry) -> None:
    one = built(project, "FROM IMAGE\nRUN --network=none echo built > /b\n", image=f"{server.host}/x/pushed:7")
    one.run("build")
    assert "7" not in server.manifests
    one.run("build", "--push")
    assert "7" in server.manifests


@covers("build --memory", "build --ssh")
def test_run_is_given_limits_and_agents(project: MakeProject, tmp_path: Path) -> None:
    hungry = built(project, "FROM IMAGE\nRUN --network=none x=$(head -c 64000000 /dev/zero | tr '\\0' x)\n")
    assert "out of memory" in hungry.run("build", "--memory", "16m", code=1).stderr
    asked = built(project, "FROM IMAGE\nRUN --network=none --mount=type=ssh test -S $SSH_AUTH_SOCK\n")
    assert "/no/such" in asked.run("build", "--ssh", "default=/no/such", code=1).stderr


@covers("build --provenance", "build --sbom", "build --compress", "build --force-rm", "build --no-rm")
@covers("build --parallel", "build --progress")
def test_what_has_no_effect_on_the_result_is_taken(project: MakeProject) -> None:
    """As in docker compose: attestations are the registry's business, the rest is of builders that are gone."""
    one = built(project, "FROM IMAGE\nRUN --network=none echo built > /b\n")
    one.run("build")
    image = one.run("image", "ls", "-q", f"{one.name}-web").stdout
    flags = (
        "--provenance=true",
        "--sbom=true",
        "--compress",
        "--force-rm",
        "--no-rm",
        "--parallel=1",
        "--progress=plain",
    )
    for flag in flags:
        assert "CACHED" in one.run("build", flag).stderr, flag
    assert one.run("image", "ls", "-q", f"{one.name}-web").stdout == image


@covers("pull --no-parallel", "pull --parallel")
@pytest.mark.parametrize("flags", [(), ("--no-parallel",)])
def test_pulls_side_by_side_or_in_turn(
    project: MakeProject, server: Registry, base: bytes, flags: tuple[str, ...]
) -> None:
    server.add_image(base, tag="1")
    guard, waiting, most = threading.Lock(), [0], [0]

    def slow(handler: Handler) -> bool:
        """Whether the request is answered here: never, but each manifest takes a while."""
        if "/manifests/" in handler.path:
            with guard:
                waiting[0] += 1
                most[0] = max(most[0], waiting[0])
            time.sleep(0.2)
            with guard:
                waiting[0] -= 1
        return False

    server.before = slow
    names = {name: {"image": f"{server.host}/x/{name}:1"} for name in ("a", "b", "c")}
    one = project(json.dumps({"services": names}))
    one.run("pull", *flags)
    assert most[0] == 1 if flags else most[0] > 1
    one.run("pull", "--parallel")  # of old: it is so anyhow


@covers("push --include-deps", "push --ignore-push-failures", "push --quiet")
def test_push_and_its_flags(project: MakeProject, server: Registry) -> None:
    text = "FROM IMAGE\nRUN --network=none echo built > /b\n"
    services = {
        name: {"image": f"{server.host}/x/{name}:{name}", "build": {"context": ".", "dockerfile_inline": text}}
        for name in ("web", "db")
    }
    services["web"]["depends_on"] = ["db"]
    one = project(json.dumps({"services": services}))
    one.run("build")
    one.run("push", "web")
    assert "web" in server.manifests and "db" not in server.manifests
    assert one.run("push", "--quiet", "--include-deps", "web").stderr == ""
    assert "db" in server.manifests
    server.before = lambda handler: "/x/db/" in handler.path and handler.fail(403) is None
    assert "x/db" in one.run("push", code=1).stderr
    assert "x/db" in one.run("push", "--ignore-push-failures").stderr


WATCHED = """
services:
  web:
    build: .
    command: sleep 1d
    stop_grace_period: 0s
    develop: {watch: [{action: rebuild, path: ./src}]}
"""


@covers("watch --no-up", "watch --prune", "watch --quiet")
@pytest.mark.parametrize("flags", [("--quiet",), ("--no-prune",)])
def test_watch_prunes_what_a_rebuild_replaced_and_is_quiet(project: MakeProject, flags: tuple[str, ...]) -> None:
    one = project(WATCHED)
    (one.dir / "src").mkdir()
    (one.dir / "src/a").write_text("one")
    (one.dir / "Dockerfile").write_text("FROM IMAGE\nCOPY src /src\n".replace("IMAGE", "busybox:test"))
    alone = Watch(one, "--no-up", *flags).ready()
    assert one.rows() == []
    assert alone.end() == 130
    one.up()
    before = one.run("image", "ls", "-q", f"{one.name}-web").stdout.strip()
    watch = Watch(one, "--prune" if flags == ("--quiet",) else flags[0], *flags).ready()
    replace_file(one.dir / "src/a", "two")
    watch.wait("rebuild", within=20)
    watch.quiet()
    eventually(lambda: one.run("image", "ls", "-q", f"{one.name}-web").stdout.strip() != before, 5)
    kept = before in one.run("image", "ls", "-aq").stdout
    assert kept == ("--no-prune" in flags)
    assert watch.end() == 130
