"""Output reaches the log exactly once, wherever a shim is killed."""

import json
import os

import pytest

from runtime.shim.output import MAX_LINE, Log, Stream, cut_lines, encode_lines, timestamp
from runtime.spec import LogConfig


class Bench:
    """A FIFO as a container would write to, and a shim's log that can be thrown away and opened again."""

    def __init__(self, path, config=LogConfig()):
        self.path, self.config = path, config
        os.mkfifo(path / "stdout")
        self.fifo = os.open(path / "stdout", os.O_RDWR | os.O_NONBLOCK)
        self.open()

    def open(self):
        self.log = Log(str(self.path / "log.json"), str(self.path), self.config)
        self.stream = Stream(0, self.fifo, str(self.path / "staging"), self.log)

    def kill(self):
        """Forget everything in memory, as a killed process does."""
        self.stream.close()
        self.log.close()

    def write(self, data):
        os.write(self.fifo, data)

    def text(self):
        rows = (self.path / "log.json").read_text().splitlines()
        return "".join(json.loads(row)["log"] for row in rows)


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.kill()
    os.close(made.fifo)


def test_lines_wait_for_their_newline_and_the_last_one_for_the_end(bench):
    bench.write(b"one\ntw")
    bench.stream.pump()
    assert bench.text() == "one\n"
    bench.write(b"o\nthree")
    bench.stream.pump()
    assert bench.text() == "one\ntwo\n"
    while bench.stream.pump(at_end=True):
        pass
    assert bench.text() == "one\ntwo\nthree"


def test_every_byte_is_shown_at_once(bench):
    shown = []
    bench.write(b"prompt> ")
    bench.stream.pump(lambda number, data: shown.append((number, data)))
    assert shown == [(0, b"prompt> ")]


def test_a_shim_killed_between_log_and_journal_repeats_nothing(bench):
    bench.write(b"a\nb\n")
    bench.log.commit = lambda: None  # the kill comes before the record
    bench.stream.pump()
    assert bench.text() == "a\nb\n"
    bench.kill()
    bench.open()
    bench.stream.pump()
    assert bench.text() == "a\nb\n"


def test_a_shim_killed_between_staging_and_log_loses_nothing(bench):
    bench.write(b"a\nb\n")
    bench.stream._log = lambda at_end: None
    bench.stream.pump()
    assert bench.text() == ""
    bench.kill()
    bench.open()
    bench.write(b"c\n")
    bench.stream.pump()
    assert bench.text() == "a\nb\nc\n"


def test_a_torn_append_is_cut_off(bench):
    bench.write(b"whole\n")
    bench.stream.pump()
    with open(bench.path / "log.json", "a") as file:
        file.write('{"log":"to')
    bench.kill()
    bench.open()
    bench.write(b"next\n")
    bench.stream.pump()
    assert bench.text() == "whole\nnext\n"


def test_staging_memory_is_given_back(bench):
    line = b"x" * 1023 + b"\n"
    for _ in range(4096):
        bench.write(line)
        bench.stream.pump()
    assert os.stat(bench.path / "staging").st_blocks * 512 < 3 << 20
    assert len(bench.text()) == 4096 * 1024


def test_rotation_keeps_the_configured_number_of_files(tmp_path):
    bench = Bench(tmp_path, LogConfig(max_size=2000, max_files=2))
    for number in range(100):
        bench.write(b"line %d\n" % number)
        bench.stream.pump()
    assert sorted(name for name in os.listdir(tmp_path) if name.startswith("log")) == ["log.json", "log.json.1"]
    assert (tmp_path / "log.json").stat().st_size <= 2000
    assert bench.text().endswith("line 99\n")
    bench.kill()
    os.close(bench.fifo)


def test_cutting():
    assert cut_lines(b"a\nb", at_end=False).lines == (b"a\n",)
    assert cut_lines(b"a\nb", at_end=True).lines == (b"a\n", b"b")
    long = cut_lines(b"y" * (MAX_LINE + 5), at_end=False)
    assert [len(line) for line in long.lines] == [MAX_LINE]
    assert cut_lines(b"", at_end=True).size == 0


def test_encoding_is_json_with_replaced_bytes():
    row = json.loads(encode_lines((b'q"\\\xff\xe2\x82\xac\n',), "stderr", timestamp(0)))
    assert row == {"log": 'q"\\\ufffd\u20ac\n', "stream": "stderr", "time": "1970-01-01T00:00:00.000000000Z"}
