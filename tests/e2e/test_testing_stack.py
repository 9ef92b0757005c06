"""Stacks as Python objects: what they say, what they do, how they break and how they go."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import unittest
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compose.api.up import up
from compose.errors import DependencyFailed, EngineError, UsageError
from compose.record import replace
from compose.testing import Stack, StackTestCase
from tests.e2e.stacks import SICK, TWO, stack_of
from tests.support.cli import Machine, eventually


@pytest.fixture
def environ(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYCOMPOSE_STATE_DIR", machine.state)
    monkeypatch.setenv("PYCOMPOSE_RUN_DIR", machine.run)


@pytest.fixture(scope="module")
def two(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack_of(machine, tmp_path_factory.mktemp("two"), TWO) as stack:
        yield stack


def pings(stack: Stack, source: str, target: str) -> bool:
    return stack[source].exec(f"ping -c 1 -W 1 {target}").exit_code == 0


# -- where it is


def test_published_ports_are_ephemeral_and_answer(two: Stack) -> None:
    web = two["web"]
    assert web.port(80) != 8080
    assert (web.host, web.address(80)) == ("127.0.0.1", ("127.0.0.1", web.port()))
    assert urllib.request.urlopen(web.url(80, path="index.html")).read() == b"hi\n"
    assert urllib.request.urlopen(f"http://{web.ip}/index.html").read() == b"hi\n"


def test_a_port_that_is_not_published_is_reached_at_the_container(two: Stack) -> None:
    assert two["web"].address(81) == (two["web"].ip, 81)
    with pytest.raises(UsageError, match="does not publish 81/tcp"):
        two["web"].port(81)


def test_code_runs_inside_the_service_s_network(two: Stack) -> None:
    with two["web"].netns():
        assert urllib.request.urlopen("http://127.0.0.1/index.html").read() == b"hi\n"
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", 80), 0.2):
        pass


def test_names_are_the_service_s_there_and_in_that_thread_alone(two: Stack) -> None:
    def elsewhere() -> str:
        try:
            return socket.gethostbyname("web")
        except OSError:
            return "unknown"

    before = elsewhere()
    with two["db"].netns(), ThreadPoolExecutor(1) as other:
        for _each in range(2):
            assert socket.gethostbyname("web") == two["web"].ip
            assert urllib.request.urlopen("http://web/index.html").read() == b"hi\n"
            assert other.submit(elsewhere).result() == before
        with pytest.raises(OSError):
            socket.gethostbyname("no-such-service")
    assert elsewhere() == before
    assert socket.gethostbyname("localhost") == "127.0.0.1"


# -- running things


def test_exec_gives_code_streams_and_time(two: Stack) -> None:
    result = two["web"].exec(["sh", "-c", "cat; echo err >&2; exit 3"], stdin="in", env={"A": "1"})
    assert (result.exit_code, result.stdout, result.stderr) == (3, "in", "err\n")
    assert 0 < result.duration < 10
    with pytest.raises(AssertionError, match="exited with code 3"):
        result.check()


def test_exec_moves_a_mebibyte_each_way(two: Stack) -> None:
    result = two["web"].exec("cat", stdin=b"x" * (1 << 20))
    assert len(result.stdout) == 1 << 20


def test_exec_in_a_thread(two: Stack) -> None:
    async def both() -> list[str]:
        results = await asyncio.gather(*(two.aio.exec("web", f"echo {n}") for n in range(4)))
        return [one.stdout for one in results]

    assert asyncio.run(both()) == ["0\n", "1\n", "2\n", "3\n"]


def test_exec_ends_after_its_time(two: Stack) -> None:
    before = two["web"].stats().pids
    with pytest.raises(EngineError, match="cannot wait longer for sleep 50"):
        two["web"].exec("sleep 50", timeout=0.2)
    eventually(lambda: two["web"].stats().pids == before)


def test_exec_of_what_is_not_there(two: Stack) -> None:
    with pytest.raises(EngineError, match="no-such-program"):
        two["web"].exec("no-such-program")


def test_run_is_a_container_of_its_own(two: Stack) -> None:
    result = two["web"].run(["sh", "-c", "echo out; echo err >&2; exit 4"])
    assert (result.exit_code, result.stdout, result.stderr) == (4, "out\n", "err\n")
    assert len(two["web"].replicas) == 1


def test_files_go_in_and_out(two: Stack, tmp_path: Path) -> None:
    two["web"].write_text("/data/note", "hello\n")
    assert two["web"].exec("cat /data/note").stdout == "hello\n"
    assert two["web"].read_text("/data/note") == "hello\n"
    two["web"].cp_from("/data/note", tmp_path / "here")
    assert (tmp_path / "here").read_text() == "hello\n"


def test_files_of_a_stopped_container_are_those_of_its_volumes(two: Stack) -> None:
    two["db"].stop(timeout=0)
    two["db"].write_text("/db/while-stopped", "kept\n")
    two["db"].start()
    assert two["db"].exec("cat /db/while-stopped").stdout == "kept\n"


# -- watching


def test_lines_are_read_and_waited_for(two: Stack) -> None:
    assert [line.text for line in two.logs("web", grep="serv")] == ["serving"]
    assert two["web"].wait_log("serv.ng").container == "web-1"
    with pytest.raises(DependencyFailed, match="cannot wait longer for 'never'"):
        two["web"].wait_log("never", timeout=0.1)


def test_since_the_test_means_what_came_after_the_mark(two: Stack) -> None:
    two.mark = time.time_ns()
    two["web"].exec("sh -c 'echo later >/proc/1/fd/1'")
    eventually(lambda: [line.text for line in two.logs("web", since="test")] == ["later"])


def test_stats_and_state(two: Stack) -> None:
    assert two["web"].stats().memory > 0
    assert two["web"].inspect().probes[-1]["exit_code"] == 0
    assert (two["web"].status, two["web"].health) == ("running", "healthy")


def test_the_plan_of_a_running_stack_is_empty_and_events_tell_how_it_came(two: Stack) -> None:
    assert not two.plan().steps
    done = [(one.kind, one.name, one.verb) for one in two.events()]
    assert ("container", "web-1", "start") in done


def test_verbs(two: Stack) -> None:
    db = two["db"]
    db.stop()
    assert db.wait_exit(5) == 137
    db.start()
    assert db.status == "running"
    db.pause()
    assert db.status == "paused"
    db.unpause()
    two.scale(db=2)
    assert [one.number for one in db.replicas] == [1, 2]
    two.scale(db=1)
    db.restart()
    assert db.status == "running"


def test_unknown_service_names_the_known_ones(two: Stack) -> None:
    with pytest.raises(UsageError) as caught:
        two.service("wbe")
    assert "web, db" in caught.value.hint


# -- faults


def test_partition_and_disconnect_heal(two: Stack) -> None:
    assert pings(two, "db", "web")
    with two.faults.partition("db", "web"):
        assert not pings(two, "db", "web")
        assert two.faults.active == ["partition db from web"]
    assert pings(two, "db", "web")
    with two.faults.disconnect("web"):
        assert not pings(two, "db", two["web"].ip)
    assert pings(two, "db", "web")


def test_loss_is_by_share(two: Stack) -> None:
    with two.faults.loss("web", 100):
        assert not pings(two, "db", two["web"].ip)
    with two.faults.loss("web", 50):
        sent = two["db"].exec(f"ping -c 60 -i 0.01 -W 1 {two['web'].ip}").stdout
    received = int(sent.split(" packets received")[0].split()[-1])
    assert 0 < received < 50, sent  # a quarter of 60 both ways
    assert pings(two, "db", "web")


def test_latency_where_the_kernel_can(two: Stack) -> None:
    try:
        with two.faults.latency("web", 60):
            said = two["db"].exec(f"ping -c 1 -W 2 {two['web'].ip}").stdout
        assert float(said.split("min/avg/max = ")[1].split("/")[0]) >= 60
    except EngineError as error:
        assert "this kernel has no netem" in error.message
        pytest.skip(error.message)


def test_a_network_fault_lasts_through_restarts(two: Stack) -> None:
    with two.faults.disconnect("web"):
        two.restart("web")
        assert not pings(two, "db", two["web"].ip)
        two.stop("web", timeout=0)
        two.start("web")
        assert not pings(two, "db", two["web"].ip)
    assert pings(two, "db", "web")
    two.restart("web")
    assert pings(two, "db", "web")


def test_not_one_packet_passes_while_a_broken_service_starts(environ: None, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        """
services:
  first:
    image: busybox:test
    command: sh -c 'ping -c 3 -i 0.05 -W 1 second && echo reached || echo blocked; sleep 60'
    stop_signal: SIGKILL
    depends_on: [second]
  second: {image: "busybox:test", command: sleep 60, stop_signal: SIGKILL}
