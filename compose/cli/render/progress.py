"""Progress on stderr that is no live tree: plain lines, JSON lines, or nothing. The live tree is tty.py."""

from __future__ import annotations

import os
import threading
import time

from compose import plain_json as json
from compose.cli.render.words import WORDS, Counter, Style, duration, title
from compose.events import BuildOutput, Note, StepFinished, StepProgress, StepStarted, WatchEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from compose.events import Event

    class Progress(Protocol):
        """A Reporter with an end."""

        def emit(self, event: Event) -> None: ...
        def close(self, *, summary: bool = False, unchanged: int = 0) -> None:
            """The last word; ``summary``: with a line of what was done."""
            ...


STDERR = 2


def write_all(fd: int, data: bytes) -> None:
    """Write everything, whatever the pipe takes at once."""
    while data:
        data = data[os.write(fd, data) :]


class Plain:
    """One line per change: `` Container web-1  Started  0.1s``. With ``reasons``: why, too."""

    def __init__(self, fd: int = STDERR, style: Style | None = None, prefix: str = "", reasons: bool = False) -> None:
        self._fd = fd
        self._style = style or Style(False)
        self._prefix = prefix
        self._reasons = reasons
        self._lock = threading.Lock()
        self._counter = Counter()
        self._begin = time.monotonic()
        self._why: dict[int, str] = {}
        self._parts: dict[tuple[str, str], str] = {}

    def emit(self, event: Event) -> None:
        match event:
            case Note(text=text, level=level):
                self._write(f"{level}: {text}" if level != "info" else text)
            case BuildOutput(text=text):
                self._write(text)
            case WatchEvent(kind=kind, text=text):
                self._write(f"{kind}: {text}" if kind in ("warning", "error") else text)
            case StepStarted(number=number, reason=reason):
                self._why[number] = reason
            case StepProgress():
                self._progress(event)
            case StepFinished():
                self._finished(event)

    def _progress(self, event: StepProgress) -> None:
        """A line when the status of a part changes; bytes alone are none."""
        key = (title(event.kind, event.name), event.part)
        if event.status and self._parts.get(key) != event.status:
            self._parts[key] = event.status
            self._write(f" {'  '.join(word for word in (*key, event.status) if word)}")

    def _finished(self, event: StepFinished) -> None:
        self._counter.add(event.kind, event.name, event.verb)
        if event.verb not in WORDS and not event.error:
            return
        word = "Error" if event.error else event.detail or WORDS[event.verb][1]
        why = f"  {self._why.get(event.number, '')}" if self._reasons else ""
        took = duration(event.seconds)
        self._write(f" {title(event.kind, event.name)}  {word}  {took}{why}".rstrip())

    def _write(self, line: str) -> None:
        with self._lock:
            write_all(self._fd, f"{self._prefix}{line}\n".encode())

    def close(self, *, summary: bool = False, unchanged: int = 0) -> None:
        line = self._counter.summary(time.monotonic() - self._begin, unchanged) if summary else ""
        if line:
            self._write(line)


class Json:
    """One object a line, with docker compose's keys: ``{"id":"Container web-1","status":"Started"}``."""

    def __init__(self, fd: int = STDERR, dry_run: bool = False) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._more = {"dry-run": True} if dry_run else {}

    def emit(self, event: Event) -> None:
        match event:
            case Note(text=text, level=level):
                self._write({"level": level, "message": text})
            case StepProgress(current=current, total=total):
                row: dict[str, object] = {"id": event.part or title(event.kind, event.name), "status": event.status}
                if event.part:
                    row["parent_id"] = title(event.kind, event.name)
                if total:
                    row |= {"current": current, "total": total, "percent": min(100, 100 * current // total)}
                self._write(row)
            case WatchEvent(kind=kind, text=text, service=service, data=data):
                about = {"service": service} if service else {}
                took: dict[str, object] = {"seconds": round(event.seconds, 4)} if event.seconds else {}
                self._write({"type": f"watch.{kind}", **about, "text": text, **took, **data})
            case BuildOutput(name=name, text=text):
                self._write({"id": f"Image {name}", "status": "Building", "text": text})
            case StepStarted(kind=kind, name=name, verb=verb, reason=reason) if verb in WORDS:
                self._write({"id": title(kind, name), "status": WORDS[verb][0], "text": reason})
            case StepFinished(kind=kind, name=name, verb=verb, error=error) if error or verb in WORDS:
                seconds = {"seconds": round(event.seconds, 4)}
                if error:
                    self._write({"id": title(kind, name), "status": "Error", "text": error, **seconds})
                else:
                    self._write({"id": title(kind, name), "status": event.detail or WORDS[verb][1], **seconds})

    def _write(self, value: dict[str, object]) -> None:
        with self._lock:
            write_all(self._fd, (json.dumps({**value, **self._more}, ensure_ascii=False) + "\n").encode())

    def close(self, *, summary: bool = False, unchanged: int = 0) -> None:
        """JSON has no last line: readers count for themselves."""


class Quiet:
    """Nothing; errors come from the error boundary."""

    def emit(self, event: Event) -> None:
        """Not shown."""

    def close(self, *, summary: bool = False, unchanged: int = 0) -> None:
        """Nothing was begun."""
