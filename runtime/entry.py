"""Computes, before the clone, everything that a process entering a container needs (see runtime/inside.py)."""

from __future__ import annotations

import _signal
import functools
import os

from runtime import capabilities, reaper, seccomp
from runtime.errors import RuntimeFault, Unsupported
from runtime.rlimits import rlimit_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.inside import Entry
    from runtime.spec import ContainerSpec, Process

DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT_PATH = "/sbin/docker-init"
INIT_PROGRAMS = (
    "/usr/bin/docker-init",
    "/usr/libexec/docker/docker-init",
    "/usr/bin/tini-static",
    "/usr/bin/tini",
    "/usr/bin/catatonit",
    "/usr/libexec/podman/catatonit",
    "/usr/bin/dumb-init",
)


@functools.cache
def held_capabilities() -> int:
    """What this process may pass on; read once."""
    return capabilities.held()


@functools.cache
def last_capability() -> int:
    """The highest capability that this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


@functools.cache
def own_executable() -> tuple[int, int]:
    """Device and inode of our interpreter."""
    info = os.stat("/proc/self/exe")
    return info.st_dev, info.st_ino


@functools.cache
def has_apparmor() -> bool:
    return os.path.isdir("/sys/kernel/security/apparmor")


def fill(entry: Entry, spec: ContainerSpec, process: Process, privileged: bool) -> None:
    """The parts that init and additional processes share. Raises RuntimeFault for what cannot be."""
    if not process.args or not process.args[0]:
        raise RuntimeFault(f"cannot start container {spec.name}: no command", "set command or entrypoint")
    entry.args = [_bytes(word, "an argument") for word in process.args]
    entry.env = environment(process)
    entry.cwd = _bytes(process.cwd or "/", "the working directory")
    if not entry.cwd.startswith(b"/"):
        raise RuntimeFault(f"cannot start container {spec.name}: working directory {process.cwd!r} is not absolute")
    entry.user = _bytes(process.user, "the user")
    entry.groups = tuple(_bytes(group, "a group") for group in process.groups)
    names = capabilities.NAMES if privileged else process.capabilities
    entry.capabilities = capabilities.mask(names) & held_capabilities()
    entry.last_capability = last_capability()
    entry.no_new_privileges = process.no_new_privileges
    entry.filter = b"" if privileged else seccomp.compile_profile(entry.capabilities, spec.seccomp)
    may_raise = bool(held_capabilities() >> capabilities.NUMBERS["CAP_SYS_RESOURCE"] & 1)
    entry.rlimits = rlimit_values(process.rlimits, may_raise)
    entry.oom_score_adj = str(process.oom_score_adj).encode() if process.oom_score_adj else b""
    entry.apparmor = apparmor_profile(process.apparmor, privileged)
    entry.terminal = process.terminal
    entry.keyring = b"_ses." + spec.id.encode()
    entry.own_executable = own_executable()
    entry.ignored = [number for number in range(1, 32) if _signal.getsignal(number) == _signal.SIG_IGN]


def environment(process: Process) -> dict[bytes, bytes]:
    """The variables: Docker's defaults, then the process's; of repeated names the last wins, a word without = falls."""
    values = {b"PATH": DEFAULT_PATH}
    if process.terminal:
        values[b"TERM"] = b"xterm"
    for word in process.env:
        name, equals, value = _bytes(word, "an environment variable").partition(b"=")
        if equals and name:
            values[name] = value
    return values


def _bytes(text: str, what: str) -> bytes:
    if "\0" in text:
        raise RuntimeFault(f"cannot use {what} with a NUL byte in it: {text!r}")
    return os.fsencode(text)


def apparmor_profile(name: str, privileged: bool) -> bytes:
    """The profile to change to, or empty. Raises Unsupported when one is wanted that this kernel cannot have."""
    if privileged or name in ("", "unconfined"):
        return b""
    if not has_apparmor():
        raise Unsupported(f"cannot use the AppArmor profile {name}: this kernel has no AppArmor", "remove the option")
    return _bytes(name, "the AppArmor profile")


def find_init_program() -> str:
    """A static reaper of the host for ``init: true``; empty: our own is to be used. Raises Unsupported."""
    for path in INIT_PROGRAMS:
        if os.access(path, os.X_OK) and _is_static(path):
            return path
    if reaper.is_sealed():
        return ""
    raise Unsupported(
        "cannot use init: no static init program is installed on this machine",
        "install tini (Debian, Ubuntu: apt install tini) or catatonit",
    )


def _is_static(path: str) -> bool:
    """Whether an ELF file names no dynamic loader (a program header of type PT_INTERP): an image may have none."""
    with open(path, "rb") as file:
        head = file.read(4096)
    if head[:4] != b"\x7fELF" or head[4] != 2:
        return False
    offset, size, count = (int.from_bytes(head[at : at + width], "little") for at, width in ((32, 8), (54, 2), (56, 2)))
    return not any(head[at : at + 4] == b"\3\0\0\0" for at in range(offset, offset + size * count, size))
