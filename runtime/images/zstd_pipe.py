"""zstd through the zstd program, for Pythons before 3.14."""

from __future__ import annotations

import os
import threading

from runtime.errors import BadArchive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

_PIECE = 1 << 18


def find_zstd() -> str | None:
    """The path of the zstd program, or None."""
    for directory in os.environ.get("PATH", os.defpath).split(":"):
        path = f"{directory}/zstd"
        if directory and os.access(path, os.X_OK):
            return path
    return None


def pipe_zstd(program: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress through one child; a thread feeds it. The child is gone when the iterator is closed."""
    import subprocess

    pipe = subprocess.PIPE
    child = subprocess.Popen([program, "-dcq"], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0)
    assert child.stdin and child.stdout
    problems: list[Exception] = []
    feeder = threading.Thread(target=_feed, args=(child.stdin, chunks, problems), daemon=True)
    feeder.start()
    try:
        while data := os.read(child.stdout.fileno(), _PIECE):
            yield data
        feeder.join()
        if problems:
            raise problems[0]
        if child.wait() != 0:
            raise BadArchive("cannot unpack archive: its compressed data is damaged (zstd refused it)")
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        feeder.join()
        child.stdout.close()


def _feed(stdin: IO[bytes], chunks: Iterator[bytes], problems: list[Exception]) -> None:
    fd = stdin.fileno()
    try:
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[os.write(fd, view) :]
    except BrokenPipeError:
        pass  # the child's exit status says why
    except Exception as error:  # noqa: BLE001  # raised again by the reader
        problems.append(error)
    finally:
        stdin.close()
