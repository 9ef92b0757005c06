"""The live tree, on a real pseudo-terminal with a small model of a screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from compose.cli.render.rows import Rows
from compose.cli.render.screen import Screen, fit, plain, width
from compose.cli.render.tty import Tree
from compose.cli.render.words import Style
from compose.events import Note, StepFinished, StepProgress, StepStarted
from tests.support.cli import eventually

if TYPE_CHECKING:
    from compose.events import Event


def started(number: int, name: str, verb: str, kind: str = "container", why: str = "because") -> StepStarted:
    return StepStarted(number, kind, name, verb, why)


def finished(
    number: int, name: str, verb: str, error: str = "", kind: str = "container", detail: str = ""
) -> StepFinished:
    return StepFinished(number, kind, name, verb, 0.3, error, detail)


class Model:
    """What a terminal would show: lines, a cursor that moves, erasing. Enough for what screen.py writes."""

    def __init__(self, columns: int) -> None:
        self.lines: list[str] = [""]
        self.row = self.column = 0
        self.columns = columns

    def feed(self, text: str) -> None:
        text = re.sub(r"\x1b\[\?\d+[hl]|\x1b\[\d*m", "", text)
        for part in re.findall(r"\x1b\[\d+[AB]|\x1b\[K|\x1b\[J|\r|\n|[^\x1b\r\n]+", text):
            if part[0] == "\x1b" and part[-1] in "AB":
                self.row += int(part[2:-1]) * (1 if part[-1] == "B" else -1)
                assert 0 <= self.row < len(self.lines)
            elif part == "\n":
                self.row, self.column = self.row + 1, 0
                while len(self.lines) <= self.row:
                    self.lines.append("")
            elif part == "\r":
                self.column = 0
            elif part == "\x1b[J":
                self.lines[self.row] = self.lines[self.row][: self.column]
                del self.lines[self.row + 1 :]
            elif part == "\x1b[K":
                self.lines[self.row] = self.lines[self.row][: self.column]
            else:
                assert self.column + len(part) <= self.columns, f"wraps: {part!r}"
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + part + line[self.column + len(part) :]
                self.column += len(part)


class Pty:
    """A pseudo-terminal, and everything that was written to it, one read after the other."""

    def __init__(self, columns: int = 40, rows: int = 10) -> None:
        self.ours, self.fd = pty.openpty()
        self.columns = columns
        self.resize(columns, rows)
        settings = termios.tcgetattr(self.fd)
        settings[1] &= ~termios.OPOST  # "\n" alone, as it was written
        termios.tcsetattr(self.fd, termios.TCSANOW, settings)
        self.received: list[bytes] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.ours, 65536)
            except OSError:
                return
            self.received.append(data)

    @property
    def text(self) -> str:
        return b"".join(self.received).decode(errors="ignore")

    def hang_up(self) -> None:
        """The reader has seen everything; its descriptor may be used again."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self.reader.join(5)

    def lines(self) -> list[str]:
        """The screen at the end."""
        self.hang_up()
        model = Model(self.columns)
        model.feed(self.text)
        return [line.rstrip() for line in model.lines]


@pytest.fixture
def terminal() -> Iterator[Pty]:
    made = Pty()
    yield made
    made.hang_up()
    os.close(made.ours)


RECREATION: list[Event] = [
    started(1, "web-1", "create"),
    finished(1, "web-1", "create"),
    started(2, "web-1", "stop"),
    finished(2, "web-1", "stop"),
    finished(5, "web-1", "start"),
    finished(6, "web-1", "remove"),
    finished(7, "web-1", "rename"),
]


def test_the_tree_ends_as_one_picture(terminal: Pty) -> None:
    tree = Tree("up", terminal.fd)
    tree.emit(started(0, "default", "create", "network"))
    tree.emit(finished(0, "default", "create", kind="network"))
    for event in RECREATION:
        tree.emit(event)
        time.sleep(0.02)
    tree.emit(Note("an orphan", "warning"))
    tree.emit(started(9, "db-1", "start"))
    tree.emit(finished(9, "db-1", "start", "cannot start"))
    tree.close(summary=True, unchanged=1)
    lines = terminal.lines()
    assert lines[0] == "warning: an orphan"
    assert re.fullmatch(r"\[\+\] up 3/3  .*", lines[1])
    assert re.fullmatch(r" ✔ Network default  Created +\S+( ms)?", lines[2])
    assert lines[3].startswith(" ✔ Container web-1  Removed ")
    assert lines[4].startswith(" ✘ Container db-1   Error ")
    assert re.fullmatch(r"2 started, 1 unchanged in .*|1 started, 1 unchanged in .*", lines[5])
    assert lines[6:] == [""]


