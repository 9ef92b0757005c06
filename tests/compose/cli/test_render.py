"""What is printed, to the byte."""

from __future__ import annotations

import json
import os
import re

import pytest

from compose.api.follow import Ended, Line
from compose.cli.render.logs import LogPrinter
from compose.cli.render.plan import show_plan
from compose.cli.render.progress import Json, Plain, Quiet
from compose.cli.render.table import go_template, json_array, json_lines, show, table
from compose.cli.render.words import Counter, Style, duration
from compose.errors import UsageError
from compose.events import Note, StepFinished, StepStarted
from compose.plan.plan import Plan
from runtime.logs import LogLine


class Pipe:
    """A descriptor to write to, and what arrived."""

    def __init__(self) -> None:
        self.reader, self.fd = os.pipe()

    def text(self) -> str:
        os.close(self.fd)
        with open(self.reader, "rb") as file:
            return file.read().decode()


def started(number: int, name: str, verb: str, kind: str = "container") -> StepStarted:
    return StepStarted(number, kind, name, verb, "because")


def finished(
    number: int, name: str, verb: str, error: str = "", kind: str = "container", detail: str = ""
) -> StepFinished:
    return StepFinished(number, kind, name, verb, 0.3, error, detail)


RECREATION = [
    started(1, "web-1", "create"),
    finished(1, "web-1", "create"),
    started(2, "web-1", "stop"),
    finished(2, "web-1", "stop"),
    finished(3, "web-1", "disconnect"),
    finished(4, "web-1", "connect"),
    finished(5, "web-1", "start"),
    finished(6, "web-1", "remove"),
    finished(7, "web-1", "rename"),
]


def test_plain_is_one_line_per_change() -> None:
    pipe = Pipe()
    plain = Plain(pipe.fd)
    for event in RECREATION:
        plain.emit(event)
    plain.emit(Note("waiting for another command"))
    plain.emit(Note("an orphan", "warning"))
    plain.emit(finished(8, "db", "wait", kind="service", detail="Healthy"))
    plain.emit(finished(9, "db-1", "connect", "cannot connect"))
    plain.close(summary=False)
    assert pipe.text().splitlines() == [
        " Container web-1  Created  0.3s",
        " Container web-1  Stopped  0.3s",
        " Container web-1  Started  0.3s",
        " Container web-1  Removed  0.3s",
        "waiting for another command",
        "warning: an orphan",
        " Service db  Healthy  0.3s",
        " Container db-1  Error  0.3s",
    ]


def test_plain_tells_reasons_when_asked_and_a_summary() -> None:
    pipe = Pipe()
    plain = Plain(pipe.fd, reasons=True)
    plain.emit(started(1, "web-1", "start"))
    plain.emit(finished(1, "web-1", "start"))
    plain.close(summary=True, unchanged=2)
    first, last = pipe.text().splitlines()
    assert first == " Container web-1  Started  0.3s  because"
    assert re.fullmatch(r"1 started, 2 unchanged in \d+ ms", last)


def test_json_has_docker_composes_keys() -> None:
    pipe = Pipe()
    shown = Json(pipe.fd)
    for event in (started(1, "web-1", "stop"), finished(1, "web-1", "stop"), started(2, "web-1", "connect")):
        shown.emit(event)
    shown.emit(finished(2, "web-1", "connect", "cannot connect"))
    shown.emit(finished(3, "db", "wait", kind="service", detail="Healthy"))
    shown.emit(Note("an orphan", "warning"))
    shown.close()
    rows = [json.loads(line) for line in pipe.text().splitlines()]
    assert [(row.get("id"), row.get("status")) for row in rows] == [
        ("Container web-1", "Stopping"),
        ("Container web-1", "Stopped"),
        ("Container web-1", "Error"),
        ("Service db", "Healthy"),
        (None, None),
    ]
    assert rows[2]["text"] == "cannot connect"
    assert rows[4] == {"level": "warning", "message": "an orphan"}


def test_quiet_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    quiet = Quiet()
    quiet.emit(finished(1, "web-1", "start"))
    quiet.close(summary=True)
    assert capfd.readouterr() == ("", "")


def test_a_replaced_container_counts_once() -> None:
    counter = Counter()
    for event in RECREATION:
        if isinstance(event, StepFinished):
            counter.add(event.kind, event.name, event.verb)
    assert counter.summary(0.084) == "1 started in 84 ms"
    assert Counter().summary(1, 3) == "3 unchanged in 1.0s"
    assert Counter().summary(1) == ""
    assert [duration(value) for value in (0.0004, 0.0999, 0.1, 59.94, 60, 125)] == [
        "0 ms", "100 ms", "0.1s", "59.9s", "1m00s", "2m05s",
    ]  # fmt: skip


# -- tables and templates

ROWS = [{"Name": "web-1", "State": "running", "N": 1}, {"Name": "a-longer-name", "State": "exited", "N": 2}]


