"""What ADD does beyond COPY: archives are unpacked, URLs and git repositories fetched."""

from __future__ import annotations

import os
import posixpath

from runtime.build.errors import BuildFault
from runtime.errors import RuntimeFault
from runtime.images.compression import chunks_of, decompress
from runtime.images.merged import Merged, split
from runtime.images.tar import BLOCK, Entry, Source, TarReader
from runtime.images.tar_fields import has_checksum
from runtime.images.unpack import Extractor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.build.copying import Copier

MAX_DOWNLOAD = 16 << 30


def is_remote(source: str) -> bool:
    """Whether a source of ADD is a URL or a git repository."""
    return source.startswith(("http://", "https://")) or is_git(source)


def is_git(source: str) -> bool:
    """Whether a source is a git repository: by scheme, ``git@host:``, or a path that ends with .git."""
    if source.startswith(("git://", "ssh://", "git@")):
        return True
    path = source.partition("#")[0].partition("?")[0]
    return source.startswith(("http://", "https://", "github.com/")) and path.endswith(".git")


def is_archive(path: bytes) -> bool:
    """Whether a file is a tar, compressed or not, by its content."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = Source(decompress(chunks_of(file))).take(BLOCK)
    except (RuntimeFault, OSError, EOFError):
        return False
    return len(head) == BLOCK and bool(head.strip(b"\0")) and has_checksum(head)


class _Below(TarReader):
    """An archive without the entry of its root, which must not change the destination."""

    def __iter__(self) -> Iterator[Entry]:
        for entry in super().__iter__():
            if split(entry.name):
                yield entry


def unpack(copier: Copier, path: bytes, destination: str, owner: tuple[int, int] | None = None) -> None:
    """Unpack an archive below a destination, a directory; ``owner`` None keeps the archive's. Raises OSError."""
    at = copier.dirs.parent(os.fsencode(destination))
    below = copier.lower.lookup(at) if copier.lower is not None else None
    lower = Merged(os.fsdecode(layer) for layer in below.dirs) if below is not None and below.dirs else None
    with open(path, "rb", buffering=0) as file:
        reader = _Below(Source(decompress(chunks_of(file))))
        extractor = Extractor(copier.dirs.directory(at), lower, whiteouts=False, owner=owner, merge=True)
        copier.size += extractor.run(reader).size


def download(url: str, checksum: str, target: str) -> tuple[str, int]:
    """Fetch a URL into the file ``target``: (its name, time of last modification in ns or -1).

    ``checksum``: ``sha256:HEX``, or empty. Raises BuildFault.
    """
    import urllib.error
    import urllib.request
    from hashlib import sha256

    digest = sha256()
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "pycompose"})
        with urllib.request.urlopen(request, timeout=60) as answer, open(target, "wb") as file:
            name = _name_of(answer.headers.get("Content-Disposition") or "", answer.url)
            modified = answer.headers.get("Last-Modified") or ""
            size = 0
            while chunk := answer.read(1 << 20):
                size += len(chunk)
                if size > MAX_DOWNLOAD:
                    raise BuildFault(f"cannot fetch {url}: it is larger than 16 GiB")
                digest.update(chunk)
                file.write(chunk)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise BuildFault(f"cannot fetch {url}: {getattr(error, 'reason', error)}") from error
    found = f"sha256:{digest.hexdigest()}"
    if checksum and checksum != found:
        raise BuildFault(
            f"cannot use {url}: its checksum is {found}, not {checksum}", hint="use that, if it is what you expect"
        )
    return name, _time(modified)


def _name_of(disposition: str, url: str) -> str:
    from urllib.parse import unquote, urlsplit

    marker = 'filename="'
    if marker in disposition:
        return posixpath.basename(disposition.partition(marker)[2].partition('"')[0])
    return posixpath.basename(unquote(urlsplit(url).path)) or "index.html"


def _time(text: str) -> int:
    from email.utils import parsedate_to_datetime

    try:
        return int(parsedate_to_datetime(text).timestamp()) * 1_000_000_000
    except (TypeError, ValueError):
        return -1


def check_checksum(text: str, source: str) -> None:
    """Raises BuildFault for a checksum that cannot be, or that its source cannot have."""
    algorithm, _, digits = text.partition(":")
    if not is_remote(source):
        raise BuildFault(
            f"cannot use --checksum with {source!r}: only URLs and git repositories have one",
            hint="leave --checksum out",
        )
    if is_git(source):
        if text.strip("0123456789abcdef") or not 7 <= len(text) <= 64:
            raise BuildFault(f"cannot use --checksum={text}: a repository's is a commit, or the beginning of one")
    elif algorithm != "sha256" or len(digits) != 64 or digits.strip("0123456789abcdef"):
        raise BuildFault(f"cannot use --checksum={text}: write sha256: and 64 hexadecimal digits")
