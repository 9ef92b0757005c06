"""Mounting a volume's own file system (``driver_opts``: type, o, device) on its data directory, by mount(2)."""

from __future__ import annotations

import errno
import os

from runtime.errors import RuntimeFault
from runtime.tree import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.volumes import Volume

_FLAGS = {  # mount(8) word: (flag of mount(2), whether the word sets it)
    "ro": (1, True), "rw": (1, False), "nosuid": (2, True), "suid": (2, False), "nodev": (4, True), "dev": (4, False),
    "noexec": (8, True), "exec": (8, False), "sync": (16, True), "async": (16, False), "dirsync": (128, True),
    "noatime": (1024, True), "atime": (1024, False), "nodiratime": (2048, True), "relatime": (1 << 21, True),
    "strictatime": (1 << 24, True), "defaults": (0, True),
}  # fmt: skip
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8


def split_options(text: str) -> tuple[int, str]:
    """The words of ``o`` as flags and the file system's own options: ``size=1m,ro`` is (1, "size=1m")."""
    flags, data = 0, []
    for word in text.split(","):
        if word in _FLAGS:
            flag, sets = _FLAGS[word]
            flags = flags | flag if sets else flags & ~flag
        elif word:
            data.append(word)
    return flags, ",".join(data)


def mount_once(path: str, volume: Volume) -> None:
    """Mount unless it is mounted. Raises RuntimeFault."""
    if is_mountpoint(path):
        return
    import ctypes

    options = volume.options
    flags, data = split_options(options.get("o", ""))
    source, kind = options.get("device", ""), options.get("type", "")
    if kind == "overlay":
        _forget_volatile(data)
    result = libc().mount(source.encode(), path.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    if result != 0:
        code = ctypes.get_errno()
        hint = "check driver_opts: type, o and device are those of mount(8)"
        raise RuntimeFault(f"cannot mount volume {volume.name!r} ({kind} {source}): {os.strerror(code)}", hint)


def _forget_volatile(data: str) -> None:
    """An upper that was mounted volatile is refused a second time, unless its mark is taken away (overlayfs.rst)."""
    words = dict(word.split("=", 1) for word in data.split(",") if "=" in word)
    mark = f"{words.get('workdir', '')}/work/incompat/volatile"
    if "volatile" in data.split(",") and os.path.isdir(mark):
        from runtime.tree import remove_tree

        remove_tree(mark)


def unmount(path: str) -> None:
    """Unmount what is mounted at the path, if anything. Raises RuntimeFault."""
    import ctypes

    while is_mountpoint(path):
        if libc().umount2(path.encode(), _MNT_DETACH | _UMOUNT_NOFOLLOW) != 0:
            code = ctypes.get_errno()
            if code == errno.EINVAL:
                return
            raise RuntimeFault(f"cannot unmount {path}: {os.strerror(code)}")


def is_mountpoint(path: str) -> bool:
    """Whether a file system of another device than its parent's is mounted there."""
    return os.stat(path).st_dev != os.stat(os.path.dirname(path)).st_dev
