"""What a changed file means for a container that runs: the same process goes on with the new setting."""

from __future__ import annotations

import time

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Project, eventually

pytestmark = pytest.mark.root

STACK = """
services:
  web:
    image: IMAGE
    init: true
    command: [sh, -c, "trap 'echo told' HUP; while :; do sleep 0.05; done"]
    networks: {front: {}}
    configs: [{source: page, target: /etc/page}]
    secrets: [{source: key, x-signal: HUP}]
networks: {front: {}, side: {}}
configs: {page: {file: page.txt}}
secrets: {key: {file: key.txt}}
"""


@pytest.fixture
def stack(project: MakeProject) -> Project:
    one = project()
    one.write("page one\n", "page.txt")
    one.write("key one\n", "key.txt")
    one.write(STACK)
    one.up()
    return one


def pid(one: Project) -> int:
    return int(one.state("web")["pid"])


def test_contents_of_configs_and_secrets_reach_the_process_and_a_signal_tells_it(stack: Project) -> None:
    before = pid(stack)
    stack.write("page two, which is longer than the first\n", "page.txt")
    assert [step["verb"] for step in stack.steps()] == ["update"]
    stack.up()
    assert stack.sh("web", "cat /etc/page") == "page two, which is longer than the first"
    stack.write("k\n", "key.txt")
    stack.up()
    assert stack.sh("web", "cat /run/secrets/key") == "k"
    eventually(lambda: "told" in stack.logs("web"), 5, "the signal")
    assert pid(stack) == before and stack.steps() == []
    assert stack.sh("web", "echo x > /etc/page", code=None) == ""
    assert stack.sh("web", "cat /etc/page").startswith("page two")  # still read-only for the container
    stack.run("restart", "-t", "0")
    assert stack.sh("web", "cat /etc/page /run/secrets/key").splitlines()[1] == "k"


def test_networks_come_and_go_while_the_process_runs(stack: Project) -> None:
    before = pid(stack)
    front = stack.sh("web", "ip -4 -o addr show eth0").split()[3]
    stack.edit("networks: {front: {}}", "networks: {front: {}, side: {aliases: [other]}}")
    stack.up()
    assert pid(stack) == before
    assert stack.sh("web", "ip -4 -o addr show eth0").split()[3] == front
    assert "eth1" in stack.sh("web", "ip -4 -o addr")
    stack.edit("networks: {front: {}, side: {aliases: [other]}}", "networks: {side: {aliases: [other, more]}}")
    stack.up()
    assert pid(stack) == before and stack.steps() == []
    addresses = stack.sh("web", "ip -4 -o addr").splitlines()
    assert len(addresses) == 2 and front not in "".join(addresses)
    assert stack.sh("web", "nslookup more | tail -2")


def test_a_health_check_comes_changes_and_goes(stack: Project) -> None:
    before = pid(stack)
    stack.edit("    init: true\n", "    init: true\n    healthcheck: {test: [CMD, 'true'], interval: 100ms}\n")
    stack.up()
    eventually(lambda: stack.row("web")["Health"] == "healthy", 5, "healthy")
    stack.edit("'true'", "'false'")
    stack.edit("interval: 100ms", "interval: 100ms, retries: 1")
    stack.up()
    eventually(lambda: stack.row("web")["Health"] == "unhealthy", 5, "unhealthy")
    stack.edit("    healthcheck: {test: [CMD, 'false'], interval: 100ms, retries: 1}\n", "")
    stack.up()
    assert stack.row("web")["Health"] == "" and pid(stack) == before


def test_limits_labels_restart_policy_and_hosts_are_one_update(stack: Project) -> None:
    before = pid(stack)
    stack.edit(
        "    init: true\n",
        "    init: true\n    mem_limit: 64m\n    cpus: 0.5\n    pids_limit: 50\n    restart: always\n"
        "    labels: {a: b}\n    extra_hosts: ['far:10.9.8.7']\n",
    )
    began = time.monotonic()
    stack.up()
    assert time.monotonic() - began < 2
    assert pid(stack) == before and stack.steps() == []
    assert "10.9.8.7\tfar" in stack.sh("web", "cat /etc/hosts")
    limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    assert stack.sh("web", limit) == str(64 << 20)
    stack.run("exec", "-T", "web", "kill", "-9", "-1", code=None)
    eventually(lambda: stack.state("web")["restart_count"] >= 1 or pid(stack) == before, 5, "policy in force")


def test_an_update_that_was_killed_is_made_again(stack: Project) -> None:
    before = pid(stack)
    stack.edit("    init: true\n", "    init: true\n    mem_limit: 64m\n")
    stack.write("page two\n", "page.txt")
    killed = stack.run("up", "-d", code=None, env={"PYCOMPOSE_CRASH_AT": "before:update"})
    assert killed.code == -9
    stack.up()
    assert stack.sh("web", "cat /etc/page") == "page two" and pid(stack) == before
    assert stack.steps() == []
