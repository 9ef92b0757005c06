"""The image store: what there is, by name. Format: docs/formats/image-store.md.

:func:`resolve` and :func:`rootfs_of` are on the way of every ``up``: one small file per reference, no directory is
read. What adds or removes images is in ``ingest``, ``archive`` and ``removal`` and is imported when it is used.
"""

from __future__ import annotations

import os

from runtime import plain_json as json
from runtime.errors import Conflict, NotFound, RuntimeFault
from runtime.images import builtin
from runtime.images.reference import is_digest, normalise, parse
from runtime.record import EMPTY, record, replace
from runtime.spec import Rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from runtime.images.compression import Readable
    from runtime.paths import Roots

VERSION = 1


@record
class Image:
    """An image. ``layers``: diff ids, lowest first; ``snapshots``: their directories in the store, lowest first.

    ``reference``: the familiar name, empty for an image without one. ``digest``: the image id, sha256 of its
    configuration. ``config``: the ``config`` object of the OCI image configuration (Env, Cmd, Entrypoint, User,
    WorkingDir, Volumes, Healthcheck, StopSignal, ExposedPorts, Labels, Shell). ``size``: bytes of file content.
    """

    reference: str
    digest: str
    layers: tuple[str, ...]
    config: Mapping[str, Any] = EMPTY
    created: str = ""
    size: int = 0
    architecture: str = ""
    os: str = "linux"
    snapshots: tuple[str, ...] = ()
    binds: tuple[tuple[str, str], ...] = ()


def store_dir(roots: Roots) -> str:
    return f"{roots.state}/images"


def reference_path(roots: Roots, full: str) -> str:
    """The file of a full reference; "%" occurs in none, so that no two share a file and none leaves the directory."""
    name = full.replace("/", "%")
    if len(name) > 200:
        from hashlib import sha256

        name = f"{name[:120]}%%{sha256(name.encode()).hexdigest()}"
    return f"{store_dir(roots)}/refs/{name}.json"


def image_path(roots: Roots, digest: str) -> str:
    """The file of an image by its id; ``digest`` must have been checked."""
    return f"{store_dir(roots)}/ids/{digest.partition(':')[2]}.json"


def read_image(path: str) -> Image:
    """An image from its file. Raises FileNotFoundError, and RuntimeFault on a file of another version."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(fd, "rb", buffering=0) as file:
        data = file.read()
    try:
        plain = json.loads(data)
        version = plain.pop("version", None)
        plain["layers"], plain["snapshots"] = tuple(plain["layers"]), tuple(plain["snapshots"])
        plain["binds"] = tuple((source, destination) for source, destination in plain["binds"])
        image = Image(**plain)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RuntimeFault(f"cannot read {path}: it is damaged", "remove the file and load the image again") from error
    if version != VERSION:
        raise RuntimeFault(f"cannot read {path}: it was written by another version of pycompose")
    return image


def encode_image(image: Image) -> bytes:
    return json.dumps({"version": VERSION, **image.__dict__}, separators=(",", ":")).encode()


def resolve(roots: Roots, reference: str) -> Image:
    """The image of a name, or of an id or its beginning. Raises NotFound, its hint naming what would work."""
    if reference in builtin.NAMES:
        return read_image(builtin.ensure(roots))
    full = normalise(reference).full
    if full in builtin.FULL_NAMES:
        return read_image(builtin.ensure(roots))
    try:
        return read_image(reference_path(roots, full))
    except (FileNotFoundError, ValueError):
        return _resolve_slowly(roots, reference)


def _resolve_slowly(roots: Roots, text: str) -> Image:
    found = _by_id(roots, text)
    if found is not None:
        return found
    reference = parse(text)
    if reference.repository in ("busybox", "pycompose/busybox"):
        from runtime.images import busybox

        own = busybox.find(roots) if reference.full in busybox.FULL_NAMES else None
        if own is not None:
            return replace(own, reference=reference.familiar)
    if reference.digest:
        found = _by_id(roots, reference.digest)
        if found is not None:
            return replace(found, reference=reference.familiar)
    raise NotFound(f"cannot find image {reference.familiar!r} in the local store", _hint(roots, reference.repository))


def _by_id(roots: Roots, text: str) -> Image | None:
    """An image by id: ``sha256:...``, or the beginning of the hexadecimal part. Raises RuntimeFault if ambiguous."""
    digits = text.removeprefix("sha256:").lower()
    if len(digits) < 2 or digits.strip("0123456789abcdef"):
        return None
    try:
        names = [name for name in os.listdir(f"{store_dir(roots)}/ids") if name.startswith(digits)]
    except FileNotFoundError:
        names = []
    host = builtin.current(roots)
    if host is not None and read_image(host).digest.partition(":")[2].startswith(digits):
        return read_image(host)
    if len(names) > 1:
        raise RuntimeFault(f"cannot use image id {text!r}: it begins {len(names)} images", "give more of its digits")
    return read_image(f"{store_dir(roots)}/ids/{names[0]}") if names else None


def _hint(roots: Roots, repository: str) -> str:
    from difflib import get_close_matches

    names = [image.reference for image in list_images(roots) if image.reference]
    near = get_close_matches(repository, names, 3, 0.5) or names[:5]
    have = f"; the store has {', '.join(near)}" if near else ""
    if repository == "busybox":
        have = f"; with a static busybox on this machine (apt-get install busybox-static) it is built in{have}"
    return (
        f"`pycompose image pull {repository}` asks its registry, `pycompose load -i FILE` takes an archive of docker "
        f"save, `pycompose import ROOTFS.tar {repository}` a root file system; `image: host` needs nothing{have}"
    )


def rootfs_of(roots: Roots, image: Image, *, readonly: bool = False, volatile: bool = False) -> Rootfs:
    """What to mount for the image: layer directories, top first, and the built-in image's binds."""
    base = store_dir(roots)
    layers = tuple(f"{base}/{name}/diff" for name in reversed(image.snapshots))
    return Rootfs(layers, readonly, volatile, image.binds)