def test_each_picture_is_one_synchronised_update(terminal: Pty) -> None:
    tree = Tree("up", terminal.fd)
    for event in RECREATION:
        tree.emit(event)
        time.sleep(0.06)
    tree.close()
    terminal.lines()
    assert terminal.text.count("\x1b[?2026h") == terminal.text.count("\x1b[?2026l") > 3
    between = re.sub(r"\x1b\[\?2026h.*?\x1b\[\?2026l", "", terminal.text, flags=re.DOTALL)
    assert between == "\x1b[?25h"  # nothing is drawn outside; at the end the cursor is shown again


def test_only_lines_that_changed_are_written(terminal: Pty) -> None:
    screen = Screen(terminal.fd)
    screen.show(["one", "two", "three"])
    eventually(lambda: "three" in terminal.text)
    before = len(terminal.text)
    screen.show(["one", "TWO", "three"])
    eventually(lambda: "TWO" in terminal.text)
    assert "one" not in terminal.text[before:]
    assert "three" not in terminal.text[before:]
    screen.show(["one", "TWO", "three"])
    screen.leave()
    assert terminal.lines() == ["one", "TWO", "three", ""]


def test_output_goes_above_the_region(terminal: Pty) -> None:
    screen = Screen(terminal.fd)
    screen.above(b"before\n")
    screen.show(["menu"])
    screen.above(b"a log line\n")
    screen.show(["menu", "two"])
    screen.above(b"another\n")
    screen.show([])
    assert terminal.lines() == ["before", "a log line", "another", ""]


def test_a_narrower_window_takes_no_line_of_others(terminal: Pty) -> None:
    screen = Screen(terminal.fd)
    screen.show(["x" * 39, "y" * 10])
    terminal.resize(20, 10)  # the terminal folds the first line into two
    screen.show(["x" * 19, "y" * 10])
    eventually(lambda: terminal.text.count("yyyyyyyyyy") == 2)
    assert "\x1b[3A" in terminal.text
    screen.leave()


def test_the_tree_fits_the_screen_while_it_works_and_is_whole_at_the_end(terminal: Pty) -> None:
    tree = Tree("up", terminal.fd)
    for number in range(20):
        tree.emit(started(number, f"a-service-with-a-very-long-name-{number}", "create"))
    eventually(lambda: "… 14 more: 14 Creating" in terminal.text)
    ups = [int(number) for number in re.findall(r"\x1b\[(\d+)A", terminal.text)]
    assert max(ups, default=0) < 10
    for number in range(20):
        tree.emit(finished(number, f"a-service-with-a-very-long-name-{number}", "create"))
    tree.close()
    lines = terminal.lines()
    assert sum("✔" in line for line in lines) == 20
    assert any("me-19  Created" in line for line in lines)  # names are cut in the middle: their ends differ


def test_a_window_resized_in_the_middle_gets_the_next_picture_in_its_size(terminal: Pty) -> None:
    tree = Tree("up", terminal.fd)
    for number in range(6):
        tree.emit(started(number, f"web-{number}", "create"))
    eventually(lambda: "web-5" in terminal.text)
    assert "more" not in terminal.text
    terminal.resize(30, 6)
    eventually(lambda: "more: " in terminal.text)
    tree.close()


def test_a_tree_without_events_draws_nothing(terminal: Pty) -> None:
    Tree("up", terminal.fd).close(summary=True)
    assert terminal.lines() == [""]


