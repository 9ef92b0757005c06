"""Reading containers' logs: the tail without reading the whole, and following without polling.

The writer is the shim (``runtime/shim/output.py``). The format is Docker's json-file: one object a line with ``log``
(text; a cut of an over-long line has no newline at its end), ``stream`` and ``time`` (RFC 3339, nine digits). Older
parts are ``<path>.1``, ``<path>.2`` ..., higher numbers older. Only lines that end with a newline exist: a killed
writer may leave a torn last line, and its successor cuts the file back to what it had recorded and writes on.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time

from runtime import plain_json as json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 64 * 1024
REMEMBERED = 512 * 1024  # a writer's unrecorded append is at most 64 KiB of text, six times that when all is escaped

IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x2, 0x40, 0x80, 0x100, 0x200  # inotify(7)
IN_DELETE_SELF, IN_IGNORED, IN_ONLYDIR = 0x400, 0x8000, 0x1000000
_EVENT = struct.Struct("iIII")


class LogLine:
    """One entry: ``time`` RFC 3339 UTC, ``stream`` stdout or stderr, ``text`` with its newline if it had one."""

    __slots__ = ("stream", "text", "time")

    def __init__(self, time: str, stream: str, text: bytes) -> None:
        self.time = time
        self.stream = stream
        self.text = text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LogLine):
            return NotImplemented
        return (self.time, self.stream, self.text) == (other.time, other.stream, other.text)

    def __hash__(self) -> int:
        return hash((self.time, self.stream, self.text))

    def __repr__(self) -> str:
        return f"LogLine({self.time!r}, {self.stream!r}, {self.text!r})"


def parse_line(raw: bytes) -> LogLine | None:
    """One line of the file; None for what is no entry (a damaged disk must not stop ``logs``)."""
    try:
        entry = json.loads(raw)
        return LogLine(entry["time"], entry["stream"], entry["log"].encode("utf-8", "surrogatepass"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def timestamp(ns: int) -> str:
    """Nanoseconds since the epoch as the log writes them, so that times compare as text."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"


def log_files(path: str) -> list[str]:
    """The parts of a log that exist, oldest first."""
    directory, name = os.path.split(path)
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    numbers = [entry[len(name) + 1 :] for entry in names if entry.startswith(f"{name}.")]
    older = sorted((int(number) for number in numbers if number.isdecimal()), reverse=True)
    return [f"{path}.{number}" for number in older] + ([path] if name in names else [])


def read_log(
    path: str, *, tail: int | None = None, since_ns: int | None = None, until_ns: int | None = None
) -> Iterator[LogLine]:
    """The entries of a log, oldest first: the last ``tail`` lines, of those between ``since_ns`` and ``until_ns``.

    A missing log has no entries. ``tail`` counts whole lines (an over-long line counts once) and costs what it shows.
    """
    since = timestamp(since_ns) if since_ns is not None else ""
    until = timestamp(until_ns) if until_ns is not None else "~"
    if tail is None:
        chosen = (line for name in log_files(path) for line in _forwards(name))
        return (line for line in chosen if since <= line.time <= until)
    return iter(_last(path, tail, since, until))


def _forwards(path: str) -> Iterator[LogLine]:
    try:
        file = open(path, "rb")
    except FileNotFoundError:  # rotated away while we read its elders
        return
    with file:
        for raw in file:
            if raw.endswith(b"\n") and (line := parse_line(raw)) is not None:
                yield line


def _last(path: str, tail: int, since: str, until: str) -> list[LogLine]:
    parts = [os.open(name, os.O_RDONLY | os.O_CLOEXEC) for name in log_files(path)]
    try:
        return _last_of(parts, tail, since, until)
    finally:
        for fd in parts:
            os.close(fd)


def _last_of(parts: list[int], tail: int, since: str, until: str, end: int | None = None) -> list[LogLine]:
    """The last entries of open parts, oldest first, collected backwards until ``tail`` line ends are passed.

    ``end``: where the newest part is taken to end.
    """
    found: list[LogLine] = []
    ends = 0
    for fd in reversed(parts):
        for raw in _backwards(fd, end):
            line = parse_line(raw)
            if line is None or line.time > until:
                continue
            # An end that is not the newest entry's begins one more line; a newest entry without end is a line too.
            ends += line.text.endswith(b"\n") or not found
            if line.time < since or ends > tail:
                return found[::-1]
            found.append(line)
        end = None
    return found[::-1]


def _backwards(fd: int, end: int | None) -> Iterator[bytes]:
    """The complete lines of a file before ``end``, last first."""
    position = os.fstat(fd).st_size if end is None else end
    rest = b""
    torn = True  # what follows the last newline is no line
    while position > 0:
        size = min(BLOCK, position)
        position -= size
        pieces = (os.pread(fd, size, position) + rest).split(b"\n")
        rest = pieces[0]
        for piece in pieces[:0:-1]:
            if not torn:
                yield piece
            torn = False
    if not torn:
        yield rest


class Watcher:
    """One inotify instance for many directories; ``fileno()`` is readable when something happened."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{os.strerror(number)}: inotify_init1 (see fs.inotify.max_user_instances)")

    def fileno(self) -> int:
        return int(self.fd)

    def add(self, directory: str, mask: int) -> int:
        """Watch a directory; gives the watch's number, the same one for the same directory. Raises OSError."""
        number = self._libc.inotify_add_watch(self.fd, os.fsencode(directory), mask | IN_ONLYDIR)
        if number < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), directory)
        return int(number)

    def remove(self, number: int) -> None:
        """Watch no longer; a watch that went with its directory is no error."""
        self._libc.inotify_rm_watch(self.fd, number)

    def read(self) -> list[tuple[int, int, str]]:
        """What happened, as (watch, mask, name); empty when nothing did."""
        try:
            data = os.read(self.fd, BLOCK)
        except BlockingIOError:
            return []
        events = []
        position = 0
        while position < len(data):
            number, mask, _cookie, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size
            events.append((number, mask, os.fsdecode(data[position : position + length].rstrip(b"\0"))))
            position += length
        return events

    def close(self) -> None:
        os.close(self.fd)


