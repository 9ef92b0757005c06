"""devices (v1): deny everything, then allow rule by rule."""

from __future__ import annotations

import os

from runtime.errors import RuntimeFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def apply(directory: str, rules: Sequence[str]) -> None:
    """Write the rules. ``a *:* rwm`` alone leaves the cgroup as permissive as its parent. Raises RuntimeFault."""
    if tuple(rules) == ("a *:* rwm",):
        return
    rule = "a"
    deny = os.open(f"{directory}/devices.deny", os.O_WRONLY | os.O_CLOEXEC)
    allow = os.open(f"{directory}/devices.allow", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(deny, b"a")
        for rule in rules:
            os.write(allow, rule.encode())
    except OSError as error:
        raise RuntimeFault(f"cannot set the device rule {rule!r}: {error.strerror}") from error
    finally:
        os.close(deny)
        os.close(allow)
