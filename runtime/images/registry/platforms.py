"""Which of an index's manifests is for a machine (containerd's platforms, and the image specification's rules)."""

from __future__ import annotations

import os

from runtime.errors import RuntimeFault
from runtime.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Plain = Mapping[str, Any]

_MACHINES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "arm64": ("arm64", "v8"),
    "armhf": ("arm", "v7"),
    "armv8l": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
    "arm": ("arm", "v7"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}
_AMD64_LEVELS = (  # what a variant needs of the CPU (x86-64 psABI); the first missing one ends it
    ("v2", ("cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3")),
    ("v3", ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave")),
    ("v4", ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")),
)


@record
class Platform:
    """Normalised: ``linux``, ``amd64``, ``""``; ``linux``, ``arm``, ``v7``."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def normalise(system: str, machine: str, variant: str = "") -> Platform:
    """One spelling for each platform."""
    system = {"": "linux", "macos": "darwin"}.get(system.lower(), system.lower())
    machine, variant = machine.lower(), variant.lower()
    known, default = _MACHINES.get(machine, (machine, ""))
    if known == "amd64" and variant == "v1":
        variant = ""
    elif known == "arm64":
        variant = {"": "v8", "8": "v8", "v8.0": "v8", "9": "v9", "9.0": "v9", "v9.0": "v9"}.get(variant, variant)
    elif known == "arm":
        variant = variant or default
        variant = f"v{variant}" if variant.isdigit() else variant
    return Platform(system, known, variant)


def parse(text: str) -> Platform:
    """``linux/arm64``, ``linux/arm/v7``, ``arm64``. Raises RuntimeFault."""
    parts = text.split("/")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise RuntimeFault(f"cannot use platform {text!r}", "write OS/ARCHITECTURE, such as linux/amd64")
    if len(parts) == 1:
        return normalise("linux", parts[0])
    return normalise(*parts)


def of_machine(machine: str = "", flags: frozenset[str] | None = None) -> Platform:
    """This machine's, with the highest variant its CPU has."""
    platform = normalise("linux", machine or os.uname().machine)
    if platform.architecture != "amd64":
        return platform
    level = ""
    have = _cpu_flags() if flags is None else flags
    for name, needed in _AMD64_LEVELS:
        if not have.issuperset(needed):
            break
        level = name
    return Platform("linux", "amd64", level)


def _cpu_flags() -> frozenset[str]:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("flags"):
                    return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


def fitting(platform: Platform) -> list[Platform]:
    """What runs on a platform, best first."""
    system, machine, variant = platform.os, platform.architecture, platform.variant
    if machine == "amd64":
        level = int(variant[1:] or 1) if variant[1:].isdigit() else 1
        rows = [Platform(system, machine, f"v{number}" if number > 1 else "") for number in range(level, 0, -1)]
        return [*rows, Platform(system, "386")]
    if machine == "arm" and variant[1:].isdigit():
        return [Platform(system, machine, f"v{number}") for number in range(int(variant[1:]), 4, -1)]
    if machine == "arm64":
        rows = [platform] + ([Platform(system, machine, "v8")] if variant != "v8" else [])
        return [*rows, *(Platform(system, "arm", f"v{number}") for number in (8, 7, 6, 5))]
    return [platform]


def of_descriptor(descriptor: Plain) -> Platform | None:
    """The platform that a row of an index says; None when it says none."""
    plain = descriptor.get("platform")
    if not isinstance(plain, dict) or not (plain.get("architecture") or plain.get("os")):
        return None
    return normalise(str(plain.get("os") or ""), str(plain.get("architecture") or ""), str(plain.get("variant") or ""))


def is_attestation(descriptor: Plain) -> bool:
    """Rows that BuildKit adds beside the images."""
    notes = descriptor.get("annotations") or {}
    platform = of_descriptor(descriptor)
    unknown = platform is not None and platform.architecture == "unknown"
    return unknown or (isinstance(notes, dict) and "vnd.docker.reference.type" in notes)


def choose(descriptors: Sequence[Plain], wanted: Platform) -> list[Plain]:
    """The rows that could be run on a platform, best first; those that say no platform come last."""
    rows = [row for row in descriptors if not is_attestation(row)]
    found: list[Plain] = []
    for platform in fitting(wanted):
        found += [row for row in rows if of_descriptor(row) == platform]
    return found + [row for row in rows if of_descriptor(row) is None]
