"""Joining a command's own streams to a container: exec and attach.

The container never gets our descriptors: pipes or its own terminal stand between, so nothing inside can reopen a
file of the host or push characters into its terminal (TIOCSTI).
"""

from __future__ import annotations

import _signal
import os
import select

from runtime import plain_json as json
from runtime.container import connect, raise_for
from runtime.errors import RuntimeFault
from runtime.messages import Channel, Closed
from runtime.record import to_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runtime.paths import Roots
    from runtime.spec import Process

CHUNK = 32 * 1024
DETACH_KEYS = b"\x10\x11"  # ctrl-p, ctrl-q
FORWARDED = (_signal.SIGTERM, _signal.SIGHUP, _signal.SIGINT, _signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGQUIT)


PATIENCE = 3  # interrupts after which we leave a process that does not listen, as docker does


class Impatience:
    """Counts interrupts that were passed on. The third raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.count = 0

    def heard(self, number: int) -> None:
        if number in (_signal.SIGINT, _signal.SIGTERM):
            self.count += 1
            if self.count >= PATIENCE:
                raise KeyboardInterrupt


class RawTerminal:
    """Our terminal in raw mode for as long as the context lasts; nothing when it is not a terminal."""

    def __init__(self, fd: int) -> None:
        self.fd = fd if fd >= 0 and os.isatty(fd) else -1
        self.saved: list[Any] = []

    def __enter__(self) -> None:
        if self.fd >= 0:
            import termios
            import tty

            self.saved = termios.tcgetattr(self.fd)
            tty.setraw(self.fd)

    def __exit__(self, *_error: object) -> None:
        if self.saved:
            import termios

            termios.tcsetattr(self.fd, termios.TCSADRAIN, self.saved)


class Signals:
    """Signals as bytes on a descriptor, for the time of a relay; the handlers from before come back."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers
        self.before: dict[int, Any] = {}

    def __enter__(self) -> int:
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.wakeup = _signal.set_wakeup_fd(self.writer, warn_on_full_buffer=False)
        for number in self.numbers:
            self.before[number] = _signal.signal(number, lambda *_args: None)
        return self.reader

    def __exit__(self, *_error: object) -> None:
        _signal.set_wakeup_fd(self.wakeup)
        for number, handler in self.before.items():
            _signal.signal(number, handler if handler is not None else _signal.SIG_DFL)
        os.close(self.reader)
        os.close(self.writer)


def window_size(fd: int) -> tuple[int, int]:
    """Rows and columns of a terminal, (0, 0) when it has none."""
    try:
        size = os.get_terminal_size(fd)
    except OSError:
        return (0, 0)
    return size.lines, size.columns


def set_window_size(fd: int, size: tuple[int, int]) -> None:
    import fcntl
    import struct
    import termios

    if size != (0, 0):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))


# -- exec


def exec_process(
    roots: Roots,
    ident: str,
    process: Process,
    *,
    fds: tuple[int, int, int] = (0, 1, 2),
    tty: bool = False,
    detach: bool = False,
    privileged: bool = False,
    stdin: bool = True,
) -> int:
    """Run a process in a running container, with ``fds`` as its streams; its exit code (0 when detached).

    Raises StartFailed (126, 127) and Conflict (not running).
    """
    channel = connect(roots, ident)
    try:
        message = {"op": "exec", "process": to_plain(process), "privileged": privileged}
        if tty and not detach:
            return _exec_terminal(channel, message, fds)
        return _exec_pipes(channel, message, fds, detach=detach, stdin=stdin)
    finally:
        channel.close()


def _started(channel: Channel) -> list[int]:
    try:
        answer, fds = channel.receive()
    except Closed:
        raise RuntimeFault("cannot exec: the container's shim has died", "try again") from None
    raise_for(answer)
    return fds


def _exec_terminal(channel: Channel, message: dict[str, Any], fds: tuple[int, int, int]) -> int:
    channel.send(message)
    (master,) = _started(channel)
    set_window_size(master, window_size(fds[0]))
    os.set_blocking(master, False)
    with RawTerminal(fds[0]), Signals(*FORWARDED, _signal.SIGWINCH) as wakeups:
        relay = Relay(channel, wakeups)
        relay.resize = lambda: set_window_size(master, window_size(fds[0]))
        relay.join(fds[0], master, close_at_end=False)
        relay.join(master, fds[1])
        relay.last = (master,)
        return relay.run()