def test_a_folded_tree_leaves_its_summary_and_what_failed(terminal: Pty) -> None:
    tree = Tree("up", terminal.fd, folded=True)
    for event in RECREATION:
        tree.emit(event)
    tree.emit(started(9, "db-1", "start"))
    tree.emit(finished(9, "db-1", "start", "cannot start"))
    tree.screen.above(b"web-1  | hello\n")
    tree.close(summary=True)
    lines = terminal.lines()
    assert lines[0] == "web-1  | hello"
    assert lines[1].startswith(" ✘ Container db-1")
    assert "started in" in lines[2]
    assert lines[3:] == [""]


# -- rows


def rows_of(*events: Event) -> Rows:
    rows = Rows(Style(False))
    for event in events:
        match event:
            case StepStarted():
                rows.started(event, 0.0)
            case StepFinished():
                rows.finished(event, 1.0)
            case StepProgress():
                rows.progress(event, 0.5)
    return rows


def test_a_service_that_is_waited_for_is_shown_at_its_containers() -> None:
    events = [started(1, "db-1", "start"), finished(1, "db-1", "start")]
    waiting = started(2, "db", "wait", "service", "healthy, required by web")
    rows = rows_of(*events, waiting)
    assert rows.lines(2.0, 0.0, 80, 9)[0].split() == [
        "⠋", "Container", "db-1", "Waiting", "healthy,", "required", "by", "web", "2.0s",
    ]  # fmt: skip
    rows = rows_of(*events, waiting, finished(2, "db", "wait", kind="service", detail="Healthy"))
    (line,) = rows.lines(2.0, 0.0, 80, 9)
    assert line.split()[:4] == ["✔", "Container", "db-1", "Healthy"]


def test_a_pull_shows_a_bar_and_its_layers() -> None:
    rows = rows_of(
        started(1, "nginx", "pull", "image"),
        StepProgress("image", "nginx", "4f1c2a", "Downloading", 3_000_000, 10_000_000),
        StepProgress("image", "nginx", "77aa00", "Pull complete", 10_000_000, 10_000_000, done=True),
    )
    first, second = rows.lines(2.0, 0.0, 80, 9)
    assert first.split()[:4] == ["⠋", "Image", "nginx", "Pulling"]
    assert "[=============>      ] 13MB/20MB" in first
    assert second.split()[:3] == ["⠋", "4f1c2a", "Downloading"]
    assert "3MB/10MB" in second
    narrow = rows.lines(2.0, 0.0, 40, 9)
    assert "13MB/20MB" in narrow[0] or "65%" in narrow[0]
    assert all(width(line) <= 40 for line in narrow)


@pytest.mark.parametrize("columns", [20, 30, 40, 80, 200])
@pytest.mark.parametrize("name", ["a", "ünïcödé-宽字符-service-1", "x" * 70])
def test_no_row_is_wider_than_the_window(columns: int, name: str) -> None:
    rows = rows_of(
        started(1, name, "start"),
        started(2, "other-1", "create"),
        finished(2, "other-1", "create", "cannot"),
        started(3, "img", "build", "image"),
        StepProgress("image", "img", "[2/5] RUN make everything that there is to make", "compiling x.c", 5, 0),
        StepProgress("image", "img", "layer", "Downloading", 5, 50000),
    )
    for room in (0, 1, 2, 9):
        assert all(width(line) <= columns for line in rows.lines(65.0, 0.0, columns, room))
        assert not room or len(rows.lines(65.0, 0.0, columns, room)) <= room


def test_failures_are_never_folded_away() -> None:
    events: list[Event] = [started(0, "bad-1", "start"), finished(0, "bad-1", "start", "cannot")]
    events += [started(number, f"s-{number}", "create") for number in range(1, 51)]
    lines = rows_of(*events).lines(1.0, 0.0, 40, 7)
    assert len(lines) == 7
    assert "✘ Container bad-1" in lines[0]
    assert lines[-1].strip() == "… 45 more: 45 Creating"


def test_texts_are_cut_to_columns() -> None:
    assert fit("abcdef", 6) == "abcdef"
    assert fit("abcdefg", 6) == "abcde…"
    assert fit("abcdefg-12", 7, 3) == "abc…-12"
    assert fit("宽字符", 4) == "宽…"
    assert width("\x1b[31m宽\x1b[0m!") == 3
    assert plain("\x1b[31mred\x1b[0m") == "red"
