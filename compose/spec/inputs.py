"""Everything a load reads from the world goes through here, and is remembered, so the memo can tell what changed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from compose.errors import SpecError
from compose.spec.paths import is_remote

CANDIDATES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")

Stamp = tuple[int, int, int, int, int]  # dev, inode, size, mtime_ns, ctime_ns


def stamp_of(status: os.stat_result) -> Stamp:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Inputs:
    """The files and variables of one load. ``files``: path → (stamp, content or None), None when absent.

    Not ``repeatable``: something was read that can change without a trace here (standard input, a remote file), so that
    the load must not be remembered.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.files: dict[str, tuple[Stamp, bytes | None] | None] = {}
        self.variables: dict[str, str | None] = {}
        self.repeatable = True

    def variable(self, name: str) -> str | None:
        """A variable of the process environment, or None."""
        value = self.environ.get(name)
        self.variables[name] = value
        return value

    def local(self, path: str, where: str = "") -> str:
        """The path itself, or that of the copy of a Compose file from elsewhere, which is asked for at every load.

        Raises SpecError.
        """
        if not (is_remote(path) or path.startswith("oci:")):
            return path
        from compose.spec.remote import fetch

        self.repeatable = False
        return fetch(path, self.environ, CANDIDATES, where)

    def everything(self) -> dict[str, str]:
        """The whole process environment; a load that asks for it cannot be remembered."""
        return dict(self.environ)

    def is_file(self, path: str) -> bool:
        """Whether a regular file is there."""
        try:
            status = os.stat(path)
        except OSError:
            self.files[path] = None
            return False
        self.files.setdefault(path, (stamp_of(status), None))
        return os.path.isfile(path)

    def read(self, path: str, what: str, where: str = "") -> bytes:
        """The content of a file; ``-`` is standard input. Raises SpecError that names it as ``what``."""
        if path == "-":
            self.repeatable = False
            return sys.stdin.buffer.read()
        try:
            with open(path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                content = file.readall() or b""
        except FileNotFoundError:
            self.files[path] = None
            raise SpecError(
                f"cannot find the {what} {path}",
                where=where,
                hint="check the path; it is relative to the directory it is written for",
            ) from None
        except IsADirectoryError:
            raise SpecError(
                f"cannot read the {what} {path}: it is a directory", where=where, hint="name a file in it"
            ) from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SpecError(
                f"cannot read the {what} {path}: {reason}", where=where, hint="it must be a file that you may read"
            ) from None
        self.files[path] = (stamp_of(status), content)
        return content

    def digest(self, path: str) -> str:
        """sha256 of a file's bytes; "" when it cannot be read (the engine says so when it needs it)."""
        from compose.spec.digest import sha256_hex

        try:
            return sha256_hex(self.read(path, "file"))
        except SpecError:
            self.is_file(path)
            return ""


def display_name(path: str, cwd: str) -> str:
    """A file's name in messages: relative when it lies below the working directory."""
    if path == "-":
        return "<stdin>"
    inside = path.startswith(cwd.rstrip("/") + "/")
    return path[len(cwd.rstrip("/")) + 1 :] if inside else path
