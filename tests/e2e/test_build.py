"""``build``, ``up --build`` and ``image build`` by the real command."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Machine, Project, Terminal, eventually
from tests.support.flags import covers

pytestmark = pytest.mark.root

SLEEP = 'command: ["sleep", "1000"]\n    stop_signal: SIGKILL'


def tree(app: Project, **files: str) -> None:
    for name, text in files.items():
        app.write(text, name.replace("__", "/"))


def test_up_builds_what_is_missing_and_build_rebuilds(project: MakeProject) -> None:
    app = project(f"services:\n  web:\n    build: web\n    {SLEEP}\n")
    tree(app, web__Dockerfile="FROM IMAGE\nCOPY f /f\nRUN cat /f > /g\n", web__f="one\n")
    app.up()
    assert app.sh("web", "cat /g") == "one"
    ident = app.names()
    (app.dir / "web/f").write_text("two\n")
    app.up()
    assert app.sh("web", "cat /g") == "one"  # as docker compose: only --build looks at the files
    app.up("--build")
    assert app.sh("web", "cat /g") == "two"
    assert app.names() == ident
    again = app.run("build")
    assert again.stderr.count("CACHED") == 2
    app.down("-v")


def test_all_keys(project: MakeProject) -> None:
    app = project(
        f"""
services:
  web:
    image: named:7
    build:
      context: ctx
      dockerfile: other/My.Dockerfile
      args: {{A: "1", FROM_ENV: }}
      target: mid
      labels: {{l: "9"}}
      tags: [extra:1]
      shm_size: 3m
      extra_hosts: ["extra=10.9.8.7"]
      ulimits: {{nofile: {{soft: 100, hard: 200}}}}
      network: none
      secrets: [tok, {{source: tok, target: other, mode: 0440}}]
      additional_contexts: {{more: ./more}}
    {SLEEP}
secrets:
  tok: {{file: ./tok.txt}}
"""
    )
    tree(
        app,
        ctx__other__My_Dockerfile="",
        ctx__f="f\n",
        more__m="m\n",
        tok_txt="",
    )
    (app.dir / "ctx/other/My_Dockerfile").rename(app.dir / "ctx/other/My.Dockerfile")
    (app.dir / "tok_txt").unlink()
    (app.dir / "tok.txt").write_text("s3cret")
    (app.dir / "ctx/other/My.Dockerfile").write_text(
        "FROM busybox:test AS mid\nARG A\nARG FROM_ENV\nCOPY f /f\nCOPY --from=more m /m\n"
        "RUN echo $A $FROM_ENV > /args; df -k /dev/shm | tail -1 > /shm; grep extra /etc/hosts > /hosts;"
        " ulimit -n > /n; ulimit -Hn >> /n; ls /sys/class/net > /net\n"
        "RUN --mount=type=secret,id=tok --mount=type=secret,id=other cat /run/secrets/tok /run/secrets/other > /sec;"
        " stat -c %a /run/secrets/other >> /sec\n"
        "FROM mid\nRUN exit 1\n"
    )
    app.run("build", env={"FROM_ENV": "env"})
    app.up(env={"FROM_ENV": "env"})
    assert app.sh("web", "cat /args") == "1 env"
    assert app.sh("web", "cat /f /m").split() == ["f", "m"]
    assert " 3072 " in app.sh("web", "cat /shm")
    assert app.sh("web", "cat /hosts").split() == ["10.9.8.7", "extra"]
    assert app.sh("web", "cat /n").split() == ["100", "200"]
    assert app.sh("web", "cat /net") == "lo"
    assert app.sh("web", "cat /sec") == "s3crets3cret440"
    shown = json.loads(app.run("image", "inspect", "extra:1").stdout)[0]
    assert shown["Config"]["Labels"] == {"l": "9"}
    assert json.loads(app.run("image", "inspect", "named:7").stdout)[0]["Id"] == shown["Id"]
    words = "{{.Id}} {{.Config.User}} {{.Config.Shell}} {{.Config.ExposedPorts}}"
    assert app.run("image", "inspect", "-f", words, "named:7").lines == [f"{shown['Id']}  [] map[]"]
    app.down("-v")


@covers("build --print", "build --quiet")
def test_services_as_contexts_inline_and_print(project: MakeProject) -> None:
    app = project(
        f"""
