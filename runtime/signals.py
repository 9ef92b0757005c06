"""Signal names and numbers. ``_signal`` instead of ``signal``, which builds enums at import."""

from __future__ import annotations

import _signal

from runtime.errors import RuntimeFault

SIGKILL = int(_signal.SIGKILL)
SIGTERM = int(_signal.SIGTERM)
NUMBERS = {
    name: int(getattr(_signal, name))
    for name in dir(_signal)
    if name.startswith("SIG") and not name.startswith("SIG_") and isinstance(getattr(_signal, name), int)
}


def signal_number(name: str | int) -> int:
    """``SIGTERM``, ``term``, ``15`` or ``SIGRTMIN+3`` as a number. Raises RuntimeFault."""
    text = str(name).strip().upper()
    if text.isdigit() and 0 < int(text) < _signal.NSIG:
        return int(text)
    base, _plus, offset = text.partition("+")
    number = NUMBERS.get(base if base.startswith("SIG") else f"SIG{base}")
    if number is None or (offset and not offset.isdigit()):
        raise RuntimeFault(f"cannot send signal {name!r}: no such signal", "use a name such as SIGTERM, or a number")
    return number + int(offset or 0)
