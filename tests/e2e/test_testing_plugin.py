"""The plugin through pytester, with real stacks."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.e2e.stacks import SICK, TWO
from tests.support.cli import Machine, eventually

Pytester = pytest.Pytester


@pytest.fixture
def suite(machine: Machine, pytester: Pytester, monkeypatch: pytest.MonkeyPatch) -> Pytester:
    """A directory with a Compose file, whose tests run on the machine of this session."""
    monkeypatch.setenv("PYCOMPOSE_STATE_DIR", machine.state)
    monkeypatch.setenv("PYCOMPOSE_RUN_DIR", machine.run)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    (pytester.path / "compose.yaml").write_text(TWO)
    return pytester


def run(suite: Pytester, *options: str) -> pytest.RunResult:
    return suite.runpytest_subprocess("-p", "no:cacheprovider", *options, timeout=120)


def names_in(path: Path) -> list[str]:
    return sorted(one.name for one in path.iterdir()) if path.exists() else []


def test_session_scope_is_one_stack_and_module_scope_is_many(suite: Pytester) -> None:
    test = "def test_{0}(compose):\n    open('names', 'a').write(compose.name + '\\n')\n"
    suite.makepyfile(test_a=test.format(1) + test.format(2), test_b=test.format(3))
    run(suite).assert_outcomes(passed=3)
    assert len(set((suite.path / "names").read_text().split())) == 1
    (suite.path / "names").unlink()
    run(suite, "--compose-scope=module").assert_outcomes(passed=3)
    assert len(set((suite.path / "names").read_text().split())) == 2


def test_stack_is_clean_for_every_test(suite: Pytester) -> None:
    suite.makepyfile(
        """
        def test_one(stack):
            stack["web"].write_text("/data/left", "")

        def test_two(stack):
            assert stack["web"].exec("ls /data").stdout == ""
        """
    )
    run(suite).assert_outcomes(passed=2)


def test_marker_chooses_the_stack_and_its_scope(suite: Pytester) -> None:
    (suite.path / "other.yaml").write_text(
        "services:\n  one:\n    image: busybox:test\n    command: sleep 60\n    stop_signal: SIGKILL\n"
        "    environment: {A: '${A}'}\n"
        "  two:\n    image: busybox:test\n    command: sleep 60\n    stop_signal: SIGKILL\n    profiles: [more]\n"
    )
    suite.makepyfile(
        """
        import pytest
        names = set()

        @pytest.mark.compose(file="other.yaml", env={"A": "b"}, scale={"one": 2}, scope="class")
        class TestOther:
            def test_env(self, stack):
                names.add(stack.name)
                assert len(stack["one"].replicas) == 2
                assert stack["one"].exec(["sh", "-c", "echo $A"]).stdout == "b\\n"

            def test_same(self, service):
                assert service("one").stack.name in names

        @pytest.mark.compose(file="other.yaml", env={"A": ""}, services=["two"], profiles=["more"], scope="function")
        def test_profile(stack):
            assert stack["two"].status == "running"
            assert not stack["one"].replicas
        """
    )
    run(suite, "-p", "no:randomly").assert_outcomes(passed=3)


def test_generated_fixtures_factory_and_overrides(suite: Pytester) -> None:
    suite.makeini("[pytest]\npycompose_service_fixtures = web db\n")
    suite.makeconftest(
        """
        import pytest
        @pytest.fixture(scope="session")
        def compose_project_name():
            return "mine"
        """
    )
    suite.makepyfile(
        """
        def test_services(web, db):
            assert web.stack.name == "mine" and db.status == "running"

        def test_factory(compose_factory, compose_file):
            more = compose_factory(compose_file, services=["web"])
            assert more.name != "mine" and more["web"].status == "running"
        """
    )
    run(suite).assert_outcomes(passed=2)


def test_faults_are_healed_after_the_test(suite: Pytester) -> None:
    suite.makepyfile(
        """
        def test_break(faults, compose):
            faults.pause("db")
            assert compose["db"].status == "paused"

        def test_whole(compose):
            assert compose["db"].status == "running"
        """
    )
    run(suite).assert_outcomes(passed=2)


FAILURE = """\
----- compose: web-1 -----
running, healthy
probe TIME: exit code 0
TIME out in the test
----- compose: sad-1 -----
stopped, exit code 3
TIME out bye
"""


def test_a_failure_shows_each_service_in_the_test_s_window(suite: Pytester) -> None:
    (suite.path / "compose.yaml").write_text(
        TWO.split("  db:")[0] + "  sad:\n    image: busybox:test\n    command: sh -c 'read x </go; echo bye; exit 3'\n"
        "    entrypoint: sh -c 'mkfifo /go; exec \"$$@\"' --\n    stop_signal: SIGKILL\nvolumes: {data: {}}\n"
    )
    suite.makepyfile(
        """
        def test_before(compose):
            compose["web"].exec("sh -c 'echo before the test >/proc/1/fd/1'")

        def test_fails(compose):
            compose["web"].exec("sh -c 'echo in the test >/proc/1/fd/1'", check=True)
            compose["sad"].exec("sh -c 'echo >/go'", check=True)
            compose["sad"].wait_exit(5)
            assert False
        """
    )
    result = run(suite)
    result.assert_outcomes(passed=1, failed=1)
    text = "\n".join(result.outlines)
    shown = text[text.index("- compose: web-1") : text.index("= short test summary")].splitlines()[:-1]
    shown = [re.sub(r"-{5,}", "-----", re.sub(r"\d\d:\d\d:\d\d\.\d{3}", "TIME", line)) for line in shown]
    assert "\n".join(["----" + shown[0], *shown[1:]]) + "\n" == FAILURE


SICK_START = """\
cannot bring up the stack NAME: cannot go on: container NAME-sick-1 is not running or healthy: it is unhealthy
  last probe exited with code 1: no luck
  NAME-sick-1 | I feel ill
