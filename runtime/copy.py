"""``cp`` into and out of a container whose root is a directory descriptor, as ``docker cp`` does.

A container may be running and hostile while files are copied: its paths are resolved by openat2(2) inside its root,
and below the resolved directory everything is one name relative to a descriptor. The rules of names are docker cp's:

- a file goes to the name given, or into the directory that has this name; a name that ends in "/" must be one;
- a directory goes into an existing directory, or becomes a new one; a source that ends in "/." means its content;
- a symlink as the source is copied as a link, unless ``follow``; one as the destination is followed;
- copies into a container keep their numeric owner (as measured with docker 28, whatever its manual says); copies out
  of it belong to the caller, without set-id bits and devices, unless ``archive`` keeps all of that.
"""

from __future__ import annotations

import os
import stat

from runtime.copy_tree import Copier
from runtime.errors import NotFound, RuntimeFault
from runtime.tree import kind_of, open_directory, open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS = 40


class Place:
    """A name in an open directory below a root: ``info`` is None while nothing has that name."""

    def __init__(self, root: int, path: str, follow: bool, shown: str) -> None:
        self.shown = shown
        self.contents = path.endswith("/.") or path in (".", "/")
        self.must_be_directory = path.endswith(("/", "/.")) or path == "."
        self._root = root
        inner = os.path.normpath("/" + path.lstrip("/"))
        for _link in range(_MAX_LINKS):
            self.parent, self.name = self._open(inner)
            self.info = self._stat()
            is_link = self.info is not None and stat.S_ISLNK(self.info.st_mode)
            if not is_link or not (follow or self.must_be_directory):
                return
            target = os.readlink(self.name, dir_fd=self.parent)
            os.close(self.parent)
            # not normalised: ".." after a link means the parent of its target, which the kernel works out in the root
            inner = (
                os.fsdecode(target) if target.startswith(b"/") else f"{os.path.dirname(inner)}/{os.fsdecode(target)}"
            )
        raise RuntimeFault(f"cannot use {shown}: too many symbolic links", hint="name the place they lead to")

    def _open(self, path: str) -> tuple[int, bytes]:
        directory, name = os.path.split(path.rstrip("/"))
        if name in ("", ".", ".."):
            directory, name = path, "."
        try:
            fd = open_in_root(self._root, directory or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(
                f"cannot find {self.shown}: there is no directory {directory}", hint="make it first"
            ) from None
        except OSError as error:
            raise RuntimeFault(f"cannot open {self.shown}: {os.strerror(error.errno or 0).lower()}") from error
        return fd, os.fsencode(name)

    def _stat(self) -> os.stat_result | None:
        try:
            return os.stat(self.name, dir_fd=self.parent, follow_symlinks=False)
        except FileNotFoundError:
            return None

    @property
    def is_directory(self) -> bool:
        return self.info is not None and stat.S_ISDIR(self.info.st_mode)

    def open_directory(self) -> int:
        return open_directory(self.name, self.parent)

    def close(self) -> None:
        os.close(self.parent)


def copy_to(
    root_fd: int,
    source: str | BinaryIO,
    dest: str,
    *,
    archive: bool = False,
    follow: bool = False,
    owner: tuple[int, int] | None = None,
) -> None:
    """Copy a host path, or the tar archive that an open file gives, to ``dest`` in the container.

    ``owner``: with ``archive``, the (uid, gid) of all that is copied: docker's -a gives it to the container's user.
    Raises NotFound when the source or the destination's directory is missing, RuntimeFault otherwise.
    """
    owner = owner if archive else None
    target = Place(root_fd, dest, True, f"{dest} in the container")
    try:
        if not isinstance(source, str):
            _extract(source, target, owner)
            return
        with Copier(owner, merge=True) as copier:
            _from_host(copier, source, follow, target)
    except OSError as error:
        raise _fault(f"copy to {dest} in the container", error) from error
    finally:
        target.close()


def _from_host(copier: Copier, source: str, follow: bool, target: Place) -> None:
    host = open_directory("/")
    try:
        origin = Place(host, _absolute(source), follow, source)
        try:
            _copy(copier, origin, target)
        finally:
            origin.close()
    finally:
        os.close(host)


def copy_from(root_fd: int, source: str, dest: str | BinaryIO, *, archive: bool = False, follow: bool = False) -> None:
    """Copy ``source`` in the container to a host path, or write it as a tar archive to an open file.

    Without ``archive`` the copies have no set-id bits and no device nodes. Raises NotFound, RuntimeFault.
    """
    origin = Place(root_fd, source, follow, f"{source} in the container")
    try:
        if origin.info is None:
            raise NotFound(f"cannot find {origin.shown}")
        if not isinstance(dest, str):
            from runtime.copy_tar import write_tar

            write_tar(origin.parent, origin.name, b"." if origin.contents else origin.name, dest)
            return
        owner = None if archive else (os.geteuid(), os.getegid())
        with Copier(owner, merge=True, devices=archive, privileges=archive) as copier:
            _to_host(copier, origin, dest)
    except OSError as error:
        raise _fault(f"copy {source} from the container", error) from error
    finally:
        origin.close()


def _to_host(copier: Copier, origin: Place, dest: str) -> None:
    host = open_directory("/")
    try:
        target = Place(host, _absolute(dest), True, dest)
        try:
            _copy(copier, origin, target)
        finally:
            target.close()
    finally:
        os.close(host)


def _absolute(path: str) -> str:
    """An absolute host path that ends as the given one: the end has a meaning."""
    full = os.path.abspath(path)
    if path.endswith("/.") or path == ".":
        return full.rstrip("/") + "/."
    return full.rstrip("/") + "/" if path.endswith("/") else full


def _fault(what: str, error: OSError) -> RuntimeFault:
    place = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, (str, bytes)) else ""
    return RuntimeFault(f"cannot {what}: {os.strerror(error.errno or 0).lower()}{place}")


def _copy(copier: Copier, origin: Place, target: Place) -> None:
    """One source to one destination, by the rules above."""
    if origin.info is None:
        raise NotFound(f"cannot find {origin.shown}", hint="paths in containers begin with SERVICE:, and are absolute")
    if origin.is_directory:
        _copy_directory(copier, origin, target)
        return
    if origin.must_be_directory:
        raise RuntimeFault(
            f"cannot copy {origin.shown}: it is a {kind_of(origin.info.st_mode)}, not a directory",
            hint="leave the slash or dot at its end out",
        )
    if target.is_directory:
        with_directory = target.open_directory()
        try:
            copier.copy(origin.parent, origin.name, with_directory, origin.name)
        finally:
            os.close(with_directory)
        return
    if target.must_be_directory:
        reason = "it does not exist" if target.info is None else "it is not a directory"
        raise NotFound(f"cannot copy to {target.shown}: {reason}")
    copier.copy(origin.parent, origin.name, target.parent, target.name)


def _copy_directory(copier: Copier, origin: Place, target: Place) -> None:
    if target.info is not None and not target.is_directory:
        raise RuntimeFault(
            f"cannot copy a directory to {target.shown}: it is a {kind_of(target.info.st_mode)}",
            hint="name a directory, or a place that is free",
        )
    if target.info is None:
        copier.copy(origin.parent, origin.name, target.parent, target.name)
        return
    reader, writer = origin.open_directory(), target.open_directory()
    try:
        if origin.contents:
            copier.copy_children(reader, writer)
        else:
            copier.copy(origin.parent, origin.name, writer, origin.name)
    finally:
        os.close(reader)
        os.close(writer)


def _extract(stream: BinaryIO, target: Place, owner: tuple[int, int] | None) -> None:
    from runtime.images.compression import chunks_of, decompress
    from runtime.images.tar import Source, TarReader
    from runtime.images.unpack import Extractor

    if not target.is_directory:
        reason = "it does not exist" if target.info is None else "it is not a directory"
        raise NotFound(f"cannot unpack an archive in {target.shown}: {reason}")
    directory = target.open_directory()
    try:
        reader = TarReader(Source(decompress(chunks_of(stream))))
        Extractor(directory, None, whiteouts=False, owner=owner, merge=True).run(reader)
    finally:
        os.close(directory)