def _exec_pipes(
    channel: Channel, message: dict[str, Any], fds: tuple[int, int, int], *, detach: bool, stdin: bool
) -> int:
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    if detach:
        channel.send(message, (null, null, null))
        _started(channel)
        return 0
    out, out_end = os.pipe2(os.O_CLOEXEC)
    err, err_end = os.pipe2(os.O_CLOEXEC)
    in_end, into = os.pipe2(os.O_CLOEXEC) if stdin else (null, -1)
    channel.send(message, (in_end, out_end, err_end))
    for fd in (in_end, out_end, err_end):
        os.close(fd)
    _started(channel)
    with Signals(*FORWARDED) as wakeups:
        relay = Relay(channel, wakeups)
        if stdin:
            os.set_blocking(into, False)
            relay.join(fds[0], into)
        relay.join(out, fds[1])
        relay.join(err, fds[2])
        relay.last = (out, err)
        return relay.run()


class Relay:
    """Copies between descriptors until the process has ended and its output is at its end."""

    def __init__(self, channel: Channel, wakeups: int) -> None:
        self.channel = channel
        self.wakeups = wakeups
        self.poll = select.poll()
        self.targets: dict[int, tuple[int, bool]] = {}
        self.last: tuple[int, ...] = ()  # output descriptors to be drained after the exit
        self.waiting: dict[int, tuple[int, bytes]] = {}  # full target → (source, what it must still take)
        self.resize: Callable[[], None] | None = None
        self.exit: int | None = None
        self.impatience = Impatience()
        self.poll.register(channel.fileno(), select.POLLIN)
        self.poll.register(wakeups, select.POLLIN)

    def join(self, source: int, target: int, *, close_at_end: bool = True) -> None:
        self.targets[source] = (target, close_at_end)
        try:
            self.poll.register(source, select.POLLIN)
        except OSError:  # closed by our caller
            self._end(source)

    def run(self) -> int:
        """The exit code. Output that outlives the process (a background child holds the pipe) is not waited for."""
        while self.exit is None:
            for fd, _events in self.poll.poll():
                self._ready(fd)
        for fd in self.last:
            self._drain(fd)
        return self.exit

    def _ready(self, fd: int) -> None:
        if fd == self.channel.fileno():
            self._message()
        elif fd == self.wakeups:
            self._signals()
        elif fd in self.waiting:
            self._continue(fd)
        elif fd in self.targets:
            self._copy(fd)

    def _message(self) -> None:
        try:
            message, _fds = self.channel.receive()
        except Closed:
            raise RuntimeFault("cannot learn the exit code: the container's shim has died") from None
        self.exit = int(message["exit"])

    def _signals(self) -> None:
        for number in os.read(self.wakeups, 64):
            if number == _signal.SIGWINCH:
                if self.resize is not None:
                    self.resize()
            else:
                self.impatience.heard(number)
                self.channel.send({"op": "signal-exec", "signal": number})

    def _copy(self, fd: int) -> bool:
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            if self.exit is not None:
                raise
            return True
        except OSError:  # EIO: the terminal has hung up
            data = b""
        if not data:
            self._end(fd)
            return False
        try:
            self._write(fd, data)
        except BrokenPipeError:
            if fd in self.last:
                raise
            self._end(fd)
        return True

    def _write(self, source: int, data: bytes) -> None:
        """Output blocks, as any program's; input must not, for the program may wait for us to read."""
        target, _close = self.targets[source]
        if source in self.last:
            write_all(target, data)
            return
        try:
            written = os.write(target, data)
        except BlockingIOError:
            written = 0
        if written < len(data):
            self.waiting[target] = (source, data[written:])
            self.poll.unregister(source)
            self.poll.register(target, select.POLLOUT)

    def _continue(self, target: int) -> None:
        """A full target has room again."""
        source, data = self.waiting.pop(target)
        self.poll.unregister(target)
        self.poll.register(source, select.POLLIN)
        try:
            self._write(source, data)
        except BrokenPipeError:
            self._end(source)

    def _end(self, fd: int) -> None:
        target, close = self.targets.pop(fd)
        try:
            self.poll.unregister(fd)
        except KeyError:
            pass
        if close and target > 2:
            os.close(target)

    def _drain(self, fd: int) -> None:
        os.set_blocking(fd, False)
        while fd in self.targets:
            try:
                if not self._copy(fd):
                    return
            except BlockingIOError:
                return


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])


