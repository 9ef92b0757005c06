"""A digest that is worked out beside the thread that brings the bytes; sha256 runs without Python's lock."""

from __future__ import annotations

import queue
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BATCH = 1 << 20  # bytes handed over at once
_WAITING = 8  # batches


class Sha256:
    """sha256 in a thread of its own: :meth:`update` with bytes that do not change, then :meth:`hexdigest` once."""

    def __init__(self) -> None:
        from hashlib import sha256

        self._digest = sha256()
        self._queue: queue.Queue[list[Any] | None] = queue.Queue(_WAITING)
        self._batch: list[Any] = []
        self._size = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def update(self, data: Any, /) -> None:
        self._batch.append(data)
        self._size += len(data)
        if self._size >= _BATCH:
            self._queue.put(self._batch)
            self._batch, self._size = [], 0

    def hexdigest(self) -> str:
        """The digest of all; ends the thread."""
        self.close()
        return self._digest.hexdigest()

    def close(self) -> None:
        """End the thread; what was handed over is still hashed."""
        if self._thread.is_alive():
            self._queue.put(self._batch)
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            self._digest.update(batch[0] if len(batch) == 1 else b"".join(batch))
