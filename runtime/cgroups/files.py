"""Reading and writing the small files of cgroupfs."""

from __future__ import annotations

import errno
import os
import stat

from runtime.errors import RuntimeFault

_NO_WEIGHT = "its I/O scheduler knows no weights (bfq does)"


def write(path: str, value: str) -> None:
    """One write(2). Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def read(path: str) -> str:
    """The content; empty when the file or the cgroup is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts).decode()
    except OSError:
        return ""
    finally:
        os.close(fd)


def read_number(path: str) -> int:
    """The number in a file; 0 when it is gone or says ``max``."""
    text = read(path).strip()
    return int(text) if text.lstrip("-").isdigit() else 0


def read_table(path: str) -> dict[str, int]:
    """A file of ``key number`` lines."""
    rows = (line.split() for line in read(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def device_number(path: str) -> str:
    """``major:minor`` of a block device. Raises RuntimeFault."""
    try:
        info = os.stat(path)
    except OSError as error:
        raise RuntimeFault(f"cannot limit block I/O of {path}: {error.strerror}") from error
    if not stat.S_ISBLK(info.st_mode):
        raise RuntimeFault(f"cannot limit block I/O of {path}: it is not a block device")
    return f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"


def write_settings(directory: str, settings: list[Setting]) -> list[str]:
    """Write (file, value, what) in order. Raises RuntimeFault naming the setting, its value and the kernel's answer.

    Weights are wishes: those that this machine's disks do not know are left out, as Docker does; gives a sentence each.
    """
    left_out = []
    for name, value, what in settings:
        try:
            write(f"{directory}/{name}", value)
        except OSError as error:
            if "I/O weight" in what and error.errno in (errno.ENOENT, errno.EOPNOTSUPP):
                left_out.append(f"{what} is left out: {_NO_WEIGHT}")
                continue
            raise RuntimeFault(
                f"cannot set {what} to {value}: {error.strerror} ({name})", _hint(error, what)
            ) from error
    return left_out


def _hint(error: OSError, what: str) -> str:
    if isinstance(error, FileNotFoundError):
        return f"this kernel does not offer {what}"
    if error.errno == 16:
        return "the container uses more than that now"
    return ""


TYPE_CHECKING = False
if TYPE_CHECKING:
    Setting = tuple[str, str, str]
