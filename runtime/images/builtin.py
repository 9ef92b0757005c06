"""The built-in image ``host``: the host's /usr, read-only, on a root of its own. Page: docs/builtin-image.md.

An allowlist, never a blocklist: the skeleton below the store has the links of a merged /usr, a generated /etc and empty
directories; of the host's other files nothing is in reach. It is made once per state of the host and never changed
afterwards, because containers may be using it: another state makes another skeleton.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.paths import Roots

NAMES = ("host", "host:latest", "pycompose/host", "pycompose/host:latest")
FULL_NAMES = ("docker.io/library/host:latest", "docker.io/pycompose/host:latest")
TOOLS = "/opt/pycompose/bin"  # in the image: python3 of the interpreter that runs pycompose
PATH = f"{TOOLS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SKELETON = 1  # raise it when what the skeleton holds changes
_WATCHED = (  # a change of one of these is another state of the host
    "/etc/os-release",
    "/etc/ld.so.cache",
    "/var/lib/dpkg/status",
    "/lib/apk/db/installed",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/pacman/local",
)
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def is_builtin(reference: str) -> bool:
    """Whether the name is the built-in image's, in any spelling."""
    from runtime.images.reference import normalise

    return normalise(reference).full in FULL_NAMES


def architecture() -> str:
    """This machine in Go's words, as image configurations have it."""
    machine = os.uname().machine
    return _MACHINES.get(machine, machine)


def key() -> str:
    """The state of the host as a directory name: inode of /usr and of Python's prefix, times of the package lists."""
    usr = os.stat("/usr")
    numbers = [_SKELETON, usr.st_dev, usr.st_ino]
    for path in _WATCHED:
        try:
            numbers.append(os.stat(path).st_mtime_ns)
        except OSError:
            numbers.append(0)
    prefix = sys.base_prefix.replace("/", "%")[-80:]
    return "-".join(f"{number:x}" for number in numbers) + f"-{prefix}-{sys.version_info[0]}.{sys.version_info[1]}"


def path(roots: Roots) -> str:
    """Where the image's file is, if it was made already."""
    return f"{roots.state}/images/builtin/{key()}/image.json"


def current(roots: Roots) -> str | None:
    """The image's file, or None if it was not made yet."""
    file = path(roots)
    return file if os.path.exists(file) else None


def ensure(roots: Roots) -> str:
    """The image's file, made when it is not there."""
    file = path(roots)
    if not os.path.exists(file):
        from runtime.images.skeleton import build

        build(roots, key())
    return file
