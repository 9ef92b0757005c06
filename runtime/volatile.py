"""The mark on an upper directory that was mounted volatile: read by every look at stopped containers, so no ctypes."""

from __future__ import annotations

import os

from runtime.linux.identity import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.paths import Bundle


def marker(bundle: Bundle) -> str:
    """The directory by which the kernel marks a volatile overlay that was not settled."""
    return f"{bundle.work}/work/incompat/volatile"


def boot_record(bundle: Bundle) -> str:
    """The file that says in which boot the overlay was mounted last."""
    return f"{bundle.dir}/mounted"


def upper_is_dirty(bundle: Bundle) -> bool:
    """Whether files written by the container may be lost: marked volatile, and by another boot than this."""
    if not os.path.isdir(marker(bundle)):
        return False
    try:
        with open(boot_record(bundle), encoding="ascii") as file:
            return file.read() != boot_id()
    except FileNotFoundError:
        return True


def remove_marker(bundle: Bundle) -> None:
    """Let the upper directory be mounted again."""
    try:
        for name in os.listdir(marker(bundle)):  # the kernel's "dirty"
            os.unlink(f"{marker(bundle)}/{name}")
    except FileNotFoundError:
        return
    for path in (marker(bundle), os.path.dirname(marker(bundle))):
        try:
            os.rmdir(path)
        except (FileNotFoundError, NotADirectoryError):
            return
