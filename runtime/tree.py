"""File trees reached safely: below a root that strangers filled, and through the merged layers of an image.

Everything takes directory descriptors and single names, so that no symlink and no race leads out of the tree; where a
whole path must be resolved, openat2(2) does it inside the root. Imports nothing but what a bare interpreter has.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT = 1, 2, 4, 8, 16
_SYS_OPENAT2 = 437  # the same number on every architecture
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_libc: Any = None


def libc() -> Any:
    """The C library through ctypes, with errno kept."""
    global _libc
    if _libc is None:
        import ctypes

        _libc = ctypes.CDLL(None, use_errno=True)
    return _libc


def openat2(dir_fd: int, path: bytes | str, flags: int, resolve: int, mode: int = 0) -> int:
    """openat2(2). Raises OSError with the path; a race that the kernel saw (EAGAIN) is tried again."""
    import ctypes
    import struct

    name = os.fsencode(path)
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, resolve)
    for _attempt in range(128):
        fd: int = libc().syscall(_SYS_OPENAT2, dir_fd, ctypes.c_char_p(name), how, ctypes.c_size_t(len(how)))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(code, os.strerror(code), os.fsdecode(name))


def open_in_root(root_fd: int, path: bytes | str, flags: int, mode: int = 0) -> int:
    """Open ``path`` with ``root_fd`` as "/": absolute symlinks and ".." stay inside, /proc magic links are refused."""
    return openat2(root_fd, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, mode)


def open_directory(name: bytes | str, dir_fd: int | None = None) -> int:
    """A readable descriptor of a directory; the last component may not be a symlink."""
    return os.open(name, _DIRECTORY, dir_fd=dir_fd)


def syncfs(fd: int) -> None:
    """Write out the file system that holds ``fd``: one call in place of one fsync(2) per file (80 times faster)."""
    import ctypes

    if libc().syncfs(fd) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def fsync_directory(path: str) -> None:
    """Make a rename inside ``path`` durable."""
    fd = open_directory(path)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_durable(path: str, data: bytes, mode: int = 0o600) -> None:
    """Replace a file by rename, content on disk before its name is."""
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def write_all(fd: int, data: bytes | memoryview) -> None:
    """write(2) until all is written."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])


def read_file(path: str, limit: int = 1 << 23) -> bytes:
    """A small file in one open. Raises OSError; never reads more than ``limit`` bytes."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _read_fd(fd, limit)
    finally:
        os.close(fd)


def _read_fd(fd: int, limit: int) -> bytes:
    parts = [os.read(fd, min(65536, limit))]
    while len(parts[-1]) == 65536 and len(parts) << 16 < limit:
        parts.append(os.read(fd, 65536))
    return b"".join(parts)


def remove_tree(name: bytes | str, dir_fd: int | None = None) -> None:
    """Remove a file or a whole tree; nothing is an error that is gone already. Never enters a mount.

    Raises OSError (EBUSY or ENOTEMPTY) if something is mounted inside.
    """
    try:
        os.unlink(name, dir_fd=dir_fd)
        return
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
    try:
        fd = open_directory(name, dir_fd)
    except FileNotFoundError:
        return
    try:
        _empty(fd)
    finally:
        os.close(fd)
    try:
        os.rmdir(name, dir_fd=dir_fd)
    except FileNotFoundError:
        pass


_DEEP = 64


def _empty(top: int) -> None:
    """Empty a directory. A list in place of recursion, and what lies too deep is moved up to the top first.

    So the depth of the tree, which a container chooses, costs neither stack nor descriptors.
    """
    stack = [(os.dup(top), _names(top), "")]
    moved = 0
    try:
        while stack:
            fd, names, _own = stack[-1]
            deeper = _unlink_files(fd, names)
            if deeper is None:
                _leave(stack)
            elif len(stack) > _DEEP:
                moved += 1
                name = f".{os.getpid()}.{moved}.moved-up"
                os.rename(deeper, name, src_dir_fd=fd, dst_dir_fd=top)
                stack[0][1].append(name)
            else:
                _descend(stack, fd, deeper)
    finally:
        for fd, _names_left, _own in stack:
            os.close(fd)


def _descend(stack: list[tuple[int, list[str], str]], fd: int, name: str) -> None:
    try:
        child = _enter_same_mount(fd, name)
    except FileNotFoundError:  # somebody else removes the same tree
        return
    stack.append((child, _names(child), name))


def _leave(stack: list[tuple[int, list[str], str]]) -> None:
    fd, _none_left, own = stack.pop()
    os.close(fd)
    if stack:
        try:
            os.rmdir(own, dir_fd=stack[-1][0])
        except FileNotFoundError:
            pass


def _enter_same_mount(fd: int, name: str) -> int:
    resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
    try:
        return openat2(fd, name, os.O_RDONLY | os.O_DIRECTORY, resolve)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise OSError(errno.EBUSY, "something is mounted inside", name) from error
        raise


def _names(fd: int) -> list[str]:
    with os.scandir(fd) as entries:
        return [entry.name for entry in entries]


def _unlink_files(fd: int, names: list[str]) -> str | None:
    """Unlink from the end of ``names`` up to the first directory, which is returned."""
    while names:
        name = names.pop()
        try:
            os.unlink(name, dir_fd=fd)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.EPERM):
                raise
            return name
    return None


def is_whiteout(info: os.stat_result) -> bool:
    """Whether overlayfs hides what lies below: a character device 0:0."""
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def kind_of(mode: int) -> str:
    """The word for a file's type in messages."""
    return _KINDS.get(stat.S_IFMT(mode), "file")


_KINDS = {
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symbolic link",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