services:
  leaf:
    build:
      dockerfile_inline: |
        FROM base
        RUN cat /b > /leaf
      additional_contexts: {{base: "service:base"}}
    {SLEEP}
  base:
    build: {{dockerfile_inline: "FROM IMAGE\\nRUN echo base > /b\\n"}}
    {SLEEP}
  twin:
    build: {{dockerfile_inline: "FROM IMAGE\\nRUN echo base > /b\\n"}}
    {SLEEP}
"""
    )
    built = app.run("build", "leaf")
    assert built.stderr.index("base  Built") < built.stderr.index("leaf  Built")
    plan = json.loads(app.run("build", "--print").stdout)
    assert plan["group"]["default"]["targets"] == ["base", "leaf", "twin"]
    quiet = app.run("build", "-q")
    assert (quiet.stdout, quiet.stderr) == ("", "")
    shown = [app.run("image", "ls", "-q", f"{app.name}-{name}").stdout for name in ("base", "leaf", "twin")]
    assert shown[0] == shown[2] != shown[1]  # the same build, once
    app.edit("service:base", "service:leaf")
    assert "circle" in app.run("build", code=1).stderr


def test_builds_side_by_side_number_their_steps_together(project: MakeProject) -> None:
    app = project(f"services:\n  one:\n    build: .\n    {SLEEP}\n  two:\n    build: two\n    {SLEEP}\n")
    tree(app, Dockerfile="FROM IMAGE\nRUN sleep 0.2\nRUN true\n")
    tree(app, two__Dockerfile="FROM IMAGE\nRUN sleep 0.2; true\nRUN :\n")
    shown = app.run("up", "-d").stderr
    numbers = re.findall(r"^#(\d+) \[", shown, re.MULTILINE)
    assert sorted(numbers) == ["1", "2", "3", "4"], shown


def test_builds_side_by_side_agree_on_what_they_both_made(project: MakeProject) -> None:
    text = "FROM IMAGE AS low\nRUN sleep 0.3; head -c 8 /dev/urandom > /t\nFROM low\nLABEL who="
    app = project(f"services:\n  one:\n    build: .\n    {SLEEP}\n  two:\n    build: two\n    {SLEEP}\n")
    tree(app, Dockerfile=f"{text}one\n", two__Dockerfile=f"{text}two\n")
    app.up()
    assert app.sh("one", "md5sum /t") == app.sh("two", "md5sum /t")
    assert "2 unchanged" in app.run("up", "-d", "--build").stderr


def test_build_push_leaves_out_what_no_registry_has(project: MakeProject) -> None:
    app = project(f"services:\n  one:\n    build: .\n    {SLEEP}\n")
    tree(app, Dockerfile="FROM IMAGE\nRUN true\n")
    assert "Pushed" not in app.run("build", "--push").stderr


def test_a_failing_run_shows_its_output_and_its_line(project: MakeProject) -> None:
    app = project(f"services:\n  web:\n    build: .\n    {SLEEP}\n")
    tree(app, Dockerfile="FROM IMAGE\nRUN echo before && exit 7\n")
    failed = app.run("build", code=1)
    assert "#1 before" in failed.stderr
    assert "ended with code 7" in failed.stderr
    assert "cannot build web: Dockerfile:2: RUN echo before && exit 7" in failed.stderr
    tree(app, Dockerfile="FROM IMAGE\nCPY a b\n")
    wrong = app.run("build", code=1)
    assert "Dockerfile:2: unknown instruction 'CPY'" in wrong.stderr
    assert "did you mean COPY?" in wrong.stderr
    assert "cannot build web: Dockerfile:1: FROM nobody/none:1: cannot pull" in _refused(app, "FROM nobody/none:1\n")
    text = "FROM IMAGE\nRUN --mount=type=cach,target=/x true\n"
    assert "cannot build web: Dockerfile:2: RUN --mount=type=cach,target=/x true: cannot mount" in _refused(app, text)
    assert "linux/" in _refused(app, "FROM --platform=linux/riscv64 IMAGE\n")


def _refused(app: Project, text: str) -> str:
    tree(app, Dockerfile=text)
    return app.run("build", code=1).stderr


@covers("build --build-arg", "build --builder", "build --check", "build --no-cache", "build --with-dependencies")
def test_flags_of_build(project: MakeProject) -> None:
    app = project(
        f"services:\n  web:\n    build: .\n    depends_on: [db]\n    {SLEEP}\n  db:\n    build: .\n    {SLEEP}\n"
    )
    tree(app, Dockerfile="FROM IMAGE\nARG A=0\nRUN echo $A > /a\nMAINTAINER x\n")
    assert "db  Built" not in app.run("build", "web").stderr
    assert "db  Built" in app.run("build", "--with-dependencies", "web").stderr
    assert "CACHED" not in app.run("build", "--no-cache", "web").stderr
    assert "CACHED" not in app.run("build", "--build-arg", "A=1", "web").stderr
    assert "MAINTAINER is deprecated" in app.run("build", "--check", "web", code=1).stdout
    assert "--builder" in app.run("build", "--builder", "x", code=1).stderr
    assert "would be built" in app.run("--dry-run", "build").stderr


def test_limits_of_run_and_strict_checks(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox:test\nRUN --network=none x=$(head -c 64000000 /dev/zero | tr '\\0' x)\n"
    )
    killed = machine.call("image", "build", "--memory", "16m", str(tmp_path))
    assert killed.code == 1 and "out of memory" in killed.stderr, killed
    (tmp_path / "Dockerfile").write_text("# check=error=true\nFROM busybox:test\nMAINTAINER x\n")
    strict = machine.call("image", "build", str(tmp_path))
    assert strict.code == 1 and "Dockerfile:3: MAINTAINER is deprecated" in strict.stderr, strict


def test_one_failing_stage_ends_the_others(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox:test AS a\nRUN --network=none sleep 30\nFROM busybox:test AS b\nRUN --network=none sleep 0.2; exit 3\n"
        "FROM a\nCOPY --from=b / /b\n"
    )
    began = time.monotonic()
    failed = machine.call("image", "build", str(tmp_path))
    assert failed.code == 1 and "ended with code 3" in failed.stderr.splitlines()[-1], failed
    assert time.monotonic() - began < 10


def test_image_build(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM base\nARG A\nCOPY --from=more x /x\nRUN --mount=type=secret,id=s cat /run/secrets/s > /s; echo $A > /a\n"
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more/x").write_text("x\n")
    (tmp_path / "secret").write_text("hidden")
    flags = ["-t", "built:1", "-t", "built:2", "--build-arg", "A=5", "--label", "k=v", "--network", "none"]
    flags += ["--build-context", f"more={tmp_path}/more", "--build-context", "base=docker-image://busybox:test"]
    flags += ["--secret", f"id=s,src={tmp_path}/secret", "--iidfile", f"{tmp_path}/id"]
    built = machine.call("image", "build", *flags, str(tmp_path))
    assert built.code == 0, built
    shown = json.loads(machine.call("image", "inspect", "built:2").stdout)[0]
    assert shown["Id"] == built.stdout.strip() == (tmp_path / "id").read_text()
    assert shown["Config"]["Labels"] == {"k": "v"}
    piped = machine.call("image", "build", "-q", "-", stdin="FROM busybox:test\nENV A=1\n")
    assert piped.stdout.startswith("sha256:"), piped


def test_add_from_http_and_git(machine: Machine, tmp_path: Path) -> None:
    repository = tmp_path / "repo"
    repository.mkdir()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(repository)]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    (repository / "sub").mkdir()
    (repository / "sub/Dockerfile").write_text("FROM busybox:test\nCOPY f /f\n")
    (repository / "sub/f").write_text("from git\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    subprocess.run([*git, "update-server-info"], check=True)
    served = tmp_path / "served"
    served.mkdir()
    (repository / ".git").rename(served / "r.git")
    (served / "file.txt").write_text("from http\n")
    server = serve(served)
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        digest = "sha256:b16fe0b6d6bc0fbf06d2b3b7a0ff7b62ab2f1ab1a8d0ba6d4b8c0be0a3a9ba0a"
        context = tmp_path / "ctx"
        context.mkdir()
        (context / "Dockerfile").write_text(
            f"FROM busybox:test\nADD {url}/file.txt /d/\nADD --keep-git-dir=true {url}/r.git#main:sub /g/\n"
        )
        built = machine.call("image", "build", "-t", "net:1", str(context))
        assert built.code == 0, built
        (context / "Dockerfile").write_text(f"FROM busybox:test\nADD --checksum={digest} {url}/file.txt /d/\n")
        wrong = machine.call("image", "build", str(context))
        assert wrong.code == 1 and "its checksum is sha256:" in wrong.stderr, wrong
        whole = machine.call("image", "build", "-t", "net:2", f"{url}/r.git#main:sub")
        assert whole.code == 0, whole
    finally:
        server.shutdown()


def serve(directory: Path, address: str = "127.0.0.1") -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = directory / self.path.lstrip("/").partition("?")[0]
            if not path.is_file():
                self.send_error(404)
                return
            data = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_words: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer((address, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.parametrize(
    "text",
    [
        "FROM IMAGE\nRUN echo running && sleep 1000\n",
        "FROM IMAGE AS a\nRUN echo running && sleep 1000\nFROM IMAGE AS b\nRUN sleep 1000\nFROM a\nCOPY --from=b / /b\n",
    ],
)
def test_ctrl_c_ends_the_steps_and_leaves_nothing(project: MakeProject, text: str) -> None:
    app = project(f"services:\n  web:\n    build: .\n    {SLEEP}\n")
    tree(app, Dockerfile=text)
    before = app.machine.snapshot()
    child = app.start("build")
    assert child.stderr is not None
    assert eventually(lambda: b"running" in child.stderr.readline(), 10)  # type: ignore[union-attr]
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == 130
    eventually(lambda: not app.machine.leaks(before), 5, "clean machine")


def test_a_killed_build_is_cleared_by_the_next(project: MakeProject) -> None:
    app = project(f"services:\n  web:\n    build: .\n    {SLEEP}\n")
    tree(app, Dockerfile="FROM IMAGE\nRUN echo running && sleep 1000\n")
    before = app.machine.snapshot()
    child = app.start("build")
    assert child.stderr is not None
    assert eventually(lambda: b"running" in child.stderr.readline(), 10)  # type: ignore[union-attr]
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    tree(app, Dockerfile="FROM IMAGE\nRUN echo fine\n")
    app.run("build")
    eventually(lambda: not app.machine.leaks(before), 5, "clean machine")


def test_independent_stages_run_at_the_same_time(machine: Machine, tmp_path: Path) -> None:
    stages = "".join(f"FROM busybox:test AS s{n}\nRUN --network=none sleep 0.6; echo {n} > /{n}\n" for n in range(3))
    copies = "".join(f"COPY --from=s{n} /{n} /\n" for n in range(3))
    (tmp_path / "Dockerfile").write_text(f"{stages}FROM busybox:test\n{copies}")
    began = time.monotonic()
    assert machine.call("image", "build", str(tmp_path)).code == 0
    assert time.monotonic() - began < 1.7


@covers("commit --author", "commit --change", "commit --message", "commit --index", "commit --pause")
def test_commit(project: MakeProject) -> None:
    app = project(f"services:\n  web:\n    image: IMAGE\n    environment: {{A: b}}\n    {SLEEP}\n")
    app.up()
    app.sh("web", "echo new > /new; rm /etc/group; mkdir /d && ln /new /d/hard; chown 5:6 /d; rm -r /tmp && mkdir /tmp")
    made = app.run("commit", "-c", "LABEL k=v", "-c", 'CMD ["sleep", "77"]', "-a", "me", "-m", "why", "web", "kept:1")
    shown = json.loads(app.run("image", "inspect", "kept:1").stdout)[0]
    assert (made.stdout, made.stderr.split()[-1]) == ("", shown["Id"])
    assert shown["Config"]["Labels"] == {"k": "v"}
    assert shown["Config"]["Cmd"] == ["sleep", "77"]
    assert "A=b" in shown["Config"]["Env"]
    assert app.row("web")["State"] == "running"  # it was paused only meanwhile
    assert "Committed as sha256:" in app.run("commit", "--pause=false", "--index", "1", "web").stderr
    assert "#2" in app.run("commit", "--index", "2", "web", code=1).stderr
    kept = json.loads(Path(f"{app.machine.state}/images/configs/{shown['Id'][7:]}.json").read_text())
    assert (kept["author"], kept["history"][-1]["comment"]) == ("me", "why")
    app.down("-v")
    app.write(f"services:\n  web:\n    image: kept:1\n    {SLEEP}\n")
    app.up()
    assert app.sh("web", "cat /d/hard; ls /etc/group 2>&1; stat -c %u:%g /d; stat -c %h /new").split("\n") == [
        "new",
        "ls: /etc/group: No such file or directory",
        "5:6",
        "2",
    ]
    app.down("-v")


def test_the_tar_of_a_layer_has_the_layers_digest(machine: Machine, tmp_path: Path) -> None:
    """What push and save give out must be what the image's configuration names."""
    from hashlib import sha256

    from runtime.build.snapshot import tar_chunks
    from runtime.images.store import resolve
    from runtime.paths import Roots

    (tmp_path / "Dockerfile").write_text(
        "FROM busybox:test\nRUN mkdir /d && echo x > /d/f && ln /d/f /d/g && ln -s f /d/l && mkfifo /d/p\n"
        "RUN rm -r /d && mkdir /d && echo y > /d/y && chmod 4755 /d/y && rm /etc/group\n"
    )
    assert machine.call("image", "build", "-t", "digest:1", str(tmp_path)).code == 0
    image = resolve(Roots(machine.state, machine.run), "digest:1")
    for name, diff_id in zip(image.snapshots[1:], image.layers[1:], strict=True):
        digest = sha256()
        for chunk in tar_chunks(f"{machine.state}/images/{name}/diff"):
            digest.update(chunk)
        assert f"sha256:{digest.hexdigest()}" == diff_id


