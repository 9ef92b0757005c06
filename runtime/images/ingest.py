"""Adding images: unpack in staging, verify, write out once, then name. Formats: docs/formats/image-store.md.

Order makes it safe to be killed anywhere: layers first, then the configuration, then the image by id, then its name.
What is left by a kill is garbage that nothing names: staging is removed by the next command that adds an image, a
layer without an image by the next removal.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading

from runtime import plain_json as json
from runtime.errors import BadArchive, RuntimeFault
from runtime.images.merged import Merged
from runtime.images.reference import Reference
from runtime.images.store import Image, encode_image, image_path, reference_path, store_dir
from runtime.images.tape import NAME as TAPE
from runtime.images.tape import Tape
from runtime.images.tar import Source, TarReader
from runtime.images.unpack import Extractor
from runtime.linux.placement import spread
from runtime.record import record, replace
from runtime.tree import fsync_directory, open_directory, remove_tree, syncfs, write_durable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runtime.paths import Roots

MAX_LAYERS = 500  # what overlayfs stacks
_DIRECTORIES = ("refs", "ids", "configs", "layers", "staging", "trash", "builtin")


@record
class Layer:
    """An unpacked layer: ``name`` under the store, ``path`` where its files are now, ``chain`` its chain id."""

    diff_id: str
    chain: str
    name: str
    path: str
    size: int


def prepare(roots: Roots) -> str:
    """Make the store's directories. Raises RuntimeFault when the state directory cannot be written."""
    base = store_dir(roots)
    try:
        os.makedirs(roots.state, 0o700, exist_ok=True)
        for name in ("", *_DIRECTORIES):
            try:
                os.mkdir(f"{base}/{name}", 0o700)
            except FileExistsError:
                pass
    except OSError as error:
        hint = "run as root, or choose another place with PYCOMPOSE_STATE_DIR"
        raise RuntimeFault(f"cannot make the image store {base}: {error.strerror}", hint) from error
    return base


def lock_store(roots: Roots, exclusive: bool) -> int:
    """The store's lock: shared while images are added, exclusive while they are removed. Close it to release it."""
    fd = os.open(f"{prepare(roots)}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    return fd


_LIVE: dict[str, int] = {}  # staging directories of this process -> the thread that made each


def remove_staged(threads: set[int]) -> None:
    """Remove what these threads have staged, while they may still be at it: they were left behind."""
    for path, thread in list(_LIVE.items()):
        if thread in threads:
            try:
                remove_tree(path)
            except OSError:  # it grew meanwhile; the next sweep removes the rest
                continue


class Staging:
    """A directory of this process' unfinished work, locked as long as it lives; a context manager."""

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self.base = prepare(roots)
        self.layers: list[Layer] = []
        self._mutex = threading.Lock()
        self._lock = lock_store(roots, exclusive=False)
        sweep(roots)
        self.path, self.fd = self._make()
        _LIVE[self.path] = threading.get_ident()

    def _make(self) -> tuple[str, int]:
        while True:
            path = f"{self.base}/staging/{os.getpid()}-{os.urandom(6).hex()}"
            os.mkdir(path, 0o700)
            try:
                fd = open_directory(path)
            except FileNotFoundError:  # another process' sweep was faster
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                spread(fd)
                if os.fstat(fd).st_nlink and os.path.samestat(os.stat(path), os.fstat(fd)):
                    return path, fd
            except OSError:  # it was faster between open and flock
                pass
            os.close(fd)

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_details: object) -> None:
        try:
            remove_tree(self.path)
        finally:
            _LIVE.pop(self.path, None)
            os.close(self.fd)
            os.close(self._lock)

    def add_layer(self, chunks: Iterable[bytes], below: Sequence[Layer], diff_id: str = "") -> Layer:
        """Unpack one layer on those below (lowest first), unless the store has it; ``diff_id`` is verified."""
        if diff_id:
            known = self.known(diff_id, chain_id(below, diff_id))
            if known is not None:
                return known
        lower = Merged(layer.path for layer in reversed(below))
        return self.unpack(chunks, lower, below[-1].chain if below else "", diff_id)

    def unpack(self, chunks: Iterable[bytes], lower: Merged, chain_below: str, diff_id: str = "") -> Layer:
        """Unpack one layer into staging and check its diff id. Several threads may do so at once."""
        from hashlib import sha256

        place = self._place()
        root = open_directory(f"{place}/diff")
        digest = sha256()
        tape = Tape(f"{place}/{TAPE}")
        try:
            os.fchmod(root, 0o755)
            result = Extractor(root, lower).run(TarReader(Source(chunks, digest, tape)))
        finally:
            os.close(root)
            tape.close()
        found = f"sha256:{digest.hexdigest()}"
        if diff_id and found != diff_id:
            raise BadArchive(
                f"cannot accept layer {diff_id}: its content is {found}", "the archive is damaged; copy it again"
            )
        chain = chain_of(chain_below, found)
        name = f"layers/{chain[7:]}.chain" if result.used_lower else f"layers/{found[7:]}"
        meta = {"version": 1, "diff_id": found, "size": result.size, "warnings": list(result.warnings)}
        write_durable(f"{place}/meta.json", json.dumps(meta).encode())
        layer = Layer(found, chain, name, f"{place}/diff", result.size)
        with self._mutex:
            self.layers.append(layer)
        return layer

    def _place(self) -> str:
        """A new directory for one layer; where ext4 puts it follows from its name."""
        place = f"{self.path}/{os.urandom(6).hex()}"
        os.mkdir(place, 0o700)
        os.mkdir(f"{place}/diff", 0o755)
        return place

    def known(self, diff_id: str, chain: str) -> Layer | None:
        """The layer, if the store or this staging has it."""
        for name in (f"layers/{diff_id[7:]}", f"layers/{chain[7:]}.chain"):
            with self._mutex:
                for layer in self.layers:
                    if layer.name == name:
                        return replace(layer, chain=chain)
            try:
                with open(f"{self.base}/{name}/meta.json", "rb") as file:
                    size = json.load(file)["size"]
            except FileNotFoundError:
                continue
            return Layer(diff_id, chain, name, f"{self.base}/{name}/diff", size)
        return None

    def commit(self) -> None:
        """Make the layers durable and put them in their places; another process may have been first."""
        if not self.layers:
            return
        syncfs(self.fd)
        for layer in self.layers:
            self._rename(layer)
        self.layers.clear()
        fsync_directory(f"{self.base}/layers")

    def commit_layer(self, layer: Layer) -> Layer:
        """The same for one layer, while others are still unpacked: what a kill then leaves need not come again."""
        syncfs(self.fd)
        self._rename(layer)
        with self._mutex:
            self.layers.remove(layer)
        fsync_directory(f"{self.base}/layers")
        return replace(layer, path=f"{self.base}/{layer.name}/diff")

    def _rename(self, layer: Layer) -> None:
        try:
            os.rename(layer.path.removesuffix("/diff"), f"{self.base}/{layer.name}")
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise


def chain_id(below: Sequence[Layer], diff_id: str) -> str:
    """The OCI chain id of a layer on those below it."""
    return chain_of(below[-1].chain if below else "", diff_id)


def chain_of(chain_below: str, diff_id: str) -> str:
    """The same, from the chain id below; empty for the lowest layer."""
    if not chain_below:
        return diff_id
    from hashlib import sha256

    return "sha256:" + sha256(f"{chain_below} {diff_id}".encode()).hexdigest()


def sweep(roots: Roots) -> None:
    """Remove what killed commands left: unlocked staging directories and the trash."""
    base = store_dir(roots)
    for name in os.listdir(f"{base}/staging"):
        _sweep_staging(base, name)
    _sweep_claims(f"{base}/claims")
    for name in os.listdir(f"{base}/trash"):
        try:
            remove_tree(f"{base}/trash/{name}")
        except OSError:  # somebody else empties it too, or something is mounted inside; the next sweep tries again
            continue


def _sweep_claims(directory: str) -> None:
    """Files of claims that nobody holds."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        try:
            fd = os.open(f"{directory}/{name}", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(f"{directory}/{name}")
        except (BlockingIOError, FileNotFoundError):
            pass
        finally:
            os.close(fd)


def _sweep_staging(base: str, name: str) -> None:
    try:
        fd = open_directory(f"{base}/staging/{name}")
    except OSError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        discard(base, f"{base}/staging/{name}")
    except BlockingIOError:
        pass  # its owner lives
    finally:
        os.close(fd)


def discard(base: str, path: str) -> None:
    """Move a directory to the trash in one step, then remove it."""
    trash = f"{base}/trash/{os.path.basename(path)}-{os.urandom(6).hex()}"
    try:
        os.rename(path, trash)
    except FileNotFoundError:
        return
    remove_tree(trash)


def add_image(staging: Staging, config_bytes: bytes, layers: Sequence[Layer], references: Sequence[Reference]) -> Image:
    """Commit the layers, then the configuration, then the image under its id and its names."""
    from hashlib import sha256

    config = json.loads(config_bytes)
    digest = f"sha256:{sha256(config_bytes).hexdigest()}"
    staging.commit()
    write_durable(f"{staging.base}/configs/{digest[7:]}.json", config_bytes)
    image = Image(
        reference="",
        digest=digest,
        layers=tuple(layer.diff_id for layer in layers),
        config=config.get("config") or {},
        created=config.get("created") or "",
        size=sum(layer.size for layer in layers),
        architecture=config.get("architecture") or "",
        os=config.get("os") or "linux",
        snapshots=tuple(layer.name for layer in layers),
    )
    write_durable(image_path(staging.roots, digest), encode_image(image))
    named = [write_reference(staging.roots, image, reference) for reference in references]
    return named[0] if named else image


def write_reference(roots: Roots, image: Image, reference: Reference) -> Image:
    """Let a name mean this image from now on."""
    prepare(roots)
    image = replace(image, reference=reference.familiar)
    path = reference_path(roots, reference.full)
    write_durable(path, encode_image(image))
    fsync_directory(os.path.dirname(path))
    return image


class Failing:
    """Turns OSError into one clear fault about ``what``, and names the archive in BadArchive; a context manager."""

    def __init__(self, roots: Roots, what: str, archive: str = "") -> None:
        self._roots = roots
        self._what = what
        self._archive = archive

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        prefix, _, reason = getattr(error, "message", "").partition(" archive: ")
        if isinstance(error, BadArchive) and reason and self._archive:
            raise BadArchive(f"{prefix} {self._archive!r}: {reason}", error.hint) from error
        if not isinstance(error, OSError):
            return
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            hint = f"free some space below {self._roots.state}, or choose another disk with PYCOMPOSE_STATE_DIR"
            raise RuntimeFault(f"cannot {self._what}: the disk is full", hint) from error
        place = f" ({os.fsdecode(error.filename)})" if error.filename else ""
        raise RuntimeFault(f"cannot {self._what}: {error.strerror}{place}") from error