def list_images(roots: Roots) -> list[Image]:
    """Every image under each of its names, by name; those without a name last, with an empty reference."""
    named = [image for name, image in _read_all(f"{store_dir(roots)}/refs") if "@" not in name]
    known = {image.digest for image in named}
    rest = [image for _name, image in _read_all(f"{store_dir(roots)}/ids") if image.digest not in known]
    host = builtin.current(roots)
    if host is not None:
        named.append(read_image(host))
    return sorted(named, key=lambda image: image.reference) + sorted(rest, key=lambda image: image.created)


def _read_all(directory: str) -> list[tuple[str, Image]]:
    found = []
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    for name in names:
        if name.endswith(".json"):
            try:
                found.append((name, read_image(f"{directory}/{name}")))
            except FileNotFoundError:
                continue
    return found


def tag(roots: Roots, source: str, target: str) -> Image:
    """Give an image one more name. Raises NotFound, and RuntimeFault when ``target`` is no name for an image."""
    from runtime.images.ingest import lock_store, write_reference

    name = parse(target)
    if name.full in builtin.FULL_NAMES:
        raise Conflict(f"cannot tag {source!r} as {target!r}: that is the name of the built-in image")
    if name.digest:
        raise RuntimeFault(f"cannot tag {source!r} as {target!r}: a name has no digest")
    image = resolve(roots, source)
    lock = lock_store(roots, exclusive=False)
    try:
        return write_reference(roots, read_image(_file_of(roots, image)), name)
    except FileNotFoundError:
        raise NotFound(f"cannot tag {source!r}: the image was removed just now") from None
    finally:
        os.close(lock)


def _file_of(roots: Roots, image: Image) -> str:
    """The file that keeps the image, whatever its names."""
    if image.snapshots and image.snapshots[0].startswith("builtin/"):
        return f"{store_dir(roots)}/{image.snapshots[0]}/image.json"
    return image_path(roots, image.digest)


def import_rootfs(roots: Roots, source: Readable | str | int, reference: str, changes: Sequence[str] = ()) -> Image:
    """An image of one layer from a root file system tarball: a path, ``-`` or a descriptor, or an open binary file.

    ``changes``: Dockerfile instructions for the configuration (``CMD ["sh"]``). Raises BadArchive, RuntimeFault.
    """
    from runtime.images.importing import import_rootfs as do

    return do(roots, source, reference, changes)


def load_archive(roots: Roots, source: str | int) -> list[Image]:
    """The images of a ``docker save`` archive (any age) or an OCI layout; a file, ``-``, descriptor or directory.

    An image without a name has an empty ``reference``. Raises BadArchive, RuntimeFault.
    """
    from runtime.images.archive import load_archive as do

    return do(roots, source)


def remove_image(
    roots: Roots, reference: str, force: bool = False, in_use: Callable[[str], list[str]] | None = None
) -> list[str]:
    """Remove a name, and with the last name the image and its layers; the lines that ``docker rmi`` prints.

    ``in_use``: image id to the names of the containers made from it; they forbid removal, and with ``force`` keep the
    layers. Raises NotFound, Conflict.
    """
    from runtime.images.removal import remove_image as do

    return do(roots, reference, force, in_use)


def inspect(roots: Roots, reference: str) -> dict[str, Any]:
    """The image as ``docker image inspect`` shows it."""
    from runtime.images.upkeep import repo_digests

    image = resolve(roots, reference)
    return {
        "Id": image.digest,
        "RepoTags": sorted(
            other.reference for other in list_images(roots) if other.digest == image.digest and other.reference
        ),
        "RepoDigests": repo_digests(roots, image.digest),
        "Created": image.created,
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size,
        "Config": dict(image.config),
        "RootFS": {"Type": "layers", "Layers": list(image.layers)},
        "GraphDriver": {"Name": "overlay", "Data": {"LowerDir": ":".join(rootfs_of(roots, image).layers)}},
    }


def warnings_of(roots: Roots, image: Image) -> list[str]:
    """What was left out when the image was unpacked (devices, attributes), for the user to know."""
    found: list[str] = []
    for name in image.snapshots:
        try:
            with open(f"{store_dir(roots)}/{name}/meta.json", "rb") as file:
                found += json.load(file)["warnings"]
        except FileNotFoundError:
            continue
    return found


def is_id(text: str) -> bool:
    """Whether the text is a whole image id."""
    return is_digest(text) or is_digest(f"sha256:{text}")