def test_the_network_of_run_reaches_the_host_and_goes_away(machine: Machine, tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (served / "page").write_text("from the host\n")
    server = serve(served, "0.0.0.0")
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox:test\nRUN ip -o -4 addr > /addr && "
        f"wget -q -O /page http://$(ip route | sed -n 's/default via \\([0-9.]*\\).*/\\1/p'):{server.server_port}/page\n"
    )
    before = machine.snapshot()
    try:
        built = machine.call("image", "build", "-t", "reached:1", str(tmp_path))
    finally:
        server.shutdown()
    assert built.code == 0, built
    eventually(lambda: not machine.leaks(before), 5, "clean machine")


def test_an_ssh_agent_is_lent_to_run(machine: Machine, tmp_path: Path) -> None:
    path = str(tmp_path / "agent.sock")
    agent = socket.socket(socket.AF_UNIX)
    agent.bind(path)
    agent.listen()
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox:test\nRUN --network=none --mount=type=ssh test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK > /p\n"
        "RUN --network=none --mount=type=ssh,id=other,target=/a.sock,required=false test ! -e /a.sock\n"
    )
    try:
        built = machine.call("image", "build", "--ssh", f"default={path}", str(tmp_path))
        assert built.code == 0, built
        none = machine.call("image", "build", "--ssh", "default=/no/such", str(tmp_path))
        assert none.code == 1 and "/no/such" in none.stderr
    finally:
        agent.close()


