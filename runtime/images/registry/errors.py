"""What goes wrong with registries."""

from __future__ import annotations

from runtime.errors import RuntimeFault


class RegistryFault(RuntimeFault):
    """A registry refused, lied or did not answer. ``status``: its HTTP status, 0 when there was none."""

    def __init__(self, message: str, hint: str = "", status: int = 0, code: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code  # the registry's word: MANIFEST_UNKNOWN, DENIED, TOOMANYREQUESTS


class Unreachable(RegistryFault):
    """No answer at all: another mirror may have one, and so may the same one later.

    ``offline``: not even a connection, as nobody is there or no way leads there.
    """

    offline = False


class DigestMismatch(RegistryFault):
    """What came is not what was asked for."""
