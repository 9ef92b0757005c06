"""The deciding parts of single commands, without an engine."""

from __future__ import annotations

import os
import time

import pytest

from compose.api import processes
from compose.cli.attached import watched_services
from compose.cli.commands import attach, cp, doctor, exec, logs, run, up
from compose.errors import UsageError
from compose.plan.desired import Dependency, Desired, DesiredService
from compose.plan.observed import ObservedContainer
from runtime.spec import ContainerSpec, Process, Rootfs

DESIRED = Desired(
    "shop",
    "/shop",
    (),
    (),
    (
        DesiredService("web", "bb:1", {}, "", dependencies=(Dependency("db"),)),
        DesiredService("db", "bb:1", {}, ""),
        DesiredService("quiet", "bb:1", {"attach": False}, ""),
    ),
    ("db", "web", "quiet"),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", 1767323045_000000000),
        ("2026-01-02T03:04:05.5Z", 1767323045_500000000),
        ("2026-01-02T03:04:05.123456789+02:00", 1767315845_123456789),
        ("2026-01-02 03:04Z", 1767323040_000000000),
        ("2026-01-02-05:30", 1767312000_000000000 + 5 * 3600_000000000 + 1800_000000000),
        ("1767323045", 1767323045_000000000),
        ("1767323045.5", 1767323045_500000000),
        ("1h30m", 10_000_000_000_000 - 5400_000000000),
        ("", None),
    ],
)
def test_moments(text: str, expected: int | None) -> None:
    assert logs.moment(text, 10_000_000_000_000) == expected


def test_a_moment_without_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-3")  # POSIX: three hours east of Greenwich
    time.tzset()
    try:
        assert logs.moment("2026-01-02T03:04:05", 0) == (1767323045 - 3 * 3600) * 1_000_000_000
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "2026-01-02T99:00", "5 minutes", "-"])
def test_other_moments_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot understand the time"):
        logs.moment(text, 0)


def test_tails() -> None:
    assert [logs.tail_of(text) for text in ("all", "5", "0", "-1")] == [None, 5, 0, None]


SPEC = ContainerSpec(
    id="0" * 64,
    name="shop-web-1",
    process=Process(("sleep", "9"), env=("PATH=/bin", "A=1"), cwd="/app", user="www", capabilities=("CAP_CHOWN",)),
    rootfs=Rootfs(()),
)


def test_exec_changes_only_what_it_is_told() -> None:
    options = exec.Options("web", ("ls", "-l"), env=("A=2", "B=x=y", "UNSET_FOR_SURE"))
    process = exec.process_of(SPEC, options, False, "xterm")
    assert process.args == ("ls", "-l")
    assert process.env == ("PATH=/bin", "A=2", "B=x=y")
    assert (process.cwd, process.user, process.terminal) == ("/app", "www", False)
    assert process.capabilities == ("CAP_CHOWN",)
    process = exec.process_of(SPEC, exec.Options("web", ("sh",), user="0:0", workdir="/tmp"), True, "xterm")
    assert (process.cwd, process.user, process.terminal) == ("/tmp", "0:0", True)
    assert "TERM=xterm" in process.env


def test_a_variable_without_value_is_passed_on_if_set() -> None:
    assert exec.variables(("A", "B", "C="), {"A": "1"}) == {"A": "1", "C": ""}


def overrides(*words: str, terminal: bool = False) -> dict[str, object]:
    from compose.cli import fast

    parsed = fast.parse(["run", *words])
    assert parsed is not None
    return run.overrides_of(run.Options(**parsed.values), DESIRED, terminal)


def test_run_overrides_only_what_is_given() -> None:
    assert overrides("web") == {"tty": False, "stdin_open": True}
    assert overrides("-d", "--rm", "web") == {"tty": False, "stdin_open": False, "auto_remove": True}
    assert overrides("web", "ls", "-l", terminal=True) == {"tty": True, "stdin_open": True, "command": ["ls", "-l"]}


def test_an_entrypoint_clears_the_command() -> None:
    assert overrides("--entrypoint", "sh -c", "web")["command"] == []
    given = overrides("--entrypoint", "sh -c", "web", "echo x")
    assert (given["entrypoint"], given["command"]) == (["sh", "-c"], ["echo x"])
    assert overrides("--entrypoint=", "web")["entrypoint"] == []


