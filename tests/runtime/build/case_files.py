"""The cases of the differential suite: small Dockerfiles with their contexts, and what an image looks like as JSON.

A file of ``cases/`` holds several, each begun by ``=== NAME``; ``args:`` are flags of docker build. Then the context:
``-- PATH [MODE]`` and the lines of a file, ``-d PATH [MODE]`` a directory, ``-> PATH TARGET`` a symbolic link,
``-= PATH OTHER`` a hard link, ``-t PATH KIND`` an archive (tar, gz, xz, bz2; gztext: compressed text).
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import stat
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

from runtime.images.merged import Found, Merged
from runtime.images.store import Image, rootfs_of
from runtime.paths import Roots

HERE = Path(__file__).parent
CASES, ANSWERS = HERE / "cases", HERE / "answers"
APPLETS = (
    "sh ash cat echo mkdir rm rmdir ln ls cp mv chmod chown touch stat id env grep sort wc ip hostname head tail true "
    "false test sed printf dd mkfifo pwd sleep find kill ps tar httpd wget nc awk tr cut date mount umount"
).split()
PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1000:\nweb:x:33:app\nextra:x:44:app\nnogroup:x:65534:\n"


class Case(NamedTuple):
    """``args``: words of docker build; ``entries``: (kind, path, value, content)."""

    name: str
    args: tuple[str, ...]
    entries: tuple[tuple[str, str, str, str], ...]

    @property
    def dockerfile(self) -> str:
        return next(content for kind, path, _value, content in self.entries if path.endswith("Dockerfile"))

    def write(self, directory: Path) -> None:
        """Make the context."""
        for kind, path, value, content in self.entries:
            place = directory / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if kind == "--":
                place.write_text(content, newline="")
                place.chmod(int(value or "644", 8))
            elif kind == "-d":
                place.mkdir(exist_ok=True)
            elif kind == "->":
                place.symlink_to(value)
            elif kind == "-=":
                os.link(directory / value, place)
            elif kind == "-t":
                place.write_bytes(_archive(value))
        for kind, path, value, _content in self.entries:
            if kind == "-d":
                (directory / path).chmod(int(value or "755", 8))


def read_cases(pattern: str = "*.txt") -> list[Case]:
    """All of them, by file and place."""
    return [case for file in sorted(CASES.glob(pattern)) for case in _parse(file.read_text())]


def _parse(text: str) -> list[Case]:
    cases = []
    for part in text.split("=== ")[1:]:
        name, _, body = part.partition("\n")
        args: tuple[str, ...] = ()
        entries: list[tuple[str, str, str, str]] = []
        for line in body.splitlines(keepends=True):
            words = line.split()
            if line.startswith("args: "):
                args = tuple(words[1:])
            elif words and words[0] in ("--", "-d", "->", "-=", "-t") and line.startswith(words[0] + " "):
                entries.append((words[0], words[1].replace("%20", " "), words[2] if len(words) > 2 else "", ""))
            elif entries:
                kind, path, value, content = entries[-1]
                entries[-1] = (kind, path, value, content + line)
        cases.append(Case(name.strip(), args, tuple(entries)))
    return cases


def _archive(kind: str) -> bytes:
    if kind == "gztext":
        return gzip.compress(b"only text\n", mtime=0)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, mode, uid, data in (("./", 0o711, 7, None), ("dir", 0o750, 5, None), ("dir/f", 0o640, 5, b"f\n")):
            info = tarfile.TarInfo(name)
            info.mode, info.uid, info.gid = mode, uid, uid + 1
            info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            info.size = len(data or b"")
            archive.addfile(info, io.BytesIO(data) if data else None)
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/dir/f"
        archive.addfile(link)
    data = out.getvalue()
    packed = {"tar": bytes, "gz": lambda raw: gzip.compress(raw, mtime=0), "xz": lzma.compress, "bz2": bz2.compress}
    return bytes(packed[kind](data))


def base_archive(busybox: str = "/bin/busybox") -> bytes:
    """The root file system that both sides import as ``base:1``."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, mode in (
            ("bin", 0o755), ("dev", 0o755), ("etc", 0o755), ("home", 0o755), ("home/app", 0o755), ("proc", 0o755),
            ("root", 0o700), ("sys", 0o755), ("tmp", 0o1777), ("var", 0o755),
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, mode
            archive.addfile(info)
        for name, mode, data in (
            ("bin/busybox", 0o755, Path(busybox).read_bytes()),
            ("etc/passwd", 0o644, PASSWD.encode()),
            ("etc/group", 0o644, GROUP.encode()),
        ):
            info = tarfile.TarInfo(name)
            info.mode, info.size = mode, len(data)
            archive.addfile(info, io.BytesIO(data))
        for applet in APPLETS:
            info = tarfile.TarInfo(f"bin/{applet}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(info)
    return out.getvalue()


def describe(roots: Roots, image: Image, base: dict[str, list[Any]]) -> dict[str, Any]:
    """An image as the answers have it: what its tree has beyond the base's (and what it lacks), config, history."""
    tree = tree_of(roots, image)
    config = json.loads(Path(f"{roots.state}/images/configs/{image.digest[7:]}.json").read_text())
    return {
        "tree": {path: row for path, row in tree.items() if base.get(path) != row},
        "gone": sorted(path for path in base if path not in tree) if image.layers else [],
        "config": {
            key: value for key, value in sorted((config.get("config") or {}).items()) if value not in (None, "", [], {})
        },
        "history": [[row.get("created_by", ""), bool(row.get("empty_layer"))] for row in config.get("history", [])],
        "layers": len(image.layers),
    }


def tree_of(roots: Roots, image: Image) -> dict[str, list[Any]]:
    """Path to [kind, mode, uid, gid, content digest or link target or hard link]."""
    merged = Merged(rootfs_of(roots, image).layers)
    found: dict[str, list[Any]] = {}
    root = merged.root()
    if root is not None:
        _walk(merged, root, found, {})
    return found


def _walk(merged: Merged, directory: Found, found: dict[str, list[Any]], seen: dict[tuple[int, int], str]) -> None:
    for name in merged.names(directory):
        entry = merged.child(directory, name)
        if entry is None:
            continue
        path, info = "/" + b"/".join(entry.at).decode(), entry.info
        row: list[Any] = [stat.S_IFMT(info.st_mode) >> 12, oct(stat.S_IMODE(info.st_mode)), info.st_uid, info.st_gid]
        if stat.S_ISLNK(info.st_mode):
            row.append(os.readlink(entry.path).decode())
        elif stat.S_ISREG(info.st_mode):
            key = (info.st_dev, info.st_ino)
            row.append(f"hard link of {seen[key]}" if key in seen else _content(entry.path))
            if info.st_nlink > 1:
                seen.setdefault(key, path)
        found[path] = row
        if stat.S_ISDIR(info.st_mode):
            _walk(merged, entry, found, seen)


def _content(path: bytes) -> str:
    data = Path(os.fsdecode(path)).read_bytes()
    if len(data) <= 200 and all(byte in b"\t\n\r" or 31 < byte < 127 for byte in data):
        return data.decode()
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
