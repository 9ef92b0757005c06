"""Each key of ``build:`` by its effect on an image. Those of test_build.py's test_all_keys are not repeated."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeProject
from tests.e2e.test_build import serve
from tests.runtime.images.registry.fake import Registry
from tests.support.cli import PYCOMPOSE, Machine, Project

pytestmark = pytest.mark.root

RANDOM = "RUN --network=none cat /proc/sys/kernel/random/uuid > /$NAME"


def service(dockerfile: str, *, platform: str = "", **keys: Any) -> str:
    """A project with one service ``web``; ``IMAGE`` in the Dockerfile is the base."""
    web = {"build": {"dockerfile_inline": dockerfile.replace("$", "$$"), **keys}}
    return _file({**web, "platform": platform} if platform else web)


def _file(web: dict[str, Any], **more: Any) -> str:
    services = {"web": {"image": "keys:1", "command": ["sleep", "1000"], "stop_signal": "SIGKILL", **web}, **more}
    return json.dumps({"services": services})


def content(app: Project, *paths: str) -> list[str]:
    """Files of the image that was built, by a container of it."""
    return app.run("run", "--rm", "--no-deps", "web", "cat", *paths).lines


def test_no_cache(project: MakeProject) -> None:
    app = project(service(f"FROM IMAGE\n{RANDOM.replace('$NAME', 'a')}\n", no_cache=True))
    app.run("build")
    before = content(app, "/a")
    assert "CACHED" not in app.run("build").stderr
    assert content(app, "/a") != before


def test_no_cache_filter(project: MakeProject) -> None:
    text = f"FROM IMAGE AS one\n{RANDOM.replace('$NAME', 'a')}\nFROM IMAGE AS two\n{RANDOM.replace('$NAME', 'b')}\n"
    app = project(service(f"{text}FROM IMAGE\nCOPY --from=one /a /\nCOPY --from=two /b /\n", no_cache_filter=["two"]))
    app.run("build")
    before = content(app, "/a", "/b")
    app.run("build")
    after = content(app, "/a", "/b")
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)


def test_pull(project: MakeProject, server: Registry, archive: str) -> None:
    base = Path(archive).read_bytes()
    server.add_image(base, tag="1", config={"Env": ["PATH=/bin", "WHICH=one"]})
    app = project(service(f"FROM {server.host}/x/app:1\nRUN --network=none echo $WHICH > /which\n"))
    app.run("build")
    server.add_image(base, tag="1", config={"Env": ["PATH=/bin", "WHICH=two"]})
    app.run("build")
    assert content(app, "/which") == ["one"]
    app.edit('"build": {', '"build": {"pull": true, ')
    app.run("build")
    assert content(app, "/which") == ["two"]


def test_cache_from_and_cache_to(project: MakeProject, server: Registry, tmp_path: Path) -> None:
    for word in (f"type=local,PLACE={tmp_path}/kept", f"type=registry,ref={server.host}/x/kept:1"):
        source, target = word.replace("PLACE", "src"), word.replace("PLACE", "dest")
        app = project(service(f"FROM IMAGE\n{RANDOM.replace('$NAME', 'a')}\n", cache_from=[source], cache_to=[target]))
        app.run("build")
        before = content(app, "/a")
        app.run("rmi", "-f", "keys:1")
        app.run("builder", "prune", "--force")
        assert "CACHED" in app.run("build").stderr
        assert content(app, "/a") == before
        app.run("rmi", "-f", "keys:1")
        app.run("builder", "prune", "--force")


def test_network_of_the_host_and_of_the_project(project: MakeProject) -> None:
    app = project(service("FROM IMAGE\nRUN readlink /proc/self/ns/net > /net\n", network="host"))
    app.run("build")
    assert content(app, "/net") == [os.readlink(f"/proc/{os.getpid()}/ns/net")]
    text = "FROM IMAGE\nRUN ip -o -4 addr show eth0 | tr -s ' ' | cut -d' ' -f4 > /net\n"
    web = {"build": {"dockerfile_inline": text, "network": "back"}}
    other = {"image": "busybox:test", "command": ["sleep", "1000"], "stop_signal": "SIGKILL", "networks": ["back"]}
    plain = json.loads(_file(web, db=other))
    app.write(json.dumps({**plain, "networks": {"back": {"ipam": {"config": [{"subnet": "10.231.7.0/24"}]}}}}))
    app.up("db")
    app.run("build", "web")
    assert content(app, "/net")[0].startswith("10.231.7.")
    app.down("-v")


def test_privileged_and_entitlements(project: MakeProject) -> None:
    text = "FROM IMAGE\nRUN --network=none --security=insecure grep CapEff /proc/self/status | cut -f2 > /caps\n"
    app = project(service(text))
    assert "security.insecure" in app.run("build", code=1).stderr
    app.write(service("FROM IMAGE\nRUN --network=none grep CapEff /proc/self/status | cut -f2 > /caps\n"))
    app.run("build")
    normal = int(content(app, "/caps")[0], 16)
    for keys in ({"privileged": True}, {"entitlements": ["security.insecure"]}):
        app.write(service(text, no_cache=True, **keys))
        app.run("build")
        assert int(content(app, "/caps")[0], 16) & ~normal


def test_ssh(project: MakeProject, tmp_path: Path) -> None:
    path = str(tmp_path / "agent.sock")
    text = "FROM IMAGE\nRUN --network=none --mount=type=ssh,id=ID test -S $SSH_AUTH_SOCK && echo yes > /ID\n"
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(path)
        agent.listen()
        app = project(service(text.replace("ID", "mine"), ssh=[f"mine={path}"]))
        app.run("build")
        assert content(app, "/mine") == ["yes"]
        app.write(service(text.replace("ID", "default"), ssh=["default"]))
        app.run("build", env={"SSH_AUTH_SOCK": path})
        assert content(app, "/default") == ["yes"]
    assert "SSH_AUTH_SOCK" in app.run("build", "--no-cache", code=1, env={"SSH_AUTH_SOCK": ""}).stderr


def test_platforms(project: MakeProject) -> None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    text = "FROM IMAGE\nARG TARGETPLATFORM\nRUN --network=none echo $TARGETPLATFORM > /p\n"
    app = project(service(text, platforms=[f"linux/{machine}"]))
    app.run("build")
    assert content(app, "/p") == [f"linux/{machine}"]
    app.write(service(text, platforms=["linux/riscv64"]))
    assert "linux/riscv64" in app.run("build", code=1).stderr
    app.write(service(text, platforms=[f"linux/{machine}", "linux/riscv64"]))
    assert "one platform at a time" in app.run("build", code=1).stderr
    app.write(service(text, platform="linux/s390x", platforms=[f"linux/{machine}"]))
    assert "linux/s390x" in app.run("build", code=1).stderr


def test_what_has_no_effect_is_taken(project: MakeProject) -> None:
    app = project(service("FROM IMAGE\nRUN --network=none echo yes > /a\n"))
    app.run("build", "--quiet")
    for keys in ({"isolation": "default"}, {"provenance": "mode=max"}, {"provenance": False}, {"sbom": True}):
        app.write(service("FROM IMAGE\nRUN --network=none echo yes > /a\n", **keys))
        assert "CACHED" in app.run("build").stderr, keys


def test_arguments_without_value(project: MakeProject) -> None:
    text = "FROM IMAGE\nARG A=default\nARG B=default\nARG C=default\nRUN --network=none echo $A/$B/$C > /a\n"
    app = project(service(text, args=["A", "B", "C="]))
    app.run("build", env={"A": "env"})
    assert content(app, "/a") == ["env/default/"]


def test_contexts_from_elsewhere(project: MakeProject, tmp_path: Path) -> None:
    """The context is an archive, then a repository; additional ones an image, a layout, an archive and a directory."""
    served = tmp_path / "served"
    (served / "tree/sub").mkdir(parents=True)
    (served / "tree/f").write_text("archive\n")
    (served / "tree/Dockerfile").write_text("FROM busybox:test\nCOPY f /f\n")
    (served / "tree/sub/Dockerfile").write_text("FROM busybox:test\nCOPY g /f\n")
    (served / "tree/sub/g").write_text("repository\n")
    subprocess.run(["tar", "-czf", served / "c.tar.gz", "-C", served / "tree", "."], check=True)
    git = ["git", "-C", str(served / "tree"), "-c", "user.name=x", "-c", "user.email=x"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "x"], ["update-server-info"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run([*git, "clone", "-q", "--bare", str(served / "tree"), str(served / "r.git")], check=True)
    subprocess.run(["git", "-C", str(served / "r.git"), "update-server-info"], check=True)
    http = serve(served)
    url = f"http://127.0.0.1:{http.server_port}"
    try:
        app = project(_file({"build": f"{url}/c.tar.gz"}))
        app.run("build")
        assert content(app, "/f") == ["archive"]
        app.write(_file({"build": {"context": f"{url}/r.git#main:sub"}}))
        app.run("build")
        assert content(app, "/f") == ["repository"]
        app.run("image", "save", "-o", str(tmp_path / "layout.tar"), "keys:1")
        (tmp_path / "layout").mkdir()
        subprocess.run(["tar", "-xf", tmp_path / "layout.tar", "-C", tmp_path / "layout"], check=True)
        contexts = {
            "image": "docker-image://keys:1",
            "layout": f"oci-layout://{tmp_path}/layout",
            "far": f"{url}/c.tar.gz",
            "near": str(served / "tree/sub"),
        }
        text = "FROM layout\nCOPY --from=image /f /i\nCOPY --from=layout /f /l\nCOPY --from=far f /a\nCOPY --from=near g /n\n"
        app.write(_file({"image": "keys:2", "build": {"dockerfile_inline": text, "additional_contexts": contexts}}))
        app.run("build")
        assert content(app, "/i", "/l", "/a", "/n") == ["repository", "repository", "archive", "repository"]
    finally:
        http.shutdown()


def test_a_context_on_stdin(machine: Machine, tmp_path: Path) -> None:
    """An archive, compressed or not, with a Dockerfile of any name; or the Dockerfile alone."""
    (tmp_path / "f").write_text("from stdin\n")
    (tmp_path / "Other").write_text("FROM busybox:test\nCOPY f /f\nRUN --network=none grep stdin /f\n")
    for flag in ("-c", "-cz"):
        archive = subprocess.run(["tar", flag, "-C", tmp_path, "."], check=True, capture_output=True).stdout
        argv = [PYCOMPOSE, "image", "build", "-f", "Other", "-"]
        built = subprocess.run(argv, input=archive, env=machine.environ(), capture_output=True, check=False)
        assert built.returncode == 0, built
    alone = b"FROM busybox:test\nRUN --network=none true\n"
    argv = [PYCOMPOSE, "image", "build", "-"]
    assert subprocess.run(argv, input=alone, env=machine.environ(), capture_output=True, check=False).returncode == 0


def test_image_and_build_is_built_and_never_pulled(project: MakeProject, server: Registry) -> None:
    web = {"image": f"{server.host}/x/mine:1", "build": {"dockerfile_inline": "FROM IMAGE\nRUN echo built > /a\n"}}
    app = project(_file(web))
    app.up()
    assert app.sh("web", "cat /a") == "built"
    assert not server.seen
    app.edit("echo built", "echo again")
    app.edit('"build"', '"pull_policy": "build", "build"')
    app.up()
    assert app.sh("web", "cat /a") == "again"
    app.down("-v")


def test_host_gateway_is_this_machine(project: MakeProject, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("from the host\n")
    server = serve(tmp_path, "0.0.0.0")
    try:
        text = f"FROM IMAGE\nRUN wget -q -O /page http://here:{server.server_port}/page\n"
        app = project(service(text, extra_hosts=["here:host-gateway"]))
        app.run("build")
        assert content(app, "/page") == ["from the host"]
    finally:
        server.shutdown()
        server.server_close()
