"""A blob as a stream: verified while it comes, resumed where it broke off, read ahead by a thread of its own."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue

from runtime.images.registry.client import fault_of
from runtime.images.registry.errors import DigestMismatch, RegistryFault, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.images.registry.client import Client
    from runtime.images.registry.manifests import Descriptor
    from runtime.images.registry.transport import Answer

PIECE = 1 << 20
_AHEAD = 8  # pieces in the queue: what one layer may hold in memory is 8 MiB


class Blob:
    """One download. Iterate over it once; the digest and the size have been checked when it ends."""

    def __init__(
        self, client: Client, descriptor: Descriptor, tell: Callable[[int], None] = lambda _count: None
    ) -> None:
        from hashlib import sha256, sha512

        self._client = client
        self._descriptor = descriptor
        self._tell = tell
        self._digest = sha512() if descriptor.digest.startswith("sha512:") else sha256()
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        """Raises RegistryFault; a broken connection is taken up again where it broke off, a few times."""
        failures = 0
        while self.count < self._descriptor.size:
            before = self.count
            try:
                yield from self._read(self._open())
            except Unreachable as broken:
                failures = 1 if self.count > before else failures + 1  # progress counts as patience regained
                if failures >= self._client.settings.attempts:
                    raise
                self._client.pause(failures, getattr(broken, "retry_after", ""))
        found = f"{self._descriptor.digest.partition(':')[0]}:{self._digest.hexdigest()}"
        if found != self._descriptor.digest:
            raise DigestMismatch(
                f"cannot accept layer {self._descriptor.digest} of {self._client.host}: its content is {found}",
                "the registry or something on the way changes it",
            )

    def _open(self) -> Answer:
        """An answer that stands at ``count``."""
        answer = self._client.open_blob(self._descriptor.digest, self.count)
        if answer.status in (408, 429, 500, 502, 503, 504):
            wait = answer.header("Retry-After")
            raise _Busy(fault_of(answer, self._client.host), wait)
        if answer.status not in (200, 206):
            raise fault_of(answer, self._client.host)
        if answer.header("Content-Encoding") not in ("", "identity"):
            answer.close()
            raise RegistryFault(f"cannot accept a layer of {self._client.host}: it is encoded on the way")
        if answer.status == 206 and not self._continues(answer.header("Content-Range")):
            answer.close()
            raise RegistryFault(f"cannot go on with a layer of {self._client.host}: it sent another part")
        if answer.status == 200 and self.count:
            _skip(answer, self.count)  # it does not know ranges
        return answer

    def _continues(self, text: str) -> bool:
        span, _, total = text.removeprefix("bytes ").partition("/")
        return span.partition("-")[0] == str(self.count) and total in ("*", str(self._descriptor.size))

    def _read(self, answer: Answer) -> Iterator[bytes]:
        try:
            while data := answer.read(PIECE):
                self.count += len(data)
                if self.count > self._descriptor.size:
                    raise DigestMismatch(
                        f"cannot accept layer {self._descriptor.digest} of {self._client.host}: "
                        f"it is longer than the {self._descriptor.size} bytes it should have"
                    )
                self._digest.update(data)
                self._tell(self.count)
                yield data
        finally:
            answer.close()
        if self.count < self._descriptor.size:
            raise Unreachable(
                f"cannot get layer {self._descriptor.digest[:19]} from {self._client.host}: "
                f"it ended after {self.count} of {self._descriptor.size} bytes"
            )


class _Busy(Unreachable):
    """An answer that is worth asking again for; says what the registry said."""

    def __init__(self, fault: RegistryFault, retry_after: str) -> None:
        super().__init__(fault.message, fault.hint, fault.status, fault.code)
        self.retry_after = retry_after


def _skip(answer: Answer, count: int) -> None:
    while count:
        data = answer.read(min(PIECE, count))
        if not data:
            raise Unreachable(f"{answer.host} broke off while its beginning was read again")
        count -= len(data)


class ReadAhead:
    """An iterator that a thread runs ahead of its reader by a few pieces; a context manager that ends the thread."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._room: SimpleQueue[bool] = SimpleQueue()  # a token per piece that may lie in the queue; False ends it
        for _each in range(_AHEAD):
            self._room.put(True)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ReadAhead:
        self._thread.start()
        return self

    def __exit__(self, *_details: object) -> None:
        """A thread that sits in a read ends by itself, at the latest when its connection has stalled long enough."""
        try:
            while self._room.get_nowait():
                pass
        except Empty:
            pass
        self._room.put(False)
        self._thread.join(0.2)

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._queue.get()) is not None:
            self._room.put(True)
            yield piece
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            for piece in self._pieces:
                if not self._room.get():
                    return
                self._queue.put(piece)
        except BaseException as error:  # noqa: BLE001 -- raised again in the reader's thread
            self._error = error
        self._queue.put(None)
