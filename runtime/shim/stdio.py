"""The container's standard streams: FIFOs that survive us, or a terminal; the log; and whoever is attached."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import termios

from runtime.shim.output import STDOUT, Log, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shim.attach import Attached
    from runtime.shim.forward import Forwarder
    from runtime.shim.supervisor import Supervisor

_RW = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC


class Stdio:
    """Descriptors of the streams on our side.

    stdout and stderr are FIFOs opened read-write, so neither side ever sees SIGPIPE or an end because we died. With a
    terminal, ``master`` is spliced through the FIFO ``terminal`` into the same pipeline.
    """

    def __init__(self, shim: Supervisor) -> None:
        self.shim = shim
        self.master = -1
        self.stdin = -1  # write end towards the container
        self.stdin_both = -1
        self.closing = False
        self.log: Log | None = None
        self.forwarder: Forwarder | None = None
        self.streams: list[Stream] = []
        self.attached: list[Attached] = []
        self.waiting_input = bytearray()

    @property
    def terminal(self) -> bool:
        return self.shim.spec.process.terminal

    def open(self, master: int = -1, stdin: int = -1, *, again: bool = False) -> None:
        """Open or re-open everything in the container's run directory. Raises RuntimeFault when its log has no
        receiver, but not ``again``: a container that runs is not ended for that."""
        run = self.shim.bundle.run
        self.forwarder = self._open_forwarder(again)
        send = self.forwarder.send if self.forwarder is not None else None
        self.log = Log(self.shim.bundle.log, run, self.shim.spec.log, send)
        names = ("terminal",) if self.terminal else ("stdout", "stderr")
        for number, name in enumerate(names):
            source = _open_fifo(f"{run}/{name}")
            stream = Stream(number, source, f"{run}/{name}.staging", self.log)
            self.streams.append(stream)
            if not self.terminal:
                self.shim.loop.watch(source, self._pumper(stream))
        if self.shim.spec.open_stdin and not self.terminal:
            self.stdin = stdin if stdin >= 0 else self._open_stdin()
        self.use_master(master)

    def _open_forwarder(self, again: bool) -> Forwarder | None:
        if self.shim.spec.log.driver in ("json-file", "local", "none"):
            return None
        from runtime.shim.forward import Forwarder  # only where somebody asked for it

        forwarder = Forwarder(self.shim.spec, self.shim.loop, self.shim.note)
        if not again:
            forwarder.connect()
        return forwarder

    def _open_stdin(self) -> int:
        """The write end; opened read-write first, for a FIFO without a reader refuses writers."""
        path = f"{self.shim.bundle.run}/stdin"
        self.stdin_both = _open_fifo(path)  # until the container has its own reading end
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def child_ends(self) -> tuple[int, int, int] | None:
        """What the init process gets as 0, 1 and 2: blocking ends of its own. None with a terminal.

        The outputs are read-write, so that a FIFO has a reader even while every process of ours is dead.
        """
        if self.terminal:
            return None
        run = self.shim.bundle.run
        if self.shim.spec.open_stdin:
            stdin = os.open(f"{run}/stdin", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.set_blocking(stdin, True)
            if self.stdin_both >= 0:
                os.close(self.stdin_both)
                self.stdin_both = -1
        else:
            stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        return (
            stdin,
            os.open(f"{run}/stdout", os.O_RDWR | os.O_CLOEXEC),
            os.open(f"{run}/stderr", os.O_RDWR | os.O_CLOEXEC),
        )

    # -- the terminal

    def use_master(self, master: int) -> None:
        if master < 0:
            return
        os.set_blocking(master, False)
        self.master = master
        self.shim.loop.watch(master, self._terminal_ready)

    def forget_master(self) -> None:
        if self.master >= 0:
            self.shim.loop.forget(self.master)
            self.shim.keeping.drop("master")
            os.close(self.master)
            self.master = -1

    def _terminal_ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self.feed(b"")
        if not self._splice_terminal():
            self.shim.loop.forget(self.master)

    def _splice_terminal(self) -> bool:
        """Master → FIFO → staging. False when the terminal has hung up."""
        if self.master < 0:
            return False
        stream = self.streams[STDOUT]
        while True:
            try:
                moved = os.splice(self.master, stream.source, 16384, flags=os.SPLICE_F_NONBLOCK)
            except BlockingIOError:
                return True
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                moved = 0
            self._pump(stream)
            if not moved:
                return False

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size (the kernel sends SIGWINCH inside)."""
        if self.master >= 0:
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    # -- output

    def _pumper(self, stream: Stream) -> Callable[[int], None]:
        return lambda _events: self._pump(stream)

    def _pump(self, stream: Stream) -> None:
        stream.pump(self._show if self.attached else None)

    def _show(self, number: int, data: bytes) -> None:
        for client in list(self.attached):
            client.output(number, data)

    def drain(self) -> None:
        """Take what is left after the end of the processes, the last line without newline too."""
        if self.terminal:
            self._splice_terminal()
        for stream in self.streams:
            while stream.pump(self._show if self.attached else None, at_end=True):
                pass

    def ended(self, code: int) -> None:
        """Tell the attached clients that nothing more comes."""
        for client in list(self.attached):
            client.finish(code)

    def hold_output(self, hold: bool) -> None:
        """Stop or go on reading: a client that does not read slows the container down, as a pipe would."""
        for stream in self.streams:
            if self.terminal:
                self.shim.loop.watch(self.master, self._terminal_ready, 0 if hold else select.EPOLLIN)
            else:
                handler = self.shim.loop.handlers.get(stream.source)
                if handler is not None:
                    self.shim.loop.watch(stream.source, handler, 0 if hold else select.EPOLLIN)

    # -- input

    def feed(self, data: bytes) -> None:
        """Bytes for the container's stdin; what does not fit waits."""
        target = self.master if self.terminal else self.stdin
        if target < 0:
            return
        self.waiting_input += data
        while self.waiting_input:
            try:
                written = os.write(target, self.waiting_input[:65536])
            except BlockingIOError:
                break
            except OSError:
                self.waiting_input.clear()
                break
            del self.waiting_input[:written]
        self._watch_for_room(target)

    def _watch_for_room(self, target: int) -> None:
        wanted = select.EPOLLOUT if self.waiting_input else 0
        if self.terminal:
            self.shim.loop.watch(target, self._terminal_ready, select.EPOLLIN | wanted)
        elif wanted:
            self.shim.loop.watch(target, lambda _events: self.feed(b""), wanted)
        else:
            self.shim.loop.forget(target)
            if self.closing:
                self._close_stdin()

    def end_of_input(self) -> None:
        """The client's stdin is at its end: with pipes the container sees it, after what waits; a terminal does not."""
        if self.terminal or self.stdin < 0:
            return
        self.closing = True
        if not self.waiting_input:
            self._close_stdin()

    def _close_stdin(self) -> None:
        self.shim.keeping.drop("stdin")
        self.shim.loop.forget(self.stdin)
        os.close(self.stdin)
        self.stdin = -1
        self.closing = False

    def held(self) -> dict[str, int]:
        """Descriptors whose loss would end or starve the container: the helper keeps duplicates."""
        found = {"master": self.master, "stdin": self.stdin}
        return {name: fd for name, fd in found.items() if fd >= 0}

    def close(self) -> None:
        for stream in self.streams:
            self.shim.loop.forget(stream.source)
            stream.close()
        self.streams = []
        if self.forwarder is not None:
            self.forwarder.close()
            self.forwarder = None
        if self.log is not None:
            self.log.close()
            self.log = None


def _open_fifo(path: str) -> int:
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        pass
    return os.open(path, _RW)