class Follower:
    """The entries of one log as they are written, each once: through rotation, and through a writer that was killed.

    Without ``watcher`` it makes its own, and ``fileno()`` wakes a poll; with one, whoever reads the watcher calls
    ``read()``. Entries before ``since`` (RFC 3339) are left out; ``tail`` as in :func:`read_log`.
    """

    WATCHED = IN_MODIFY | IN_CREATE | IN_MOVED_TO

    def __init__(
        self, path: str, *, tail: int | None = 0, since_ns: int | None = None, watcher: Watcher | None = None
    ) -> None:
        directory, name = os.path.split(path)
        self._own = watcher is None
        self.watcher = watcher or Watcher()
        self.watch = self.watcher.add(directory, self.WATCHED)
        # A removed container's directory is renamed away: what it wrote last is still found through the descriptor.
        self._directory = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.path = f"/proc/self/fd/{self._directory}/{name}"
        self._fd = -1
        self._offset = 0  # the end of the last line that was given out
        self._recent: list[tuple[int, bytes, LogLine]] = []  # (offset, raw, line) of what may yet be cut back
        self._skip = {"stdout": 0, "stderr": 0}  # bytes of text that a new writer will write a second time
        self._first = self._begin(tail, since_ns)

    def fileno(self) -> int:
        return self.watcher.fileno()

    def _begin(self, tail: int | None, since_ns: int | None) -> list[LogLine]:
        """Open the newest part at its end; give what came before as far as it is wanted."""
        since = timestamp(since_ns) if since_ns is not None else ""
        parts = [os.open(name, os.O_RDONLY | os.O_CLOEXEC) for name in log_files(self.path)]
        wanted: list[LogLine] = []
        if tail is None:
            for fd in parts:
                self._fd, self._offset, self._recent = fd, 0, []
                wanted += [line for line in self._take() if line.time >= since]
        elif parts:
            self._fd, self._offset = parts[-1], _end_of_lines(parts[-1])
            wanted = _last_of(parts, tail, since, "~", self._offset) if tail else []
        for fd in parts[:-1]:
            os.close(fd)
        return wanted

    def read(self) -> list[LogLine]:
        """What is new since the last call, in order; never an incomplete line."""
        if self._own:
            while self.watcher.read():
                pass
        lines, self._first = self._first, []
        lines += self._take()
        for name in self._newer_parts():
            self._open(name)
            lines += self._take()
        return lines

    def _newer_parts(self) -> list[str]:
        """The parts that came after the one that is open: all of them when it was rotated out of existence."""
        names = log_files(self.path)
        if self._fd < 0:
            return names
        mine = os.fstat(self._fd).st_ino
        for place, name in enumerate(names):
            try:
                if os.stat(name).st_ino == mine:
                    return names[place + 1 :]
            except FileNotFoundError:
                continue
        return names

    def _open(self, name: str) -> None:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        self._close()
        self._fd, self._offset, self._recent = fd, 0, []

    def _take(self) -> list[LogLine]:
        """The complete lines after the offset in the open part."""
        if self._fd < 0:
            return []
        self._notice_cut()
        lines: list[LogLine] = []
        rest = b""
        position = self._offset
        while data := os.pread(self._fd, BLOCK, position):
            position += len(data)
            *complete, rest = (rest + data).split(b"\n")
            for raw in complete:
                self._give(raw, lines)
        return lines

    def _give(self, raw: bytes, lines: list[LogLine]) -> None:
        line = parse_line(raw)
        if line is not None:
            self._recent.append((self._offset, raw, line))
            if (shown := self._unseen(line)) is not None:
                lines.append(shown)
        self._offset += len(raw) + 1
        if len(self._recent) > 64 and self._recent[0][0] < self._offset - 2 * REMEMBERED:
            self._recent = [entry for entry in self._recent if entry[0] >= self._offset - REMEMBERED]

    def _unseen(self, line: LogLine) -> LogLine | None:
        """The line without what was already given out before the writer was killed."""
        skip = self._skip.get(line.stream, 0)
        if not skip:
            return line
        self._skip[line.stream] = max(0, skip - len(line.text))
        return LogLine(line.time, line.stream, line.text[skip:]) if len(line.text) > skip else None

    def _notice_cut(self) -> None:
        """Go back to where a new writer cut the log. The same text follows, with other times: skip it by length."""
        while self._recent:
            offset, raw, line = self._recent[-1]
            if os.pread(self._fd, len(raw) + 1, offset) == raw + b"\n":
                return
            self._recent.pop()
            self._offset = offset
            self._skip[line.stream] = self._skip.get(line.stream, 0) + len(line.text)
        self._offset = min(self._offset, _end_of_lines(self._fd))

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def close(self) -> None:
        """Free the descriptors; a watcher that was passed in stays open."""
        self._close()
        os.close(self._directory)
        if self._own:
            self.watcher.close()


def _end_of_lines(fd: int) -> int:
    """The offset after the last newline."""
    position = os.fstat(fd).st_size
    while position > 0:
        start = max(0, position - BLOCK)
        newline = os.pread(fd, position - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        position = start
    return 0
