"""The layers of one image from a registry into the store: several at once, each unpacked while it comes.

Lower layers are begun first. A layer that has to ask those below it (see unpack.py) waits until they are there, so that
nobody waits for a layer that was not begun. Each of some size is committed when it is whole: a pull that is killed and
run again fetches only what was missing.
"""

from __future__ import annotations

import threading

from runtime.errors import BadArchive
from runtime.images.compression import decompress
from runtime.images.ingest import Layer, chain_of
from runtime.images.merged import Merged
from runtime.images.registry.claim import Claim
from runtime.images.registry.errors import DigestMismatch, RegistryFault
from runtime.images.registry.fetch import Blob, ReadAhead
from runtime.images.registry.progress import Part
from runtime.images.registry.workers import in_turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runtime.images.ingest import Staging
    from runtime.images.merged import Found
    from runtime.images.registry.client import Client
    from runtime.images.registry.manifests import Descriptor

    Tell = Callable[[Part], None]

WORKERS = 3  # layers of one image at a time
_SLOTS = threading.BoundedSemaphore(4)  # of all images that this process pulls
_TELL_EVERY = 1 << 20  # bytes
_WORTH_COMMITTING = 1 << 20  # bytes of content
_ATTEMPTS = 2  # of a layer whose content was not what it should be


class Layers:
    """Fetches the layers of an image, lowest first."""

    def __init__(
        self, client: Client, staging: Staging, descriptors: Sequence[Descriptor], diff_ids: Sequence[str], tell: Tell
    ) -> None:
        self._client = client
        self._staging = staging
        self._descriptors = descriptors
        self._diff_ids = diff_ids
        self._tell = tell
        self._chains: list[str] = []
        for diff_id in diff_ids:
            self._chains.append(chain_of(self._chains[-1] if self._chains else "", diff_id))
        self._layers: list[Layer | None] = [None] * len(diff_ids)
        self._ready = [threading.Event() for _each in diff_ids]
        self._errors: list[BaseException] = []

    def fetch(self) -> list[Layer]:
        """All layers, in the store. Raises the first error; then no thread goes on with another layer."""
        return in_turn(len(self._diff_ids), WORKERS, self._brought, slots=_SLOTS, errors=self._errors)

    def _brought(self, number: int) -> Layer:
        """A layer. That it did not come is told to those that wait for it, and ends the others' streams."""
        try:
            layer = self._layers[number] = self._one(number)
            return layer
        except BaseException as error:
            self._errors.append(error)  # before those that wait are woken: theirs must not be the first
            raise
        finally:
            self._ready[number].set()

    def wait_for(self, number: int) -> Layer:
        """A lower layer, when it is there. Raises RegistryFault when it did not come."""
        self._ready[number].wait()
        layer = self._layers[number]
        if layer is None:
            raise RegistryFault("cannot unpack a layer: one below it did not come")
        return layer

    def _one(self, number: int) -> Layer:
        descriptor, diff_id = self._descriptors[number], self._diff_ids[number]
        name = descriptor.digest.partition(":")[2][:12]
        known = self._staging.known(diff_id, self._chains[number])
        if known is not None:
            self._tell(Part(name, "Already exists", descriptor.size, descriptor.size, done=True))
            return known
        with Claim(self._staging.base, diff_id, lambda: self._tell(Part(name, "Waiting"))) as claim:
            known = self._staging.known(diff_id, self._chains[number])  # somebody else was first
            layer = known or self._fetch(number, name, claim)
        self._tell(Part(name, "Pull complete", descriptor.size, descriptor.size, done=True))
        return layer

    def _fetch(self, number: int, name: str, claim: Claim) -> Layer:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                layer = self._unpack(number, name, claim)
                break
            except DigestMismatch:
                if attempt == _ATTEMPTS:
                    raise
        # a small one waits for the image's own commit: writing out the file system for it would cost more than it
        return self._staging.commit_layer(layer) if layer.size >= _WORTH_COMMITTING else layer

    def _unpack(self, number: int, name: str, claim: Claim) -> Layer:
        descriptor = self._descriptors[number]
        blob = Blob(self._client, descriptor, self._counter(name, descriptor.size))
        below = self._chains[number - 1] if number else ""
        lower = _Later(lambda: self._below(number, claim))
        # the thread receives, hashes and inflates; this one hashes and writes
        with ReadAhead(_content(blob, self._errors)) as pieces:
            stream = iter(pieces)
            try:
                return self._staging.unpack(stream, lower, below, self._diff_ids[number])
            except BadArchive:
                _drain(stream)  # damage on the way shows in the digest, and is worth another try
                raise

    def _below(self, number: int, claim: Claim) -> list[str]:
        """The directories of the layers below, top first."""
        claim.release()
        return [self.wait_for(other).path for other in range(number - 1, -1, -1)]

    def _counter(self, name: str, size: int) -> Callable[[int], None]:
        told = 0

        def tell(count: int) -> None:
            nonlocal told
            if count - told >= _TELL_EVERY or count == size:
                told = count
                self._tell(Part(name, "Downloading", count, size))

        tell(0)
        return tell


class _Later(Merged):
    """The layers below, which may still be on their way: asked for only when something depends on them."""

    def __init__(self, find: Callable[[], Sequence[str]]) -> None:
        super().__init__(())
        self._find: Callable[[], Sequence[str]] | None = find

    def root(self) -> Found | None:
        if self._find is not None:
            find, self._find = self._find, None
            super().__init__(find())
        return super().root()


def _content(blob: Blob, errors: Sequence[BaseException]) -> Iterator[bytes]:
    """The blob inflated. Ends, well or badly, only when digest and size of the whole blob have been checked.

    Once another layer of the image has failed (``errors``) there is no use in going on.
    """
    stream = iter(blob)
    try:
        for piece in decompress(stream):
            if errors:
                raise RegistryFault("cannot go on: another layer failed")
            yield piece
    except BadArchive:
        _drain(stream)
        raise
    _drain(stream)


def _drain(pieces: Iterator[bytes]) -> None:
    """To the end, where digest and size are checked."""
    for _piece in pieces:
        pass
