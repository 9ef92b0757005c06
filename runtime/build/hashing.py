"""Digests of layers that the image will have, worked out while the steps after them are carried out."""

from __future__ import annotations

import queue
import threading

from runtime.errors import RuntimeFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.build.cache import Cache, Piece


class Hashing:
    """One thread, begun with the first layer. What it has not done is done by who asks :meth:`Cache.diff_id` next.

    A digest is only ever written beside a layer that is in its place, by rename: a kill leaves it out, and no more.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._queue: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def add(self, piece: Piece) -> None:
        """A layer that was put into the store; hashed soon."""
        with self._lock:
            if self._closed.is_set():
                return
            self._queue.put(piece)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Leave what has not been done, also in the middle of a layer."""
        with self._lock:
            self._closed.set()
            self._queue.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (piece := self._queue.get()) is not None and not self._closed.is_set():
            try:
                self._cache.diff_id(piece, self._closed.is_set)
            except (OSError, ValueError, KeyError, RuntimeFault):
                continue  # who needs the digest meets the same error and raises it