def test_foreign_files_stay_outside(machine: Machine, tmp_path: Path) -> None:
    """Links of a context, of a stage and of a mount are resolved inside of it, whatever they say."""
    secret = tmp_path / "secret"
    secret.write_text("outside\n")
    context = tmp_path / "context"
    context.mkdir()
    (context / "link").symlink_to(secret)
    (context / "up").symlink_to("../secret")
    for source in ("link", "up", "../secret"):
        (context / "Dockerfile").write_text(f"FROM busybox:test\nCOPY {source} /x\n")
        refused = machine.call("image", "build", str(context))
        assert refused.code == 1 and f"cannot copy {source!r}: it is not in the build context" in refused.stderr, (
            refused
        )
    (context / "Dockerfile").write_text(
        f"FROM busybox:test AS a\nRUN --network=none ln -s {secret} /l && ln -s /../../../../../{secret} /m\nFROM busybox:test\n"
        "RUN --network=none --mount=from=a,target=/a cat /a/l /a/m; true\nCOPY --from=a /l /n\nRUN --network=none cat /n; true\n"
    )
    built = machine.call("image", "build", str(context))
    assert built.code == 1 and "cannot copy '/l'" in built.stderr, built
    assert " outside" not in built.stderr, built


def test_the_live_tree_shows_the_steps_of_a_build(project: MakeProject, terminal: Callable[..., Terminal]) -> None:
    app = project(f"services:\n  web:\n    build: .\n    {SLEEP}\n")
    tree(app, Dockerfile="FROM IMAGE\nRUN --network=none for i in 1 2 3 4 5; do echo line-$i; sleep 0.1; done\n")
    screen = terminal(app, "up", "-d")
    screen.expect("[2/2] RUN")
    screen.expect("line-4")
    screen.expect("Built")
    app.down("-v")