def test_tables_are_docker_composes() -> None:
    assert table(("NAME", "STATE"), [("web-1", "running")]) == "NAME      STATE\nweb-1     running\n"
    assert show("table", ROWS, (("NAME", "Name"), ("N", "N"))) == (
        "NAME            N\nweb-1           1\na-longer-name   2\n"
    )
    assert show("table", [], (("NAME", "Name"), ("STATE", "State"))) == "NAME      STATE\n"


def test_json_forms() -> None:
    assert json_lines(ROWS[:1]) == '{"N":1,"Name":"web-1","State":"running"}\n'
    assert json_array(ROWS[:1]) == '[{"Name":"web-1","State":"running","N":1}]\n'
    assert show("json", ROWS, ()) == json_array(ROWS)
    assert show("json", ROWS, (), lines=True) == json_lines(ROWS)


def test_go_templates() -> None:
    assert go_template("{{.Name}}: {{upper .State}}", ROWS[:1]) == "web-1: RUNNING\n"
    assert go_template("{{json .Name}} {{ .N }}", ROWS[:1]) == '"web-1" 1\n'
    assert go_template("table {{.Name}}\\t{{.State}}", ROWS[:1]) == "NAME      STATE\nweb-1     running\n"
    assert json.loads(go_template("{{json .}}", ROWS[:1])) == ROWS[0]
    with pytest.raises(UsageError, match="cannot show the format yaml"):
        show("yaml", ROWS, ())


def test_an_empty_plan_is_said_in_words() -> None:
    assert show_plan(Plan("shop"), "text") == "nothing to do\n"
    assert json.loads(show_plan(Plan("shop"), "json")) == {"project": "shop", "steps": [], "warnings": []}
    with pytest.raises(UsageError):
        show_plan(Plan("shop"), "xml")


# -- logs


def line(name: str, text: str, stream: str = "stdout", time: str = "T") -> Line:
    return Line(name, name.partition("-")[0], LogLine(time, stream, text.encode()))


def printed(capfd: pytest.CaptureFixture[str], printer: LogPrinter, *events: Line | Ended) -> tuple[str, str]:
    for event in events:
        printer.ended(event) if isinstance(event, Ended) else printer.line(event)
    printer.finish()
    printer.flush()
    shown = capfd.readouterr()
    return shown.out, shown.err


def test_lines_stand_under_their_names(capfd: pytest.CaptureFixture[str]) -> None:
    printer = LogPrinter(["web-1", "a-long-name-1"])
    out, _ = printed(capfd, printer, line("web-1", "x\n"), line("a-long-name-1", "y\n"))
    assert out == "web-1          | x\na-long-name-1  | y\n"


def test_a_new_longer_name_moves_the_bar(capfd: pytest.CaptureFixture[str]) -> None:
    out, _ = printed(capfd, LogPrinter(["web-1"]), line("web-1", "x\n"), line("web-10", "y\n"), line("web-1", "z\n"))
    assert out == "web-1  | x\nweb-10  | y\nweb-1   | z\n"


def test_times_and_no_prefix(capfd: pytest.CaptureFixture[str]) -> None:
    out, _ = printed(capfd, LogPrinter(["w"], prefix=False, timestamps=True), line("w", "x\n", time="2026Z"))
    assert out == "2026Z x\n"


def test_pieces_wait_for_their_line_and_the_last_needs_no_newline(capfd: pytest.CaptureFixture[str]) -> None:
    out, _ = printed(
        capfd, LogPrinter(["w", "v"]), line("w", "a"), line("v", "x\n"), line("w", "b\n"), line("w", "end")
    )
    assert out == "v  | x\nw  | ab\nw  | end\n"


def test_stderr_goes_to_stderr_only_when_split(capfd: pytest.CaptureFixture[str]) -> None:
    events = (line("w", "1\n"), line("w", "2\n", "stderr"), line("w", "3\n"))
    assert printed(capfd, LogPrinter(["w"]), *events) == ("w  | 1\nw  | 2\nw  | 3\n", "")
    assert printed(capfd, LogPrinter(["w"], split=True), *events) == ("w  | 1\nw  | 3\n", "w  | 2\n")


def test_an_end_is_told_after_what_was_written(capfd: pytest.CaptureFixture[str]) -> None:
    out, _ = printed(
        capfd, LogPrinter(["w-1"]), line("w-1", "rest"), Ended("w-1", "w", "id", 3), Ended("w-1", "w", "id", 1, True)
    )
    assert out == "w-1  | rest\nw-1 exited with code 3\nw-1 exited with code 1 (restarting)\n"


def test_colours_go_by_names(capfd: pytest.CaptureFixture[str]) -> None:
    out, _ = printed(capfd, LogPrinter(["b", "a"], colours=True), line("b", "x\n"), line("a", "y\n"))
    assert out == "\x1b[33mb  | \x1b[0mx\n\x1b[36ma  | \x1b[0my\n"
    assert Style(False).paint("x", "31") == "x"
