"""Log drivers: options of the local ones, and what the receivers of the others get."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeProject
from tests.support.cli import Machine, Project, eventually

pytestmark = pytest.mark.root

WRITER = """
services:
  a:
    image: IMAGE
    command: ["sh", "-c", "echo out; echo err >&2; exec sleep 1000"]
    stop_signal: SIGKILL
    environment: {COLOUR: blue, OTHER: x}
    labels: {tier: front}
    logging: LOGGING
"""


class Receiver:
    """A socket that collects what is sent to it."""

    def __init__(self, family: int, kind: int, address: Any) -> None:
        self.socket = socket.socket(family, kind)
        self.socket.bind(address)
        self.socket.settimeout(5)
        self.kind = kind
        self.peer: socket.socket | None = None
        if kind == socket.SOCK_STREAM:
            self.socket.listen()

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def datagrams(self, count: int) -> list[bytes]:
        return [self.socket.recv(65536) for _number in range(count)]

    def bytes_until(self, *ends: bytes) -> bytes:
        if self.peer is None:
            self.peer, _address = self.socket.accept()
            self.peer.settimeout(5)
        data = b""
        while not all(end in data for end in ends):
            part = self.peer.recv(65536)
            assert part, data
            data += part
        return data

    def close(self) -> None:
        for one in (self.peer, self.socket):
            if one is not None:
                one.close()


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    made: list[Receiver] = []
    yield made
    for one in made:
        one.close()


def udp(receivers: list[Receiver]) -> Receiver:
    receivers.append(Receiver(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)))
    return receivers[-1]


def tcp(receivers: list[Receiver]) -> Receiver:
    receivers.append(Receiver(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)))
    return receivers[-1]


def writer(project: MakeProject, driver: str, **options: str) -> Project:
    return project(WRITER.replace("LOGGING", json.dumps({"driver": driver, "options": options})))


def both_shown(app: Project) -> None:
    """Whatever the driver: ``logs`` shows the lines."""
    eventually(lambda: sorted(app.logs("a")) == ["err", "out"], 5, "logs of the container")


def test_syslog_udp(project: MakeProject, receivers: list[Receiver]) -> None:
    server = udp(receivers)
    address = f"udp://127.0.0.1:{server.port}"
    app = writer(
        project, "syslog", **{"syslog-address": address, "syslog-facility": "local3", "tag": "{{.Name}}/{{.ID}}"}
    )
    app.up()
    lines = sorted(server.datagrams(2))
    tag = f"{app.name}-a-1/{app.ident('a')[:12]}"
    form = rb"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d " + re.escape(tag.encode()) + rb"\[\d+\]: (\w+)\n"
    found = [re.fullmatch(form, line) for line in lines]
    assert all(found), lines
    assert {(match[1], match[2]) for match in found if match} == {(b"158", b"out"), (b"155", b"err")}  # 19*8 + 6, + 3
    both_shown(app)


def test_syslog_rfc5424_tcp(project: MakeProject, receivers: list[Receiver]) -> None:
    server = tcp(receivers)
    address = f"tcp://127.0.0.1:{server.port}"
    app = writer(project, "syslog", **{"syslog-address": address, "syslog-format": "rfc5424micro"})
    app.up()
    data = server.bytes_until(b"out\n", b"err\n")
    frames = []
    while data:
        size, _blank, data = data.partition(b" ")
        frames.append(data[: int(size)])
        data = data[int(size) :]
    host, ident = os.uname().nodename, app.ident("a")[:12]
    for frame in frames:
        pattern = (
            rf"<\d+>1 \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{6}}Z {re.escape(host)} {ident} \d+ {ident} - (out|err)\n"
        )
        assert re.fullmatch(pattern, frame.decode()), frame


def test_syslog_unix_and_rfc3164(project: MakeProject, receivers: list[Receiver], tmp_path: Path) -> None:
    path = f"{tmp_path}/log.sock"
    receivers.append(Receiver(socket.AF_UNIX, socket.SOCK_DGRAM, path))
    app = writer(project, "syslog", **{"syslog-address": f"unixgram://{path}", "syslog-format": "rfc3164"})
    app.up()
    assert all(os.uname().nodename.encode() in line for line in receivers[0].datagrams(2))


def test_a_receiver_that_is_not_there_keeps_it_from_starting(project: MakeProject) -> None:
    app = writer(project, "syslog", **{"syslog-address": "tcp://127.0.0.1:1"})
    error = app.up(code=1).stderr
    assert "cannot log with driver syslog to tcp://127.0.0.1:1: connection refused" in error
    assert app.names() == []


def test_a_receiver_that_goes_away_does_not_harm(project: MakeProject, receivers: list[Receiver]) -> None:
    server = tcp(receivers)
    app = project(
        WRITER.replace("echo out; echo err >&2; exec sleep 1000", "while :; do echo tick; sleep 0.05; done").replace(
            "LOGGING", json.dumps({"driver": "syslog", "options": {"syslog-address": f"tcp://127.0.0.1:{server.port}"}})
        )
    )
    app.up()
    server.bytes_until(b"tick")
    port = server.port
    server.close()
    before = len(app.logs("a"))
    eventually(lambda: len(app.logs("a")) > before + 5, 5, "it writes on")
    again = socket.socket()
    again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    again.bind(("127.0.0.1", port))
    again.listen()
    again.settimeout(10)
    peer, _address = again.accept()
    assert b"tick" in peer.recv(65536)
    peer.close()
    again.close()


def test_a_new_shim_goes_on_sending(other_machine: Machine, project: MakeProject, receivers: list[Receiver]) -> None:
    server = udp(receivers)
    options = json.dumps({"driver": "syslog", "options": {"syslog-address": f"udp://127.0.0.1:{server.port}"}})
    text = WRITER.replace("echo out; echo err >&2; exec sleep 1000", "while read line; do echo $$line; done < /fifo")
    text = text.replace('"sh", "-c", "', '"sh", "-c", "mkfifo /fifo; exec 3<>/fifo; ').replace("LOGGING", options)
    app = project(text, on=other_machine)
    app.up()
    app.sh("a", "echo before > /fifo")
    assert server.datagrams(1)[0].endswith(b": before\n")
    other_machine.kill_ours()
    app.up()
    app.sh("a", "echo after > /fifo")
    assert server.datagrams(1)[0].endswith(b": after\n")
    assert app.logs("a") == ["before", "after"]


def test_gelf(project: MakeProject, receivers: list[Receiver]) -> None:
    server = udp(receivers)
    options = {"gelf-address": f"udp://127.0.0.1:{server.port}", "labels": "tier", "env-regex": "^COL", "tag": "shop"}
    app = writer(project, "gelf", **options)
    app.up()
    rows = [json.loads(gzip.decompress(data)) for data in server.datagrams(2)]
    assert {(row["short_message"], row["level"]) for row in rows} == {("out", 6), ("err", 3)}
    assert {(row["_tier"], row["_COLOUR"], row["_tag"], row["version"]) for row in rows} == {
        ("front", "blue", "shop", "1.1")
    }
    assert rows[0]["_container_name"] == f"{app.name}-a-1"
    both_shown(app)


def unpacked(data: bytes) -> tuple[Any, bytes]:
    """One msgpack value of the kinds that are sent, and the rest."""
    kind = data[0]
    if kind & 0xF0 == 0x90 or kind & 0xF0 == 0x80:
        values, rest = [], data[1:]
        for _number in range((kind & 0x0F) * (2 if kind & 0xF0 == 0x80 else 1)):
            value, rest = unpacked(rest)
            values.append(value)
        return (dict(zip(values[::2], values[1::2])) if kind & 0xF0 == 0x80 else values), rest
    if kind & 0xE0 == 0xA0:
        size = kind & 0x1F
        return data[1 : 1 + size].decode(), data[1 + size :]
    if kind == 0xDA:
        size = struct.unpack(">H", data[1:3])[0]
        return data[3 : 3 + size].decode(), data[3 + size :]
    assert kind == 0xCE, hex(kind)
    return struct.unpack(">I", data[1:5])[0], data[5:]


def test_fluentd(project: MakeProject, receivers: list[Receiver]) -> None:
    server = tcp(receivers)
    app = writer(project, "fluentd", **{"fluentd-address": f"127.0.0.1:{server.port}", "tag": "shop.{{.Name}}"})
    app.up()
    data = server.bytes_until(b"\xa3out", b"\xa3err")
    events = []
    while data:
        event, data = unpacked(data)
        events.append(event)
    assert {(event[2]["source"], event[2]["log"]) for event in events} == {("stdout", "out"), ("stderr", "err")}
    assert {(event[0], event[2]["container_id"]) for event in events} == {(f"shop.{app.name}-a-1", app.ident("a"))}


@pytest.mark.skipif(os.path.exists("/run/systemd/journal/socket"), reason="a journal runs here: its socket is taken")
def test_journald(project: MakeProject, receivers: list[Receiver]) -> None:
    directory = Path("/run/systemd/journal")
    missing = [path for path in (directory, directory.parent) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    receivers.append(Receiver(socket.AF_UNIX, socket.SOCK_DGRAM, str(directory / "socket")))
    try:
        app = writer(project, "journald", labels="tier")
        app.up()
        rows = [dict(line.split(b"=", 1) for line in data.splitlines()) for data in receivers[0].datagrams(2)]
    finally:
        (directory / "socket").unlink()
        for path in missing:
            path.rmdir()
    assert {(row[b"MESSAGE"], row[b"PRIORITY"]) for row in rows} == {(b"out", b"6"), (b"err", b"3")}
    assert rows[0][b"CONTAINER_NAME"].decode() == f"{app.name}-a-1"
    assert rows[0][b"TIER"] == b"front"


def test_json_file_attributes_and_rotation(project: MakeProject) -> None:
    app = project(
        WRITER.replace("echo out; echo err >&2; exec sleep 1000", "seq 1 2000; exec sleep 1000").replace(
            "LOGGING",
            '{driver: json-file, options: {max-size: 20k, max-file: "3", labels: "tier,absent", env: COLOUR, tag: "{{.Name}}"}}',
        )
    )
    app.up()
    directory = Path(app.machine.state, "containers", app.ident("a"))
    eventually(lambda: (directory / "log.json.2").exists() and app.logs("a")[-1] == "2000", 5, "rotation")
    assert not (directory / "log.json.3").exists()
    assert all(path.stat().st_size <= 20_000 for path in directory.glob("log.json*"))
    entry = json.loads((directory / "log.json").read_text().splitlines()[0])
    assert entry["attrs"] == {"tier": "front", "COLOUR": "blue", "tag": f"{app.name}-a-1"}


def test_local_and_none(project: MakeProject) -> None:
    app = project("""
services:
  local: {image: IMAGE, command: "echo kept", logging: {driver: local}}
  none: {image: IMAGE, command: "echo lost", logging: {driver: none}}
""")
    app.up()
    eventually(lambda: {row["State"] for row in app.rows()} == {"exited"}, 5, "both end")
    assert app.logs("local") == ["kept"]
    assert app.logs("none") == []


@pytest.mark.parametrize(
    ("logging", "expected"),
    [
        ("{driver: json-file, options: {foo: bar}}", "cannot set logging option 'foo' of a"),
        ("{driver: splunk}", "is not supported: a plug-in of Docker's engine"),
        ("{options: {max-file: '0'}}", "max-file is 1 or more"),
        ("{driver: gelf}", "gelf-address is not set"),
        ("{options: {tag: '{{.Nonsense}}'}}", "no Nonsense"),
    ],
)
def test_what_cannot_be_is_said(project: MakeProject, logging: str, expected: str) -> None:
    app = project(f"services: {{a: {{image: IMAGE, command: sleep 9, logging: {logging}}}}}")
    assert expected in app.up(code=1).stderr
