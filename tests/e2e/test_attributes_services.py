"""What services are to each other and to the command: names, files, profiles, links, dependencies."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Project, eventually, read_lines

pytestmark = pytest.mark.root

FILE = """
x-box: &box {image: IMAGE, command: ["sleep", "1000"], stop_signal: SIGKILL}
services:
  named: {<<: *box, container_name: NAME-own, label_file: labels, env_file: [env, {path: missing, required: false}]}
  linked:
    <<: *box
    links: ["named:alias", plain]
    external_links: ["NAME-own:outside"]
    mac_address: 02:42:ac:11:65:43
    expose: ["8080"]
    dns: [127.0.0.53]
    dns_search: [example.org]
    dns_opt: ["ndots:3"]
    extra_hosts: ["oracle=10.9.8.7", "gateway:host-gateway"]
  plain: {extends: {file: base.yaml, service: base}}
  hidden: {<<: *box, profiles: [extra]}
  several: {<<: *box, scale: 2}
"""


@pytest.fixture(scope="module")
def app(module_project: MakeProject) -> Project:
    one = module_project()
    one.write(FILE.replace("NAME", one.name))
    one.write(
        "services: {base: {image: IMAGE, command: sleep 1000, stop_signal: SIGKILL, environment: {FROM: base}}}",
        "base.yaml",
    )
    (one.dir / "labels").write_text("tier=front\n")
    (one.dir / "env").write_text("COLOUR=blue\n")
    one.up()
    return one


def test_container_name(app: Project) -> None:
    assert f"{app.name}-own" in {row["Name"] for row in app.rows()}


def test_env_file_and_label_file(app: Project) -> None:
    assert app.sh("named", "echo $COLOUR") == "blue"
    assert "tier=front" in next(row["Labels"] for row in app.rows() if row["Service"] == "named")


def test_extends(app: Project) -> None:
    assert app.sh("plain", "echo $FROM") == "base"


def test_profiles(app: Project) -> None:
    assert "hidden-1" not in app.names()
    app.run("--profile", "extra", "up", "-d")
    assert "hidden-1" in app.names()


def test_scale(app: Project) -> None:
    assert {"several-1", "several-2"} <= set(app.names())


def test_links(app: Project) -> None:
    for name in ("alias", "plain", "outside"):
        assert "1 packets received" in app.sh("linked", f"ping -c 1 -W 2 {name}")
    app.sh("plain", "ping -c 1 -W 2 alias 2>/dev/null && exit 0; exit 42", code=42)


def test_mac_address(app: Project) -> None:
    assert "02:42:ac:11:65:43" in app.sh("linked", "cat /sys/class/net/eth0/address")


def test_expose_publishes_nothing(app: Project) -> None:
    assert app.row("linked")["Publishers"] in ([], None) or all(
        not row["PublishedPort"] for row in app.row("linked")["Publishers"]
    )


def test_dns_and_extra_hosts(app: Project) -> None:
    text = app.sh("linked", "cat /etc/resolv.conf")
    assert "search example.org" in text
    assert "ndots:3" in text
    hosts = app.sh("linked", "cat /etc/hosts")
    assert "10.9.8.7\toracle" in hosts
    assert "gateway" in hosts
    assert "host-gateway" not in hosts


def test_attach_false_keeps_the_logs_away(project: MakeProject) -> None:
    one = project("""
services:
  loud: {image: IMAGE, command: "sh -c 'echo heard; sleep 0.3'"}
  quiet: {image: IMAGE, command: "sh -c 'echo unheard'", attach: false}
""")
    child = one.start("up")
    assert child.stdout is not None
    seen = list(read_lines(child.stdout, 5))
    assert child.wait(5) == 0
    assert any("heard" in line for line in seen)
    assert not any("unheard" in line for line in seen)


def test_depends_on(project: MakeProject) -> None:
    one = project("""
services:
  web: {image: IMAGE, command: "sleep 1000", stop_signal: SIGKILL, depends_on: {db: {condition: service_started, restart: true},
        job: {condition: service_completed_successfully}, gone: {condition: service_started, required: false}}}
  db: {image: IMAGE, command: "sleep 1000", stop_signal: SIGKILL, environment: {A: "1"}}
  job: {image: IMAGE, command: "true"}
  gone: {image: IMAGE, command: "true", profiles: [never]}
""")
    one.up()
    assert one.names() == ["db-1", "web-1"]
    before = one.state("web")["pid"]
    one.edit('{A: "1"}', '{A: "2"}')
    one.up()
    eventually(lambda: one.state("web")["pid"] != before, 5, "restarted with its dependency")
