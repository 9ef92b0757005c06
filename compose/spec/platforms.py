"""Platforms whose programs run on this machine: its own, under every name, and those the kernel has an emulator for."""

from __future__ import annotations

import os

_NAMES = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armhf": "arm", "armel": "arm",
    "i386": "386", "i686": "386",
}  # fmt: skip
_EMULATORS = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386", "mips64le": "mips64el", "mipsle": "mipsel"}
BINFMT = "/proc/sys/fs/binfmt_misc"


def runs_here(platform: str, machine: str = "", binfmt: str = BINFMT) -> bool:
    """Whether images of ``os[/arch[/variant]]`` can run. ``machine``: of uname(2); ``binfmt``: binfmt_misc's directory.

    An x86_64 kernel runs 32-bit programs too. Emulators are registered as ``qemu-ARCH``, or as ``rosetta``.
    """
    words = platform.lower().split("/")
    if len(words) == 1 and words[0] != "linux":
        words.insert(0, "linux")  # an architecture alone
    if words[0] != "linux":
        return False
    own = _NAMES.get(machine or os.uname().machine, machine or os.uname().machine)
    wanted = _NAMES.get(words[1], words[1]) if len(words) > 1 else own
    if wanted == own or (own == "amd64" and wanted == "386"):
        return True
    names = [f"qemu-{_EMULATORS.get(wanted, wanted)}", *(["rosetta"] if wanted == "amd64" else [])]
    return any(_is_enabled(f"{binfmt}/{name}") for name in names)


def _is_enabled(path: str) -> bool:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readline().strip() == "enabled"
    except OSError:
        return False
