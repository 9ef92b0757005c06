"""From a container's stdout and stderr to its log, losing and repeating nothing when the shim is killed.

A pipe cannot be read without consuming, and a kill between "read" and "written to the log" would lose what was read.
So bytes go by splice(2) from the FIFO into a *staging file* on tmpfs (the kernel consumes exactly what it stored), are
cut into lines there, and are appended to the log; then one journal record says how long the log is and how much of
each staging file it contains. A new shim truncates the log to the journal's length and goes on from the journal's
offsets. A terminal cannot be spliced into a file: its master goes through a FIFO of ours that the helper holds too.

The log is Docker's json-file format: one object a line, ``log`` with its newline, ``stream``, ``time``; lines longer
than 16 KiB come in pieces of which only the last ends with a newline.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time

from runtime import plain_json as json
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.spec import LogConfig

MAX_LINE = 16 * 1024
BATCH = 64 * 1024
STAGING_LIMIT = 1 << 20
_PUNCH_HOLE = 3  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, fallocate(2)
_libc = ctypes.CDLL(None)
_JOURNAL = struct.Struct("=QQQ")  # log length, consumed of stdout, consumed of stderr

STDOUT, STDERR = 0, 1
NAMES = ("stdout", "stderr")


@record
class Piece:
    """A cut of a stream: complete lines or one over-long part; ``size`` is its length in the staging file."""

    lines: tuple[bytes, ...]
    size: int


def cut_lines(data: bytes, *, at_end: bool) -> Piece:
    """Split off what can be logged now. The rest waits for its newline, for 16 KiB, or for the end of the stream."""
    lines: list[bytes] = []
    position = 0
    while True:
        newline = data.find(b"\n", position, position + MAX_LINE)
        if newline >= 0:
            end = newline + 1
        elif len(data) - position >= MAX_LINE:
            end = position + MAX_LINE
        elif at_end and position < len(data):
            end = len(data)
        else:
            return Piece(tuple(lines), position)
        lines.append(data[position:end])
        position = end


def encode_lines(lines: tuple[bytes, ...], stream: str, when: str, attrs: str = "") -> bytes:
    """The lines in json-file format; bytes that are not UTF-8 become U+FFFD. ``attrs``: a JSON object, or empty."""
    more = f'"attrs":{attrs},' if attrs else ""
    tail = f',"stream":"{stream}",{more}"time":"{when}"}}\n'
    return "".join([f'{{"log":{json.quote(line.decode("utf-8", "replace"))}{tail}' for line in lines]).encode()


def timestamp(nanoseconds: int | None = None) -> str:
    """RFC 3339 UTC with nine digits."""
    ns = time.time_ns() if nanoseconds is None else nanoseconds
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"


class Log:
    """The log file and the journal beside the container's other volatile files."""

    def __init__(
        self,
        path: str,
        run_dir: str,
        config: LogConfig,
        forward: Callable[[int, tuple[bytes, ...]], None] | None = None,
    ) -> None:
        self.path = path
        self.config = config
        self.forward = forward
        self.attrs = json.dumps(dict(config.attrs), separators=(",", ":"), sort_keys=True) if config.attrs else ""
        self.consumed = [0, 0]
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self.fd = os.open(path, flags, 0o640)
        self.journal = os.open(f"{run_dir}/journal", flags, 0o600)
        self.length = os.fstat(self.fd).st_size
        self._recover()

    def _recover(self) -> None:
        """Forget what a killed shim appended without recording it; the staging files still hold those bytes."""
        data = os.pread(self.journal, _JOURNAL.size, 0)
        if len(data) < _JOURNAL.size:
            self.commit()
            return
        length, *consumed = _JOURNAL.unpack(data)
        self.consumed = list(consumed)
        if length < self.length:
            os.ftruncate(self.fd, length)
            self.length = length

    def commit(self) -> None:
        """Record what the log contains. One write within a page: a kill leaves the old record or the new one."""
        os.pwrite(self.journal, _JOURNAL.pack(self.length, *self.consumed), 0)

    def append(self, stream: int, piece: Piece) -> None:
        """Write a piece, in as many files as it fills, and record how far it got after each."""
        if self.forward is not None and piece.lines:
            self.forward(stream, piece.lines)
        if self.config.driver == "none" or not self.config.keep or not piece.lines:
            self.consumed[stream] += piece.size
            self.commit()
        elif not self.config.max_size:
            self._write(stream, encode_lines(piece.lines, NAMES[stream], timestamp(), self.attrs), piece.size)
        else:
            self._append_within(stream, piece.lines)

    def _append_within(self, stream: int, lines: tuple[bytes, ...]) -> None:
        """No file gets longer than the limit, unless a single line does."""
        when, limit = timestamp(), self.config.max_size
        data, size = b"", 0
        for line in lines:
            encoded = encode_lines((line,), NAMES[stream], when, self.attrs)
            if self.length + len(data) + len(encoded) > limit and self.length + len(data):
                self._write(stream, data, size)
                self._rotate()
                data, size = b"", 0
            data += encoded
            size += len(line)
        self._write(stream, data, size)

    def _write(self, stream: int, data: bytes, size: int) -> None:
        """Append what stands for ``size`` bytes of the stream."""
        self.length += os.pwrite(self.fd, data, self.length)
        self.consumed[stream] += size
        self.commit()

    def _rotate(self) -> None:
        """Shift log.json to .1, .1 to .2 ...; the journal's length is reset before the new file is written."""
        for number in range(self.config.max_files - 1, 0, -1):
            source = self.path if number == 1 else f"{self.path}.{number - 1}"
            try:
                os.rename(source, f"{self.path}.{number}")
            except FileNotFoundError:
                pass
        os.close(self.fd)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self.fd = os.open(self.path, flags, 0o640)
        self.length = 0
        self.commit()

    def close(self) -> None:
        os.close(self.fd)
        os.close(self.journal)


class Stream:
    """One of the two streams: its source descriptor (a pipe), its staging file, its place in the log."""

    def __init__(self, number: int, source: int, staging: str, log: Log) -> None:
        self.number = number
        self.source = source
        self.log = log
        self.staging = os.open(staging, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.end = os.fstat(self.staging).st_size
        self.shown = self.end
        self.freed = 0

    def pump(self, show: Callable[[int, bytes], None] | None = None, *, at_end: bool = False) -> bool:
        """Move what is waiting to the log; ``show`` gets every byte at once, before its newline comes.

        Returns whether something came. Call until False to drain.
        """
        try:
            moved = os.splice(self.source, self.staging, BATCH, offset_dst=self.end, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            moved = 0
        self.end += moved
        if show is not None and self.end > self.shown:
            show(self.number, os.pread(self.staging, self.end - self.shown, self.shown))
        self.shown = self.end
        if moved or at_end or self.log.consumed[self.number] < self.end:
            self._log(at_end and not moved)
        return moved > 0

    def _log(self, at_end: bool) -> None:
        consumed = self.log.consumed[self.number]
        piece = cut_lines(os.pread(self.staging, self.end - consumed, consumed), at_end=at_end)
        if piece.size:
            self.log.append(self.number, piece)
        if self.log.consumed[self.number] - self.freed > STAGING_LIMIT:
            self._free_staging()

    def _free_staging(self) -> None:
        """Give back the memory of what the log contains; offsets stay as they are, so a kill here harms nothing."""
        consumed = self.log.consumed[self.number]
        _libc.fallocate(self.staging, _PUNCH_HOLE, ctypes.c_int64(self.freed), ctypes.c_int64(consumed - self.freed))
        self.freed = consumed

    def close(self) -> None:
        os.close(self.staging)
