"""This machine as a platform, and the arguments that tell a Dockerfile of it."""

from __future__ import annotations

from runtime.build.errors import BuildFault
from runtime.images.builtin import architecture

_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}


def native() -> str:
    """``linux/amd64``."""
    return f"linux/{architecture()}"


def check_platform(text: str) -> str:
    """The platform in its usual form. Raises BuildFault unless this machine is one."""
    parts = text.lower().split("/")
    if len(parts) == 1:
        parts = [parts[0], architecture()] if parts[0] == "linux" else ["linux", parts[0]]
    parts[1] = _ALIASES.get(parts[1], parts[1])
    plain = "/".join(parts)
    if "/".join(parts[:2]) != native():
        reason = f"this machine is {native()}"
        raise BuildFault(f"cannot build for platform {text}: {reason}", "programs of other machines cannot run here")
    return plain


def platform_args(platform: str, stage: str = "") -> dict[str, str]:
    """The automatic arguments of the global scope."""
    values: dict[str, str] = {}
    for prefix, text in (("TARGET", platform or native()), ("BUILD", native())):
        system, machine, variant = (*text.split("/"), "", "")[:3]
        values |= {
            f"{prefix}PLATFORM": text,
            f"{prefix}OS": system,
            f"{prefix}ARCH": machine,
            f"{prefix}VARIANT": variant,
        }
    return {**values, "TARGETSTAGE": stage or "default"}
