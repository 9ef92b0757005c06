"""The build cache: what a step made, by the content of all that it was made from. Format: docs/formats/build-cache.md.

A record ``cache/KEY.json`` names a layer of the store; first the layer is in its place, then the record is written, so
that a kill leaves at most a layer that nothing names. Records are read without a lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time

from runtime.images.ingest import lock_store
from runtime.images.store import store_dir
from runtime.linux.identity import boot_id
from runtime.record import record
from runtime.tree import open_directory, remove_tree, syncfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runtime.paths import Roots

VERSION = 1


@record
class Piece:
    """A layer in the store. ``name``: below the store; ``path``: its files; ``diff_id`` is empty until it is needed.

    ``created``: when the step ran (RFC 3339). ``key``: of the record that this one is a short way to, else empty.
    """

    name: str
    path: str
    created: str = ""
    size: int = 0
    diff_id: str = ""
    key: str = ""


def key_of(value: Any) -> str:
    """The key of a definition: sha256 of its canonical JSON."""
    from hashlib import sha256

    text = json.dumps([VERSION, value], separators=(",", ":"), sort_keys=True)
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def now() -> str:
    """The time as image configurations have it."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"


class Cache:
    """The records of one store."""

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self.store = store_dir(roots)
        self.directory = f"{self.store}/cache"
        os.makedirs(self.directory, 0o700, exist_ok=True)
        self.boot = boot_id()
        self._hashing: dict[str, threading.Lock] = {}
        self._synced = _modified(f"{self.directory}/synced")

    def find(self, key: str) -> Piece | None:
        """What a step of this key made, if it is still there."""
        try:
            with open(f"{self.directory}/{key}.json", "rb", buffering=0) as file:
                plain = json.loads(file.read())
                written = os.fstat(file.fileno()).st_mtime_ns
            if plain.pop("boot", "") != self.boot and written > self._synced:
                return None  # the machine may have lost its power before the layer was on the disk
            if plain.pop("version") != VERSION or not os.path.isdir(f"{self.store}/{plain['name']}/diff"):
                return None
            return Piece(path=f"{self.store}/{plain['name']}/diff", **plain)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, key: str, place: str, size: int, created: str = "") -> Piece:
        """Put a finished layer (``place/diff``) into the store and record it. ``created``: now, unless said."""
        piece = self.put(key, place, size, created)
        self.alias(key, piece)
        return piece

    def keep_first(self, key: str, place: str, size: int, since: str) -> Piece:
        """As :meth:`keep`, but a result that another build has had since then counts, and this one is thrown away.

        So that builds side by side agree: else the next build would find the other one's layer, and make another image.
        """
        lock = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            other = self.find(key)
            if other is None or other.created <= since:
                return self.keep(key, place, size)
        finally:
            os.close(lock)
        remove_tree(place)
        return other

    def put(self, key: str, place: str, size: int, created: str = "") -> Piece:
        """Put a finished layer into the store without a record: what no image has is collected.

        Every layer has a name of its own, for an older one of the same key may be in use: by images and containers.
        """
        name = f"layers/{key[:40]}-{os.urandom(8).hex()}.build"
        write_small(f"{place}/meta.json", {"version": 1, "diff_id": "", "size": size, "warnings": []})
        for extra in os.listdir(place):
            if extra not in ("diff", "meta.json"):
                remove_tree(f"{place}/{extra}")
        os.rename(place, f"{self.store}/{name}")
        return Piece(name, f"{self.store}/{name}/diff", created or now(), size)

    def alias(self, key: str, piece: Piece, means: str = "") -> None:
        """Let another key mean the same layer, and the same ``means`` for the keys of the steps after it."""
        plain = {"version": VERSION, "name": piece.name, "created": piece.created, "size": piece.size, "key": means}
        plain["boot"] = self.boot
        write_small(f"{self.directory}/{key}.json", plain)

    def sync(self) -> None:
        """Wait until all that was kept is on the disk; from then on it counts after a power failure, too."""
        path = f"{self.directory}/synced"
        temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
        with open(temporary, "wb") as file:
            file.write(b"\n")  # its time, by the clock that records have: what is younger was perhaps not written
        directory = open_directory(self.directory)
        try:
            syncfs(directory)
        finally:
            os.close(directory)
        os.rename(temporary, path)

    def diff_id(self, piece: Piece, leave: Callable[[], bool] = lambda: False) -> str:
        """The layer's diff id, computed once; empty when ``leave`` says meanwhile that nobody wants it any more."""
        if piece.diff_id:
            return piece.diff_id
        path = f"{self.store}/{piece.name}/meta.json"
        with self._hashing.setdefault(piece.name, threading.Lock()):  # one thread hashes a layer, another one waits
            with open(path, "rb") as file:
                meta = json.load(file)
            if not meta["diff_id"]:
                from runtime.build.snapshot import diff_id

                meta["diff_id"] = diff_id(piece.path, leave)
                if meta["diff_id"]:
                    write_small(path, meta)
            return str(meta["diff_id"])


def _modified(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0


def write_small(path: str, plain: Any) -> None:
    """Replace a small file by rename; what it says can be found out again, so that nothing waits for the disk."""
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(plain, file, separators=(",", ":"))
    os.rename(temporary, path)


def kept_layers(roots: Roots) -> set[str]:
    """Names of the layers that the cache keeps in the store."""
    found: set[str] = set()
    directory = f"{store_dir(roots)}/cache"
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return found
    for name in names:
        if name.endswith(".json") and not name.startswith("files-"):
            try:
                with open(f"{directory}/{name}", "rb") as file:
                    found.add(json.load(file)["name"])
            except (OSError, ValueError, KeyError):
                continue
    return found


def prune(roots: Roots, older_than: float = 0.0) -> tuple[int, int]:
    """Forget results older than so many seconds, and cache mounts; (records, bytes of layers freed).

    Layers that images have stay.
    """
    from runtime.images.removal import collect

    base = store_dir(roots)
    lock = lock_store(roots, exclusive=True)
    try:
        gone = [path for path in _records(f"{base}/cache") if os.stat(path).st_mtime <= time.time() - older_than]
        sizes = {name: _size(f"{base}/{name}") for name in kept_layers(roots)}
        for path in gone:
            os.unlink(path)
        for name in _names(f"{roots.state}/build/mounts"):
            remove_tree(f"{roots.state}/build/mounts/{name}")
        collect(roots)
        freed = sum(size for name, size in sizes.items() if not os.path.exists(f"{base}/{name}"))
        return len(gone), freed
    finally:
        os.close(lock)


def _records(directory: str) -> list[str]:
    return [f"{directory}/{name}" for name in _names(directory) if name.endswith(".json")]


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _size(place: str) -> int:
    try:
        with open(f"{place}/meta.json", "rb") as file:
            return int(json.load(file)["size"])
    except (OSError, ValueError, KeyError):
        return 0