"""
    )
    with Stack(directory=tmp_path) as stack:
        stack["first"].wait_log("reached")
        with stack.faults.partition("first", "second"):
            stack.restart("first")
            stack["first"].wait_log("blocked")
            assert len(stack["first"].logs(grep="bytes from")) == 3


def test_a_partition_follows_the_other_side_to_its_new_address(two: Stack) -> None:
    with two.faults.partition("db", "web"):
        before = two["web"].observed().id
        up(two.engine, two.desired, replace(two._options(services=("web",)), force_recreate=True), two.recorder)
        two.wait("web")
        assert two["web"].observed().id != before
        assert not pings(two, "db", two["web"].ip)
        two.scale(web=2)
        try:
            assert [pings(two, "db", one.ip) for one in two["web"].replicas] == [False, False]
        finally:
            two.scale(web=1)
    assert pings(two, "db", two["web"].ip)


def test_a_fault_is_put_back_after_a_restart_by_somebody_else(two: Stack) -> None:
    somebody = Stack(directory=two.directory, project_name=two.name)  # as another worker has it: with its own engine
    with two.faults.disconnect("web"):
        somebody.restart("web")
        eventually(lambda: not pings(two, "db", two["web"].ip))
    somebody.close()
    assert pings(two, "db", two["web"].ip)
    assert not [one for one in threading.enumerate() if one.name == "faults"]


def test_loss_is_the_same_after_it_was_put_back_often(two: Stack) -> None:
    with two.faults.loss("web", 50):
        for _each in range(3):
            two.restart("db")  # every start puts all faults back
        sent = two["db"].exec(f"ping -c 60 -i 0.01 -W 1 {two['web'].ip}").stdout
    assert 3 < int(sent.split(" packets received")[0].split()[-1]) < 35, sent


def test_the_host_s_network_is_never_broken(environ: None, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services: {web: {image: 'busybox:test', command: sleep 60, network_mode: host, stop_signal: SIGKILL}}"
    )
    with Stack(directory=tmp_path) as stack:
        with pytest.raises(EngineError, match="cannot disconnect web: it has the host's network"):
            stack.faults.disconnect("web")
        assert stack.faults.active == []


def test_a_crash_and_a_pause_are_healed_together(two: Stack) -> None:
    two.faults.pause("db")
    two.faults.kill("web")
    assert (two["web"].status, two["db"].status) == ("stopped", "paused")
    assert two.faults.active == ["pause db", "kill web"]
    two.faults.heal()
    assert (two["web"].status, two["db"].status) == ("running", "running")


# -- beginning and end


def test_a_stack_that_does_not_come_up_says_why_and_is_gone(environ: None, machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(SICK)
    with pytest.raises(DependencyFailed) as caught, Stack(directory=tmp_path):
        pass
    assert "sick-1 is not running or healthy: it is unhealthy" in caught.value.message
    assert "no luck" in caught.value.message and "I feel ill" in caught.value.message


def test_two_checkouts_at_once(environ: None, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(TWO)
    with Stack(directory=tmp_path) as one, Stack(directory=tmp_path) as other:
        assert one.name != other.name and one["web"].port() != other["web"].port()
        one["web"].write_text("/data/x", "")
        assert other["web"].exec("ls /data").stdout == ""


def test_async_with(environ: None, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(TWO)

    async def use() -> str:
        async with Stack(directory=tmp_path, services=["web"]).aio as stack:
            await stack["web"].wait_log("serving")
            return (await stack["web"].exec("echo async")).stdout

    assert asyncio.run(use()) == "async\n"


def test_unittest(environ: None, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(TWO)

    class Case(StackTestCase):
        compose_options = {"directory": tmp_path}
        compose_reset = "volumes"

        def test_one(self) -> None:
            self.stack["web"].write_text("/data/x", "")

        def test_two(self) -> None:
            assert self.stack["web"].exec("ls /data").stdout == ""

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
    assert result.testsRun == 2 and result.wasSuccessful(), result.errors
