"""Gives a running container other contents of its secrets and configs, without a new process.

The files lie on a tmpfs that nobody but their mounts reaches, and these are read-only. So a child enters the
container's mount namespace, takes a copy of the mount, makes that one writable, and writes into the file: its inode
stays, so whoever watches it inside is told, and whoever has it open reads the new content.
"""

from __future__ import annotations

import os

from runtime.errors import RuntimeFault
from runtime.linux import mount as m
from runtime.linux.process import CLONE_NEWNS, setns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.spec import File

_PATH = os.O_PATH | os.O_CLOEXEC
_INSIDE = m.RESOLVE_IN_ROOT | m.RESOLVE_NO_MAGICLINKS


def rewrite_files(pid: int, files: Iterable[File]) -> None:
    """Write the contents into the container whose init is ``pid``. The caller has one thread. Raises RuntimeFault."""
    rows = [(os.fsencode(file.destination.lstrip("/")), file.content) for file in files]
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        child = os.fork()
        if child == 0:
            os._exit(_rewrite(namespace, rows))
    finally:
        os.close(namespace)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        reason = os.strerror(code).lower() if code > 0 else "its writer was killed"
        raise RuntimeFault(f"cannot change the files of a running container: {reason}", "recreate it: --force-recreate")


def _rewrite(namespace: int, rows: list[tuple[bytes, bytes]]) -> int:
    """In the child: 0 or an errno. The host's view of our descriptors is opened before its root is out of reach."""
    try:
        descriptors = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        setns(namespace, CLONE_NEWNS)
        root = os.open("/", _PATH | os.O_DIRECTORY)
        for path, content in rows:
            _write(root, descriptors, path, content)
    except OSError as error:
        return error.errno or 1
    return 0


def _write(root: int, descriptors: int, path: bytes, content: bytes) -> None:
    mount = m.open_tree(b"", at=m.openat2(root, path, _PATH, _INSIDE), recursive=False)
    m.mount_setattr(mount, clear=m.MOUNT_ATTR_RDONLY)
    fd = os.open(str(mount), os.O_WRONLY | os.O_CLOEXEC, dir_fd=descriptors)
    view, offset = memoryview(content), 0
    while offset < len(view):
        offset += os.pwrite(fd, view[offset:], offset)
    os.ftruncate(fd, len(view))
    os.close(fd)
    os.close(mount)
