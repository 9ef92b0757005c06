"""The cache taken along: ``cache_to`` writes what a build used, ``cache_from`` reads it elsewhere.

To and from directories (type=local), registries (type=registry), and inside of the image itself (type=inline). The
format is ours (docs/formats/build-cache.md), not BuildKit's. What a stranger put there is unpacked as carefully as an
image, and digests are compared; but a record can claim any result for a key, so a cache must be trusted as an image is.
"""

from __future__ import annotations

import os

from runtime.build.errors import BuildFault
from runtime.build.local_cache import FOREIGN, Directory, write_directory
from runtime.build.request import Warned
from runtime.errors import BadArchive, RuntimeFault
from runtime.images.merged import Merged
from runtime.images.reference import is_digest, parse
from runtime.images.tar import Source, TarReader
from runtime.images.unpack import Extractor
from runtime.record import record
from runtime.tree import open_directory, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    from runtime.build.builder import Builder
    from runtime.build.cache import Piece

    class Import(Protocol):
        """A cache that somebody wrote."""

        def find(self, key: str) -> tuple[str, str] | None:
            """(diff id, time of creation) of a step's result. Raises OSError, ValueError, KeyError, TypeError."""
            ...

        def open(self, diff_id: str) -> Iterator[bytes]:
            """The layer as an uncompressed tar. Raises OSError, RuntimeFault."""
            ...

        def close(self) -> None: ...


_TYPES = ("local", "registry", "inline")
_KINDS = ("gzip", "zstd")


@record
class Place:
    """``kind``: local, registry or inline. ``where``: the directory or the name. ``whole``: mode=max."""

    kind: str
    where: str
    whole: bool = True
    compression: str = "gzip"
    ignore_error: bool = False


def read_places(words: Sequence[str], side: str) -> tuple[list[Place], list[str]]:
    """The places that words name, and the words that are of an unknown type. ``side``: from or to.

    A word without ``=`` is a name in a registry, as BuildKit has it. Raises BuildFault.
    """
    found, others = [], []
    for word in words:
        values = dict(part.partition("=")[::2] for part in word.split(",")) if "=" in word else {}
        if not values:
            values = {"type": "registry", "ref": word}
        if values.get("type") not in _TYPES or (side == "from" and values["type"] == "inline"):
            others.append(word)
        else:
            found.append(_place(word, values, side))
    return found, others


def _place(word: str, values: dict[str, str], side: str) -> Place:
    kind = values["type"]
    local = "src" if side == "from" else "dest"
    where = values.get(local if kind == "local" else "ref", "")
    if not where and kind != "inline":
        needs = f"directory: write type=local,{local}=DIRECTORY" if kind == "local" else "image: write ref=NAME"
        raise BuildFault(f"cannot use cache {word!r}: it names no {needs.partition(':')[0]}", needs.partition(": ")[2])
    compression = values.get("compression", "gzip")
    if compression not in _KINDS and side == "to":
        raise BuildFault(f"cannot use cache {word!r}: unknown compression {compression!r}", "known: gzip, zstd")
    if kind == "registry":
        parse(where)
    whole = values.get("mode", "min" if kind == "inline" else "max") != "min"
    return Place(kind, where, whole, compression, values.get("ignore-error") == "true")


class Exchange:
    """The caches that one build reads and writes. ``inline``: the image is to carry its own."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._imports: list[Import] = []
        request = builder.request
        sources, unknown = read_places(request.cache_from, "from")
        self._exports, more = read_places(request.cache_to, "to")
        for word in (*unknown, *more):
            builder.reporter.emit(Warned(f"cache {word} is not used: known types are {', '.join(_TYPES)}"))
        for place in sources:
            self._imports.append(self._import(place))
        self.inline = any(place.kind == "inline" for place in self._exports)
        self.inline = self.inline or request.args.get("BUILDKIT_INLINE_CACHE") in ("1", "true")

    def _import(self, place: Place) -> Import:
        if place.kind == "local":
            directory = Directory(place.where)
            if directory.is_foreign():
                self._builder.reporter.emit(Warned(f"cache {place.where} is not used: {FOREIGN}"))
            return directory
        from runtime.build.remote_cache import Repository

        return Repository(self._builder, place.where)

    def take(self, key: str, below: Sequence[str]) -> Piece | None:
        """The result of a key as a piece of our own cache; None when no cache has one that can be used."""
        for source in self._imports:
            try:
                found = source.find(key)
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if found is None or not is_digest(found[0]):
                continue
            place = self._builder.new_place()
            size = _unpacked(source, found[0], f"{place}/diff", below)
            if size >= 0:
                return self._builder.cache.keep(key, place, size, found[1])
            remove_tree(place)
        return None

    def give(self, used: dict[str, Piece], kept: Sequence[Piece]) -> None:
        """Write the results that the build used (``kept``: those in the image). Raises BuildFault."""
        names = {piece.name for piece in kept}
        for place in self._exports:
            rows = {key: piece for key, piece in used.items() if place.whole or piece.name in names}
            try:
                if place.kind == "local":
                    self._write(rows, place)
                elif place.kind == "registry":
                    self._send(rows, place)
            except RuntimeFault as fault:
                if not place.ignore_error:
                    raise
                self._builder.reporter.emit(Warned(f"the cache was not written: {fault.message}"))

    def _write(self, rows: dict[str, Piece], place: Place) -> None:
        try:
            write_directory(self._builder.cache, rows, place.where)
        except OSError as error:
            raise BuildFault(f"cannot write the cache to {place.where}: {error.strerror}") from error

    def _send(self, rows: dict[str, Piece], place: Place) -> None:
        from runtime.build.remote_cache import send

        title = f"[internal] exporting cache to {place.where}"
        self._builder.aside(title, lambda tell: send(self._builder, rows, place.where, place.compression, tell))

    def close(self) -> None:
        for source in self._imports:
            source.close()


def _unpacked(source: Import, digest: str, diff: str, below: Sequence[str]) -> int:
    """Unpack a layer; its size, or -1 when it is not there or not what it should be."""
    from hashlib import sha256

    found = sha256()
    root = open_directory(diff)
    try:
        reader = TarReader(Source(source.open(digest), found))
        size = Extractor(root, Merged(below) if below else None).run(reader).size
    except (OSError, RuntimeFault, BadArchive):
        return -1
    finally:
        os.close(root)
    return size if f"sha256:{found.hexdigest()}" == digest else -1
