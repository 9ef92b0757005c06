"""Log lines on their way to another program: syslog, journald, fluentd, gelf.

Nothing here ever makes the container wait: what the other side does not take is kept, up to a limit, and then dropped.
The local log has every line, so ``logs`` shows what was not delivered. Formats: docs/logging.md.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import time

from runtime.errors import RuntimeFault
from runtime.shim import forward_formats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shim.loop import Loop
    from runtime.spec import ContainerSpec

BUFFER = 1 << 20  # bytes kept while nobody takes them: Docker's max-buffer-size
RETRY = 1.0  # seconds between two attempts to connect
LAST_CHANCE = 2.0  # seconds for the rest at the end of the container
DATAGRAMS = ("udp", "unixgram")
DEFAULTS = {"syslog": "", "fluentd": "tcp://127.0.0.1:24224", "gelf": "", "journald": ""}
PORTS = {"syslog": 514, "fluentd": 24224, "gelf": 12201}
JOURNAL = "/run/systemd/journal/socket"
LOCAL_SYSLOG = ("/dev/log", "/var/run/syslog", "/var/run/log")


def parse_address(driver: str, text: str) -> tuple[str, str, int]:
    """(tcp, udp, unix or unixgram; host or path; port) of an ``…-address`` option. Raises RuntimeFault."""
    text = text or DEFAULTS[driver]
    if driver == "journald":
        return "unixgram", JOURNAL, 0
    if not text:
        if driver == "gelf":
            raise RuntimeFault("cannot log with driver gelf: gelf-address is not set", "udp://HOST:12201")
        found = [path for path in LOCAL_SYSLOG if os.path.exists(path)]
        return "unixgram", found[0] if found else LOCAL_SYSLOG[0], 0
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "tcp", text
    if scheme in ("unix", "unixgram"):
        return scheme, rest, 0
    if scheme not in ("tcp", "udp"):
        raise RuntimeFault(f"cannot log to {text}: known are tcp, udp, unix and unixgram")
    host, _colon, port = rest.rpartition(":") if rest.rpartition(":")[2].isdigit() else (rest, "", "")
    return scheme, host.strip("[]"), int(port or PORTS[driver])


class Forwarder:
    """Sends a container's lines to where its log configuration says."""

    def __init__(self, spec: ContainerSpec, loop: Loop, note: Callable[[str], None]) -> None:
        self.driver = spec.log.driver
        self.kind, self.place, self.port = parse_address(self.driver, spec.log.target.get(f"{self.driver}-address", ""))
        self.format = forward_formats.make(spec, self.kind)
        self.loop = loop
        self.note = note
        self.socket: _socket.socket | None = None
        self.waiting: list[bytes] = []
        self.size = 0
        self.dropped = 0
        self.next_try = 0.0

    def connect(self) -> None:
        """Raises RuntimeFault: as with Docker, a container whose log has no receiver does not start."""
        try:
            self.socket = self._open()
        except OSError as error:
            where = f"{self.kind}://{self.place}{f':{self.port}' if self.port else ''}"
            raise RuntimeFault(
                f"cannot log with driver {self.driver} to {where}: {(error.strerror or str(error)).lower()}",
                f"is its receiver running? see logging.options.{self.driver}-address",
            ) from error

    def _open(self) -> _socket.socket:
        kind = _socket.SOCK_DGRAM if self.kind in DATAGRAMS else _socket.SOCK_STREAM
        if self.kind.startswith("unix"):
            return _connected(_socket.AF_UNIX, kind, self.place)
        rows = _socket.getaddrinfo(self.place, self.port, 0, kind)
        for last, (family, _kind, _protocol, _name, address) in enumerate(rows, 1 - len(rows)):
            try:
                return _connected(family, kind, address)
            except OSError:
                if last == 0:
                    raise
        raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))

    # -- lines

    def send(self, stream: int, lines: tuple[bytes, ...]) -> None:
        """Format and pass on. Never raises and never waits."""
        now = time.time_ns()
        for line in lines:
            for packet in self.format(stream, line.rstrip(b"\n"), now):
                self.waiting.append(packet)
                self.size += len(packet)
        while self.size > BUFFER:
            self.size -= len(self.waiting.pop(0))
            self.dropped += 1
        self.flush()

    def flush(self, _events: int = 0) -> None:
        """Send what waits, as much as is taken."""
        while self.waiting and (sock := self._connection()) is not None:
            packet = self.waiting[0]
            try:
                sent = sock.send(packet, _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)
            except BlockingIOError:
                self.loop.watch(sock.fileno(), self.flush, select.EPOLLOUT)
                return
            except OSError as error:
                if error.errno in (errno.EMSGSIZE, errno.ENOBUFS):
                    self._sent(len(packet))
                    self.dropped += 1
                    continue
                self._disconnect()
                return
            self._sent(len(packet) if self.kind in DATAGRAMS else sent)
        if self.socket is not None:
            self.loop.forget(self.socket.fileno())
        if self.dropped and not self.waiting:
            self.note(f"log driver {self.driver}: {self.dropped} messages were not taken and are only in the local log")
            self.dropped = 0

    def _sent(self, size: int) -> None:
        self.size -= size
        self.waiting[0] = self.waiting[0][size:]
        if not self.waiting[0]:
            del self.waiting[0]

    def _connection(self) -> _socket.socket | None:
        if self.socket is None and time.monotonic() >= self.next_try:
            self.next_try = time.monotonic() + RETRY
            try:
                self.socket = self._open()
            except OSError:
                self.loop.later(RETRY, self.flush)
        return self.socket

    def _disconnect(self) -> None:
        """A broken connection: what was cut in two is sent whole again, or as far as the receiver understands it."""
        if self.socket is not None:
            self.loop.forget(self.socket.fileno())
            self.socket.close()
            self.socket = None
        self.loop.later(RETRY, self.flush)

    def close(self) -> None:
        """At the container's end: the rest, if it is taken within a moment."""
        sock = self.socket
        if sock is None:
            return
        self.loop.forget(sock.fileno())
        try:
            sock.settimeout(LAST_CHANCE)
            for packet in self.waiting:
                sock.send(packet, _socket.MSG_NOSIGNAL)
        except OSError:
            self.note(f"log driver {self.driver}: {len(self.waiting)} messages were not taken at the end")
        self.waiting.clear()
        sock.close()
        self.socket = None


def _connected(family: int, kind: int, address: object) -> _socket.socket:
    sock = _socket.socket(family, kind | _socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(5.0)
        sock.connect(address)  # type: ignore[arg-type]
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