def test_run_reads_short_forms_as_the_file_does(tmp_path: object) -> None:
    env = os.path.join(str(tmp_path), "env")
    with open(env, "w") as file:
        file.write("# comment\n\nA=file\nB=file\n")
    given = overrides(
        *("-v", "./src:/app:ro", "-v", "data:/data", "-v", "/anon", "-p", "127.0.0.1:8080:80/udp", "-l", "k=v"),
        *("-e", "A=flag", "--env-from-file", env, "-u", "1:2", "-w", "/x", "--cap-add", "SYS_TIME", "web"),
    )
    assert given["volumes"] == [
        {
            "type": "bind",
            "source": "/shop/src",
            "target": "/app",
            "bind": {"create_host_path": True},
            "read_only": True,
        },
        {"type": "volume", "target": "/data", "volume": {}, "source": "data"},
        {"type": "volume", "target": "/anon", "volume": {}},
    ]
    (port,) = given["ports"]  # type: ignore[misc]
    assert port == {
        "mode": "ingress", "host_ip": "127.0.0.1", "target": 80, "published": "8080", "protocol": "udp",
    }  # fmt: skip
    assert given["labels"] == {"k": "v"}
    assert given["environment"] == {"A": "flag", "B": "file"}
    assert (given["user"], given["working_dir"], given["cap_add"]) == ("1:2", "/x", ["SYS_TIME"])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-v", "a:b", "web"], "cannot mount a:b: the target must be absolute"),
        (["-p", "x", "web"], "cannot publish x"),
        (["--env-from-file", "/nope", "web"], "cannot read /nope: No such file"),
    ],
)
def test_run_refuses_in_words(words: list[str], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        overrides(*words)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("web:/etc", ("web", "/etc")),
        ("web:", ("web", "")),
        ("./a:b", ("", "./a:b")),
        ("/a:b", ("", "/a:b")),
        ("-", ("", "-")),
        ("file", ("", "file")),
        (":/x", ("", ":/x")),
    ],
)
def test_places_to_copy(text: str, place: tuple[str, str]) -> None:
    assert cp.split_place(text) == place


def test_detach_keys() -> None:
    assert attach.detach_keys("") == b"\x10\x11"
    assert attach.detach_keys("ctrl-a,x,ctrl-[") == b"\x01x\x1b"


@pytest.mark.parametrize(
    ("options", "watched"),
    [
        ({}, {"web", "db"}),
        ({"services": ("web",)}, {"web"}),
        ({"services": ("web",), "attach_dependencies": True}, {"web", "db"}),
        ({"attach": ("quiet", "db")}, {"quiet", "db"}),
        ({"no_attach": ("db",)}, {"web"}),
        ({"services": ("quiet",)}, set()),
    ],
)
def test_whose_logs_up_shows(options: dict[str, object], watched: set[str]) -> None:
    assert watched_services(DESIRED, up.Options(**options)) == watched  # type: ignore[arg-type]


def test_processes_of_this_very_process() -> None:
    me = ObservedContainer("id", "shop-web-1", "web", 1, "running", pid=os.getpid())
    rows = processes.top_rows([me])
    mine = next(row for row in rows if row[3] == str(os.getpid()))
    assert mine[:2] == ("web", "1")
    assert mine[4] == str(os.getppid())
    assert len(mine) == len(processes.TOP_COLUMNS)
    assert "python" in mine[-1] or "pytest" in mine[-1]
    gone = ObservedContainer("id", "shop-web-1", "web", 1, "running", pid=2**22 + 1)
    assert processes.top_rows([gone]) == []


def test_doctor_marks_what_is_needed_and_what_is_not() -> None:
    assert doctor._lines(("overlayfs", True, "available", "x"), False) == "✔ overlayfs: available\n"
    assert doctor._lines(("overlayfs", False, "none", "load it"), False) == "✘ overlayfs: none\n    load it\n"
    assert doctor._lines(("mtu", False, "1400", "set it"), False) == "! mtu: 1400\n    set it\n"


def test_doctors_needs_are_checks_that_exist() -> None:
    from runtime import doctor as runtime_doctor

    known = {name for name, *_ in runtime_doctor.checks()} | {"root", "state directory", "run directory", "links"}
    assert set(doctor.NEEDED) <= known
