"""The tiny base image ``busybox``: this machine's static busybox, in an image like any other.

Made when somebody asks for ``busybox`` and the store has none under that name; one that was pulled, loaded or built
goes before it. Page: docs/images.md.
"""

from __future__ import annotations

import os
import struct

from runtime.images.store import read_image, reference_path
from runtime.images.tar import DIRECTORY, FILE, SYMLINK, Entry
from runtime.images.tar_write import END, encode_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.images.store import Image
    from runtime.paths import Roots

NAME = "pycompose/busybox:latest"
_FULL = f"docker.io/{NAME}"
FULL_NAMES = ("docker.io/library/busybox:latest", _FULL)
_LABEL = "org.pycompose.base"
_PLACES = ("/bin/busybox", "/usr/bin/busybox")
_DIRECTORIES = (
    "bin",
    "dev",
    "etc",
    "home",
    "lib",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
    "var",
)
_PASSWD = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP = "root:x:0:\ndaemon:x:1:\ntty:x:5:\nnogroup:x:65534:\n"
_PT_INTERP = 3


def find(roots: Roots) -> Image | None:
    """The image, made if need be; None where this machine has no static busybox."""
    program = _program()
    if not program:
        return None
    info = os.stat(program)
    state = f"busybox-{info.st_size}-{info.st_mtime_ns}"
    try:
        image = read_image(reference_path(roots, _FULL))
        if (image.config.get("Labels") or {}).get(_LABEL) == state:
            return image
    except FileNotFoundError:
        pass
    return _make(roots, program, state)


def _program() -> str:
    return next((path for path in _PLACES if os.path.exists(path) and _is_static(path)), "")


def _is_static(path: str) -> bool:
    """Whether an ELF file asks for no loader (elf(5): no PT_INTERP among its program headers)."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:4] != b"\x7fELF" or head[4] != 2:
            return False
        order = "<" if head[5] == 1 else ">"
        start, size, count = struct.unpack(f"{order}32xQ14xHH", head[:58])
        file.seek(start)
        table = file.read(size * count)
    return all(struct.unpack_from(f"{order}I", table, at)[0] != _PT_INTERP for at in range(0, size * count, size))


def _make(roots: Roots, program: str, state: str) -> Image:
    from runtime.images.importing import import_rootfs

    changes = [
        "CMD sh",
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        f"LABEL {_LABEL}={state}",
    ]
    return import_rootfs(roots, _Stream(_tar(program)), NAME, changes)


class _Stream:
    """Pieces as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        out, self._rest = self._rest[:size], self._rest[size:]
        return out


def _tar(program: str) -> Iterator[bytes]:
    for name in _DIRECTORIES:
        yield encode_entry(Entry(f"{name}/".encode(), DIRECTORY, 0o1777 if name == "tmp" else 0o755))
    with open(program, "rb") as file:
        data = file.read()
    yield from _file("bin/busybox", data, 0o755)
    for applet in _applets(program):
        yield encode_entry(Entry(f"bin/{applet}".encode(), SYMLINK, 0o777, link=b"busybox"))
    for name, text in (("etc/passwd", _PASSWD), ("etc/group", _GROUP)):
        yield from _file(name, text.encode(), 0o644)
    yield END


def _file(name: str, data: bytes, mode: int) -> Iterator[bytes]:
    yield encode_entry(Entry(name.encode(), FILE, mode, size=len(data)))
    yield data + bytes(-len(data) % 512)


def _applets(program: str) -> list[str]:
    import subprocess

    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout
    return sorted(name for name in listed.split() if name != "busybox" and "/" not in name)