containers:
  sick-1: running, unhealthy
"""


def test_a_failed_start_says_which_service_and_why(suite: Pytester, machine: Machine) -> None:
    (suite.path / "compose.yaml").write_text(SICK)
    suite.makepyfile("def test_it(compose): pass")
    result = run(suite, f"--compose-artifacts={suite.path}/artifacts")
    result.assert_outcomes(errors=1)
    text = re.sub(r"t-[a-z0-9-]+-[0-9a-f]{8}", "NAME", "\n".join(result.outlines))
    assert SICK_START in text, text
    assert "Traceback" not in text
    (stack,) = (suite.path / "artifacts").iterdir()
    assert names_in(stack) == ["events.json", "inspect.json", "logs", "plan.txt"]
    assert "I feel ill" in (stack / "logs" / "sick-1.log").read_text()
    assert json.loads((stack / "inspect.json").read_text())["sick-1"]["health"] == "unhealthy"


def test_kept_stacks_are_told_and_can_be_looked_at(suite: Pytester, machine: Machine) -> None:
    suite.makepyfile("def test_it(compose): assert 0")
    result = run(suite, "--compose-keep=failed")
    (line,) = [line for line in result.outlines if line.startswith("kept ")]
    name = line.split()[1].rstrip(":")
    assert f"pycompose -p {name} logs" in line
    assert "web-1" in machine.call("-p", name, "ps").stdout
    down = machine.call("-p", name, "down", "-v", "-t", "0")
    assert down.code == 0, down


def test_timings(suite: Pytester) -> None:
    suite.makepyfile("def test_a(stack): pass\n\ndef test_b(stack): pass")
    result = run(suite, "--compose-timings")
    result.stdout.re_match_lines([r"t-.*: up \d.\d+ s, reset \d.\d+ s \(median of 2\), down \d.\d+ s"])


def test_no_file_says_where_it_looked(suite: Pytester) -> None:
    (suite.path / "compose.yaml").unlink()
    suite.makepyfile("def test_it(compose): pass")
    run(suite).stdout.fnmatch_lines([f"cannot find a Compose file in {suite.path} or above"])


# -- pytest-xdist

_SUITE = """
import os, pytest

@pytest.mark.parametrize("n", range(8))
def test_it(compose, n):
    open(f"names/{os.environ['PYTEST_XDIST_WORKER']}-{n}", "w").write(compose.name)
    assert compose["web"].exec("echo ok").stdout == "ok\\n"
"""


@pytest.mark.parametrize(("mode", "stacks"), [("per-worker", 3), ("shared", 1)])
def test_xdist(suite: Pytester, machine: Machine, mode: str, stacks: int) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    suite.makepyfile(_SUITE)
    (suite.path / "names").mkdir()
    run(
        suite, "-n", "3", "--dist", "each" if mode == "per-worker" else "load", f"--compose-xdist={mode}"
    ).assert_outcomes(passed=24 if mode == "per-worker" else 8)
    assert len({path.read_text() for path in (suite.path / "names").iterdir()}) == stacks
    assert not os.path.exists(f"{machine.run}/testing")
    eventually(lambda: not names_in(Path(machine.state, "containers")) and not names_in(Path(machine.state, "leases")))


@pytest.mark.parametrize("mode", ["per-worker", "shared"])
def test_a_killed_worker_leaves_nothing(suite: Pytester, machine: Machine, mode: str) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    suite.makepyfile(
        """
        import os, pytest

        @pytest.mark.parametrize("n", range(4))
        def test_it(compose, n):
            assert compose["web"].exec("echo ok").stdout == "ok\\n"
            if n == 1:
                os.kill(os.getpid(), 9)
        """
    )
    result = run(suite, "-n", "2", f"--compose-xdist={mode}")
    result.assert_outcomes(passed=3, failed=1)
    eventually(lambda: not names_in(Path(machine.state, "containers")) and not names_in(Path(machine.state, "leases")))


def test_a_reset_of_a_shared_stack_waits_for_the_tests_of_other_workers(suite: Pytester) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    suite.makepyfile(
        """
        import pathlib, pytest, time
        from compose.errors import UsageError

        HERE = pathlib.Path(__file__).parent

        def eventually(path):
            until = time.monotonic() + 20
            while not (HERE / path).exists():
                assert time.monotonic() < until, path
                time.sleep(0.01)

        @pytest.mark.xdist_group("a")
        def test_writes_and_goes_on(stack):
            stack["web"].write_text("/data/left", "")
            (HERE / "written").touch()
            eventually("asked")
            time.sleep(0.3)
            assert stack["web"].exec("ls /data").stdout == "left\\n"
            (HERE / "ended").touch()

        @pytest.mark.xdist_group("b")
        def test_resets(stack):
            eventually("written")
            assert stack["web"].exec("ls /data").stdout == "left\\n"  # the fixture leaves it to us
            with pytest.raises(UsageError, match="cannot reset stack .* after 0.2 s it is used by .*::test_writes_and"):
                stack.reset(timeout=0.2)
            (HERE / "asked").touch()
            stack.reset()
            assert (HERE / "ended").exists()
            assert stack["web"].exec("ls /data").stdout == ""
        """
    )
    run(suite, "-n", "2", "--dist", "loadgroup", "--compose-xdist=shared").assert_outcomes(passed=2)