# -- attach


def attach(
    roots: Roots,
    ident: str,
    *,
    fds: tuple[int, int, int] = (0, 1, 2),
    tty: bool = False,
    stdin: bool = True,
    detach_keys: bytes = DETACH_KEYS,
    start: Callable[[], None] | None = None,
    forward_signals: bool = True,
) -> int | None:
    """Follow a container's streams; its exit code, or None when the user detached.

    ``start`` is called when the streams are joined, so that not a byte is missed.
    """
    channel = connect(roots, ident)
    rows, columns = window_size(fds[0]) if tty else (0, 0)
    raise_for(channel.ask({"op": "attach", "rows": rows, "columns": columns})[0])
    session = _Attachment(channel, fds, tty=tty, stdin=stdin, detach_keys=detach_keys)
    if start is not None:
        start()
    numbers = (*FORWARDED, _signal.SIGWINCH) if forward_signals else (_signal.SIGWINCH,)
    with RawTerminal(fds[0] if tty else -1), Signals(*numbers) as wakeups:
        try:
            return session.run(wakeups)
        finally:
            channel.close()


class _Attachment:
    """Frames of ``runtime/shim/attach.py`` on one side, our descriptors on the other."""

    def __init__(
        self, channel: Channel, fds: tuple[int, int, int], *, tty: bool, stdin: bool, detach_keys: bytes
    ) -> None:
        self.channel = channel
        self.fds = fds
        self.tty = tty
        self.keys = detach_keys
        self.pressed = b""
        self.impatience = Impatience()
        self.poll = select.poll()
        self.poll.register(channel.fileno(), select.POLLIN)
        self.has_stdin = stdin
        if stdin:
            try:
                self.poll.register(fds[0], select.POLLIN)
            except OSError:
                self._end_of_input()

    def run(self, wakeups: int) -> int | None:
        self.poll.register(wakeups, select.POLLIN)
        while True:
            for fd, _events in self.poll.poll():
                if fd == self.channel.fileno():
                    code = self._frame()
                    if code is not None:
                        return code
                elif fd == wakeups:
                    self._signals(wakeups)
                elif self._input():
                    return None

    def _frame(self) -> int | None:
        try:
            data, _fds = self.channel.receive_bytes()
        except Closed:
            raise RuntimeFault("cannot follow the container: its shim has died", "attach again") from None
        kind = data[:1]
        if kind == b"0":
            return int(json.loads(data[1:])["exit"])
        write_all(self.fds[1] if kind == b"1" else self.fds[2], data[1:])
        return None

    def _signals(self, wakeups: int) -> None:
        for number in os.read(wakeups, 64):
            if number == _signal.SIGWINCH:
                rows, columns = window_size(self.fds[0])
                self._send(b"r" + json.dumps({"rows": rows, "columns": columns}).encode())
            else:
                self.impatience.heard(number)
                self._send(b"s" + json.dumps({"signal": number}).encode())

    def _input(self) -> bool:
        """Pass on what was typed; True when it was the detach sequence."""
        try:
            data = os.read(self.fds[0], CHUNK)
        except OSError:
            data = b""
        if not data:
            self._end_of_input()
            return False
        if self.tty and self.keys:
            kept = self._without_detach_keys(data)
            if kept is None:
                return True
            data = kept
        if data:
            self._send(b"0" + data)
        return False

    def _without_detach_keys(self, data: bytes) -> bytes | None:
        """Hold back a beginning of the detach sequence; None when it is complete."""
        out = b""
        for start in range(len(data)):
            self.pressed += data[start : start + 1]
            if self.pressed == self.keys:
                return None
            if not self.keys.startswith(self.pressed):
                out += self.pressed
                self.pressed = b""
        return out

    def _end_of_input(self) -> None:
        try:
            self.poll.unregister(self.fds[0])
        except KeyError:
            pass
        self._send(b"c")

    def _send(self, data: bytes) -> None:
        try:
            self.channel.send_bytes(data)
        except Closed:
            pass  # the end is in our receive queue
