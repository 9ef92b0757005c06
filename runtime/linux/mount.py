"""The mount system calls (mount(2), fsopen(2), open_tree(2), move_mount(2), mount_setattr(2), openat2(2))."""

from __future__ import annotations

import ctypes
import errno
import os

from runtime.linux.library import INT, LONG, POINTER, TEXT, ULONG, syscall, wrapper

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
AT_SYMLINK_NOFOLLOW = 0x100

MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2

OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40

FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_SET_FD = 5
FSCONFIG_CMD_CREATE = 6

MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_ATIME = 0x70
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_NOSYMFOLLOW = 0x200000

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

_mount = wrapper("mount", TEXT, TEXT, TEXT, ULONG, TEXT)
_umount2 = wrapper("umount2", TEXT, INT)
_pivot_root = syscall("pivot_root", TEXT, TEXT)
_open_tree = syscall("open_tree", LONG, TEXT, LONG)
_move_mount = syscall("move_mount", LONG, TEXT, LONG, TEXT, LONG)
_fsopen = syscall("fsopen", TEXT, LONG)
_fsconfig = syscall("fsconfig", LONG, LONG, TEXT, TEXT, LONG)
_fsmount = syscall("fsmount", LONG, LONG, LONG)
_mount_setattr = syscall("mount_setattr", LONG, TEXT, LONG, POINTER, LONG)
_openat2 = syscall("openat2", LONG, TEXT, POINTER, LONG)
_syncfs = wrapper("syncfs", INT)
_statfs = wrapper("fstatfs", INT, POINTER)


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    ]


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


_attr = _MountAttr()
_attr_at = ctypes.addressof(_attr)
_how = _OpenHow()
_how_at = ctypes.addressof(_how)
_statfs_buffer = ctypes.create_string_buffer(256)


def set_propagation(path: bytes, flags: int) -> None:
    """mount(2) with only a propagation flag (MS_SLAVE, MS_PRIVATE ...), optionally MS_REC."""
    _mount(None, path, None, flags, None)


def umount(path: bytes, flags: int = 0) -> None:
    _umount2(path, flags)


def pivot_root(new: bytes, old: bytes) -> None:
    _pivot_root(new, old)


def open_tree(path: bytes, *, at: int = AT_FDCWD, recursive: bool = True, follow: bool = True) -> int:
    """A detached copy of the mount at ``path`` (empty: of ``at`` itself) and what is mounted below it."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
    flags |= AT_RECURSIVE if recursive else 0
    flags |= AT_EMPTY_PATH if not path else 0
    flags |= 0 if follow else AT_SYMLINK_NOFOLLOW
    return _open_tree(at, path, flags)


def move_mount(mount: int, target: int, name: bytes = b"") -> None:
    """Attach the detached ``mount`` at ``name`` below the directory ``target``, or at ``target`` itself."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | (0 if name else MOVE_MOUNT_T_EMPTY_PATH)
    _move_mount(mount, b"", target, name, flags)


def fsopen(name: bytes) -> int:
    return _fsopen(name, FSOPEN_CLOEXEC)


def fsconfig_string(fd: int, key: bytes, value: bytes) -> None:
    _fsconfig(fd, FSCONFIG_SET_STRING, key, value, 0)


def fsconfig_flag(fd: int, key: bytes) -> None:
    _fsconfig(fd, FSCONFIG_SET_FLAG, key, None, 0)


def fsconfig_fd(fd: int, key: bytes, value: int) -> None:
    _fsconfig(fd, FSCONFIG_SET_FD, key, None, value)


def fsconfig_create(fd: int) -> None:
    _fsconfig(fd, FSCONFIG_CMD_CREATE, None, None, 0)


def fsmount(fd: int, attributes: int = 0) -> int:
    return _fsmount(fd, FSMOUNT_CLOEXEC, attributes)


def mount_setattr(
    fd: int, *, set_: int = 0, clear: int = 0, propagation: int = 0, recursive: bool = False, path: bytes = b""
) -> None:
    """Change the attributes of a mount, or of a whole tree of mounts."""
    _attr.set, _attr.clear, _attr.propagation, _attr.userns = set_, clear, propagation, 0
    flags = (AT_RECURSIVE if recursive else 0) | (0 if path else AT_EMPTY_PATH)
    _mount_setattr(fd, path, flags, _attr_at, 32)


def openat2(at: int, path: bytes, flags: int, resolve: int, mode: int = 0) -> int:
    """Open with restricted resolution; repeated when a rename elsewhere made the kernel give up (EAGAIN)."""
    while True:
        _how.flags, _how.mode, _how.resolve = flags | os.O_CLOEXEC, mode, resolve
        try:
            return _openat2(at, path, _how_at, 24)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                raise


def syncfs(fd: int) -> None:
    """Write out the whole filesystem that ``fd`` is on."""
    _syncfs(fd)


def filesystem_type(fd: int) -> int:
    """The magic number of the filesystem that ``fd`` is on (statfs(2), ``f_type``)."""
    _statfs(fd, ctypes.addressof(_statfs_buffer))
    return int.from_bytes(_statfs_buffer.raw[:4], "little")
