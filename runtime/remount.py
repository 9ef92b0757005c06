"""Exchange what is mounted inside a running container: for volumes that are put back under its feet.

The container must be frozen. Who still has files of the old mount open, stands in one of its directories or has one
mapped would go on with it: :func:`holders` tells, and the caller restarts the container instead.
"""

from __future__ import annotations

import os
import threading

from runtime.linux import mount as m
from runtime.linux import process
from runtime.linux.mountinfo import unescape
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MNT_DETACH = 2


@record
class Mounted:
    """A line of mountinfo (proc_pid_mountinfo(5)): ``device`` is major:minor, ``root`` the part of it that is shown."""

    id: int
    device: str
    root: str
    target: str
    readonly: bool


def mounts_of(pid: int, device: str) -> list[Mounted]:
    """Where that device is mounted in the mount namespace of ``pid``."""
    found = []
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split(" ")
            if fields[2] == device:
                row = Mounted(
                    int(fields[0]), device, unescape(fields[3]), unescape(fields[4]), "ro" in fields[5].split(",")
                )
                found.append(row)
    return found


def device_of(path: str) -> str:
    """The device of a mount point as mountinfo writes it."""
    number = os.stat(path).st_dev
    return f"{os.major(number)}:{os.minor(number)}"


def holders(pids: Iterable[int], mounts: Iterable[Mounted]) -> list[int]:
    """The processes that use one of those mounts: an open file, a directory they stand in, a mapping."""
    targets = [one.target for one in mounts]
    ids = {one.id for one in mounts}
    devices = {_padded(one.device) for one in mounts}
    return [pid for pid in pids if _holds(pid, targets, ids, devices)]


def _padded(device: str) -> str:
    """As /proc/PID/maps has it: hexadecimal, at least two digits each."""
    major, minor = device.split(":")
    return f"{int(major):02x}:{int(minor):02x}"


def _holds(pid: int, targets: list[str], ids: set[int], devices: set[str]) -> bool:
    try:
        for link in ("cwd", "root"):
            place = os.readlink(f"/proc/{pid}/{link}")
            if any(place == target or place.startswith(f"{target}/") for target in targets):
                return True
        for fd in os.listdir(f"/proc/{pid}/fdinfo"):
            if _mount_id(f"/proc/{pid}/fdinfo/{fd}") in ids:
                return True
        with open(f"/proc/{pid}/maps", "rb") as file:
            used = {line.split(None, 4)[3].decode() for line in file}
    except (FileNotFoundError, ProcessLookupError):
        return False  # it has ended: a zombie holds nothing
    return not used.isdisjoint(devices)


def _mount_id(path: str) -> int:
    try:
        with open(path, "rb") as file:
            for line in file:
                if line.startswith(b"mnt_id:"):
                    return int(line[7:])
    except OSError:
        pass  # closed meanwhile
    return -1


def exchange(pid: int, mounts: Iterable[Mounted], fresh: str) -> None:
    """Replace each of these mounts in the namespace of ``pid`` by the same part of the mount at ``fresh``.

    Raises OSError. In a thread of its own: setns(2) of a mount namespace changes what a thread shares with the others.
    """
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    copies: list[tuple[Mounted, int]] = []
    try:
        for one in mounts:
            copies.append((one, _copy(f"{fresh}{one.root.rstrip('/')}", one.readonly)))
        in_thread(lambda: _exchange(namespace, copies))
    finally:
        for fd in (namespace, *(fd for _one, fd in copies)):
            os.close(fd)


def _copy(path: str, readonly: bool) -> int:
    fd = m.open_tree(os.fsencode(path), recursive=False)
    m.mount_setattr(fd, set_=m.MOUNT_ATTR_RDONLY if readonly else 0, propagation=m.MS_PRIVATE)
    return fd


def _exchange(namespace: int, copies: list[tuple[Mounted, int]]) -> None:
    process.unshare(process.CLONE_FS)
    process.setns(namespace, process.CLONE_NEWNS)
    for one, fd in copies:
        target = os.fsencode(one.target)
        m.umount(target, MNT_DETACH | 8)  # UMOUNT_NOFOLLOW
        below = os.open(target, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            m.move_mount(fd, below)
        finally:
            os.close(below)


def in_thread(work: Callable[[], None]) -> None:
    """Do it in a thread of its own, which may change what threads share. Raises OSError."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
