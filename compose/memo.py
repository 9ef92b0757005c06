"""A loaded project, remembered: when every input of a load is the same, the next command need not load again.

A memo is a cache: a JSON file (0600) with the desired state, or the answer of ``config``, and all inputs it was made
from. Files are compared by
device, inode, size and both times; one that was younger than two seconds when the memo was written may have changed
without its stamp changing, so its content is compared too. Variables are kept as keyed hashes, never in clear (but the
desired state holds environments, hence the mode). Anything unexpected counts as "no memo".

Imported by every command: os and json, and the C hashes, nothing else.
"""

from __future__ import annotations

import os
import time

from compose import plain_json as json
from compose.plan.desired import Desired, desired_from_plain
from compose.record import to_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from compose.project import LoadOptions

FORMAT = 1
YOUNG = 2_000_000_000  # ns: file systems stamp times in steps of up to 10 ms, some network ones in seconds


def path_of(options: LoadOptions, cwd: str, state_dir: str, question: object = None) -> str:
    """Where the memo of these options lies: the name is a hash of everything but files and environment.

    ``question``: what is remembered when it is not the desired state; its repr counts.
    """
    parts = repr((FORMAT, version(), os.getuid(), cwd, options, question))
    return f"{state_dir}/memos/{_blake(parts.encode('utf-8', 'backslashreplace'), b'')}.json"


def version() -> str:
    """The time of this code and of the loader's: another build must not trust the memos of this one."""
    here = os.path.dirname(__file__)
    try:
        with os.scandir(f"{here}/spec") as entries:
            times = (entry.stat().st_mtime_ns for entry in entries if entry.name.endswith(".py"))
            newest = max(times, default=0)
        return f"{os.stat(__file__).st_mtime_ns} {newest}"
    except OSError:
        return ""


def _blake(content: bytes, key: bytes) -> str:
    from _blake2 import blake2b

    return str(blake2b(content, key=key, digest_size=16).hexdigest())


def read(path: str, environ: Mapping[str, str]) -> Desired | None:
    """The remembered state if every input is the same, else None. Never raises for what a memo may contain."""
    try:
        return desired_from_plain(read_plain(path, environ))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


def read_plain(path: str, environ: Mapping[str, str]) -> Any:
    """What ``write_plain`` remembered if every input is the same, else None. Never raises."""
    try:
        with open(path, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.getuid() or status.st_mode & 0o077:
                return None
            memo = json.loads(file.readall() or b"")
        return memo["desired"] if memo["format"] == FORMAT and _same(memo, environ) else None
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


def _same(memo: dict[str, Any], environ: Mapping[str, str]) -> bool:
    key = bytes.fromhex(memo["key"])
    for name, remembered in memo["variables"].items():
        if _variable(environ.get(name), key) != remembered:
            return False
    for path, remembered in memo["files"].items():
        stamp, digest = remembered or (None, "")
        if _stamp(path) != stamp or (digest and _content(path, key) != digest):
            return False
    return True


def _variable(value: str | None, key: bytes) -> str | None:
    return None if value is None else _blake(value.encode("utf-8", "surrogateescape"), key)


def _stamp(path: str) -> list[int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _content(path: str, key: bytes) -> str:
    with open(path, "rb", buffering=0) as file:
        return _blake(file.readall() or b"", key)


def write(
    path: str,
    desired: Desired,
    files: Mapping[str, tuple[tuple[int, ...], bytes | None] | None],
    variables: Mapping[str, str | None],
) -> None:
    """Remember a load. Does nothing where the directory cannot be written, or when an input changed meanwhile."""
    write_plain(path, to_plain(desired), files, variables)


def write_plain(
    path: str,
    value: Any,
    files: Mapping[str, tuple[tuple[int, ...], bytes | None] | None],
    variables: Mapping[str, str | None],
) -> None:
    """The same for any value that JSON can hold."""
    key = os.urandom(16)
    now = time.time_ns()
    stamps: dict[str, list[Any] | None] = {}
    for name, found in files.items():
        if found is None:
            stamps[name] = None
            continue
        stamp, content = found
        young = content is not None and now - max(stamp[3], stamp[4]) < YOUNG
        stamps[name] = [list(stamp), _blake(content or b"", key) if young else ""]
    memo = {
        "format": FORMAT,
        "key": key.hex(),
        "variables": {name: _variable(value, key) for name, value in variables.items()},
        "files": stamps,
        "desired": value,
    }
    try:
        _replace(path, json.dumps(memo, separators=(",", ":")).encode())
    except (OSError, ValueError):
        return


def _replace(path: str, content: bytes) -> None:
    """Write a file by tmp and rename, 0600, making its directories (0700)."""
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}.{time.monotonic_ns()}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb", buffering=0) as file:
            file.write(content)
        os.rename(temporary, path)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise
