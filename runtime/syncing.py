"""Writes host files straight into a container's tree: no tar, no shell, no ``rm`` in the image.

The container's root is a directory descriptor. A target is resolved by openat2(2) inside it, so that no symbolic link
of the image and no race leads outside; below the resolved directory everything is one name relative to a descriptor.
A file is written beside its name and renamed over it: a process inside sees the old content or the new, and one event.
What is made belongs to the container's user and has the host file's mode and time (as docker compose's watch does it).
"""

from __future__ import annotations

import errno
import os
import stat

from runtime.copy_tree import copy_content
from runtime.errors import RuntimeFault
from runtime.opening import live_root
from runtime.record import record
from runtime.state import RESTARTING
from runtime.tree import kind_of, open_directory, open_in_root, remove_tree
from runtime.users import UserError, resolve_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runtime.paths import Bundle
    from runtime.spec import ContainerSpec
    from runtime.state import State

COMPARED = 1 << 20  # bytes; larger files of the same size are written without looking at what is there
_OPEN_DIRECTORIES = 128  # kept open during one application
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@record
class Write:
    """Make ``target`` (absolute, in the container) what ``source`` (absolute, on the host) is now, gone included."""

    source: str
    target: str


@record
class Written:
    """What was done: how many were written, were the same already, were removed; ``problems``: a sentence each.

    ``stopped``: the caller wanted to end before all was done.
    """

    written: int = 0
    same: int = 0
    removed: int = 0
    problems: tuple[str, ...] = ()
    stopped: bool = False


class Tree:
    """The open root of a container, and who files in it are to belong to. The caller closes it."""

    def __init__(self, root: int, owner: tuple[int, int]) -> None:
        self.root = root
        self.owner = owner

    def close(self) -> None:
        os.close(self.root)


def open_tree(spec: ContainerSpec, bundle: Bundle, state: State) -> Tree:
    """The files of a container: of its process while it lives (volumes and tmpfs included), else of its overlay.

    Raises RuntimeFault while the container is about to be restarted: its files are then nobody's to mount.
    """
    if state.status == RESTARTING:
        raise RuntimeFault(f"cannot write into container {spec.name}: it is restarting")
    root = live_root(state)
    if root < 0:
        from runtime.overlay import detached_root

        root = detached_root(spec, bundle)
    try:
        return Tree(root, owner_in(root, spec.process.user))
    except BaseException:
        os.close(root)
        raise


def owner_in(root: int, user: str) -> tuple[int, int]:
    """The uid and gid that ``user`` means in the container's own passwd and group. Raises RuntimeFault."""
    try:
        who = resolve_user(os.fsencode(user), (), _text(root, "/etc/passwd"), _text(root, "/etc/group"))
    except UserError as error:
        raise RuntimeFault(f"cannot find out whom files belong to: {os.fsdecode(error.args[0])}") from None
    return who.uid, who.gid


def _text(root: int, path: str) -> bytes:
    try:
        fd = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return b""
    with open(fd, "rb", buffering=0) as file:
        return file.read(1 << 20) if stat.S_ISREG(os.fstat(fd).st_mode) else b""


def apply(tree: Tree, writes: Iterable[Write], stop: Callable[[], bool] = lambda: False) -> Written:
    """Do all writes, shallow ones first; what fails is told in the result and hinders no other.

    ``stop`` is asked before each: whatever was begun is finished, so that no file is ever half-written.
    """
    with _Writer(tree) as writer:
        for write in sorted(writes, key=lambda one: one.target):
            if stop():
                return writer.result(stopped=True)
            writer.write(write)
        return writer.result()


class _Writer:
    """One application: counts, and directories that stay open between files."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.written = self.same = self.removed = 0
        self.problems: list[str] = []
        self.directories: dict[str, int] = {}

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_error: object) -> None:
        self._close_all()

    def _close_all(self) -> None:
        for fd in self.directories.values():
            os.close(fd)
        self.directories.clear()

    def result(self, *, stopped: bool = False) -> Written:
        return Written(self.written, self.same, self.removed, tuple(self.problems), stopped)

    def write(self, one: Write) -> None:
        try:
            self._write(one)
        except FileNotFoundError:  # the source went while it was read: its own event follows
            self._forget(one.target)
        except OSError as error:
            self.problems.append(_problem(one.target, error))

    def _write(self, one: Write) -> None:
        name = os.path.basename(one.target.rstrip("/"))
        if name in ("", "."):
            return  # the root itself
        info = _lstat(one.source)
        if info is None:
            self._remove(one.target, name)
            return
        parent = self._directory(os.path.dirname(one.target.rstrip("/")) or "/")
        there = _lstat(name, parent)
        if stat.S_ISDIR(info.st_mode):
            self._make_directory(parent, name, info, there)
        elif stat.S_ISLNK(info.st_mode):
            self._link(parent, name, one.source, there)
        elif stat.S_ISREG(info.st_mode):
            self._file(parent, name, one.source, there)
        else:
            self.problems.append(f"cannot copy {one.source}: it is a {kind_of(info.st_mode)}")

    # directories

    def _directory(self, path: str) -> int:
        """A directory of the container, made with those above it where it is missing; stays open for a while."""
        fd = self.directories.get(path)
        if fd is None:
            fd = self._open(path)
            if len(self.directories) >= _OPEN_DIRECTORIES:
                self._close_all()
            self.directories[path] = fd
        return fd

    def _open(self, path: str) -> int:
        try:
            return open_in_root(self.tree.root, path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            pass
        parent, name = os.path.dirname(path), os.path.basename(path)
        if not name:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        above = self._open(parent)
        try:
            try:
                os.mkdir(name, 0o755, dir_fd=above)
                os.chown(name, *self.tree.owner, dir_fd=above, follow_symlinks=False)
            except FileExistsError:  # a link that leads nowhere: the kernel says so when it is opened
                pass
            return open_directory(name, above)
        finally:
            os.close(above)

    def _make_directory(self, parent: int, name: str, info: os.stat_result, there: os.stat_result | None) -> None:
        if there is not None and not stat.S_ISDIR(there.st_mode):
            if stat.S_ISLNK(there.st_mode):
                return  # the image's own link, such as /bin: what is below it goes where it leads, inside the root
            os.unlink(name, dir_fd=parent)
            there = None
        if there is None:
            os.mkdir(name, 0o700, dir_fd=parent)
        fd = open_directory(name, parent)
        try:
            changed = there is None or stat.S_IMODE(there.st_mode) != stat.S_IMODE(info.st_mode)
            if there is None:
                os.fchown(fd, *self.tree.owner)
            if changed:
                os.fchmod(fd, stat.S_IMODE(info.st_mode) & 0o1777)
        finally:
            os.close(fd)
        self._count(changed)

    def _forget(self, target: str) -> None:
        """Open directories at or below a path that is replaced lead to what is gone."""
        for path in [path for path in self.directories if path == target or path.startswith(f"{target}/")]:
            os.close(self.directories.pop(path))

    # what is in them

    def _remove(self, target: str, name: str) -> None:
        try:
            parent = open_in_root(
                self.tree.root, os.path.dirname(target.rstrip("/")) or "/", os.O_RDONLY | os.O_DIRECTORY
            )
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            if _lstat(name, parent) is not None:
                remove_tree(name, parent)
                self.removed += 1
        finally:
            os.close(parent)
        self._forget(target.rstrip("/"))

    def _link(self, parent: int, name: str, source: str, there: os.stat_result | None) -> None:
        text = os.readlink(source)
        if there is not None and stat.S_ISLNK(there.st_mode) and os.readlink(name, dir_fd=parent) == text:
            self._count(False)
            return
        self._make_way(parent, name, there)
        beside = _beside(name)
        remove_tree(beside, parent)
        os.symlink(text, beside, dir_fd=parent)
        os.chown(beside, *self.tree.owner, dir_fd=parent, follow_symlinks=False)
        os.rename(beside, name, src_dir_fd=parent, dst_dir_fd=parent)
        self._count(True)

    def _file(self, parent: int, name: str, source: str, there: os.stat_result | None) -> None:
        reader = os.open(source, _READ)
        try:
            info = os.fstat(reader)
            if not stat.S_ISREG(info.st_mode):
                return  # replaced meanwhile: its own event follows
            if there is not None and self._is_same(parent, name, there, reader, info):
                self._count(False)
                return
            self._make_way(parent, name, there)
            self._replace(parent, name, reader, info)
            self._count(True)
        finally:
            os.close(reader)

    def _is_same(self, parent: int, name: str, there: os.stat_result, reader: int, info: os.stat_result) -> bool:
        if not stat.S_ISREG(there.st_mode) or there.st_size != info.st_size or info.st_size > COMPARED:
            return False
        if stat.S_IMODE(there.st_mode) != stat.S_IMODE(info.st_mode) & 0o1777:
            return False
        fd = os.open(name, _READ, dir_fd=parent)
        try:
            return os.pread(fd, COMPARED, 0) == os.pread(reader, COMPARED, 0)
        finally:
            os.close(fd)

    def _make_way(self, parent: int, name: str, there: os.stat_result | None) -> None:
        """Something that rename cannot replace: a directory where a file comes."""
        if there is not None and stat.S_ISDIR(there.st_mode):
            remove_tree(name, parent)

    def _replace(self, parent: int, name: str, reader: int, info: os.stat_result) -> None:
        beside = _beside(name)
        try:
            writer = os.open(beside, _CREATE, 0o600, dir_fd=parent)
        except FileExistsError:  # of a watcher that was killed
            remove_tree(beside, parent)
            writer = os.open(beside, _CREATE, 0o600, dir_fd=parent)
        try:
            self._fill(writer, reader, info)
            os.rename(beside, name, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError as error:
            os.unlink(beside, dir_fd=parent)
            if error.errno != errno.EBUSY:
                raise
            self._overwrite(parent, name, reader, info)
        finally:
            os.close(writer)

    def _fill(self, writer: int, reader: int, info: os.stat_result) -> None:
        copy_content(reader, writer, info.st_size)
        os.fchown(writer, *self.tree.owner)
        os.fchmod(writer, stat.S_IMODE(info.st_mode) & 0o1777)
        os.utime(writer, ns=(info.st_atime_ns, info.st_mtime_ns))

    def _overwrite(self, parent: int, name: str, reader: int, info: os.stat_result) -> None:
        """A file that is itself a mount cannot be replaced, only written into."""
        fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.ftruncate(fd, 0)
            copy_content(reader, fd, info.st_size)
        finally:
            os.close(fd)

    def _count(self, changed: bool) -> None:
        self.written += changed
        self.same += not changed


def _beside(name: str) -> str:
    """The name of a file that is being written: always the same, so that one left by a kill -9 is found again."""
    return f".{name[:200]}.pycompose~"


def _lstat(name: str, parent: int | None = None) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _problem(target: str, error: OSError) -> str:
    reason = (error.strerror or "").lower()
    hint = ""
    if error.errno == errno.EROFS:
        hint = ": mount a volume or a tmpfs there, or take read_only away"
    return f"cannot write {target} in the container: {reason}{hint}"
