"""YAML scalars as docker compose reads them, and their text as Go prints it.

The rules are those of go-yaml, not PyYAML's YAML 1.1: no base 60, ``yes`` and ``on`` are text, ``0o17`` and ``017`` are
octal, ``1e3`` is a float, dates stay text, and ``08`` is the number 8.
"""

from __future__ import annotations

import math
import re
from typing import Any

from compose.spec.tree import TextFloat, TextInt

_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".inf": math.inf, ".Inf": math.inf, ".INF": math.inf,
    "+.inf": math.inf, "+.Inf": math.inf, "+.INF": math.inf,
    "-.inf": -math.inf, "-.Inf": -math.inf, "-.INF": -math.inf,
    ".nan": math.nan, ".NaN": math.nan, ".NAN": math.nan,
}  # fmt: skip
_LONGEST = 80  # characters of a number that may be whole: a sign, 0b and 64 digits, with some room for underscores
_NUMERIC_START = frozenset("0123456789+-.")
_INT = re.compile(r"[-+]?(?:0[bB][01_]+|0[oO][0-7_]+|0[xX][0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][-+]?\d+)?")
_LEGACY_BOOLEANS = {
    word: value
    for value, words in ((True, ("y", "yes", "on", "true", "t")), (False, ("n", "no", "off", "false", "f")))
    for word in words
}


def resolve_plain(text: str) -> Any:
    """The value of a plain (unquoted) scalar."""
    if text[:1] not in _NUMERIC_START:
        return _WORDS.get(text, text)
    if _INT.fullmatch(text):
        number = _integer(text) if len(text) <= _LONGEST else None
        if number is not None:
            return number
    if _FLOAT.fullmatch(text):
        value = float(text.replace("_", ""))
        return text if math.isinf(value) else _remember(TextFloat, value, text)
    return _WORDS.get(text, text)


def _integer(text: str) -> int | None:
    """A whole number, or None for one that 64 bits do not hold (it is a float then, or text)."""
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2], 10)
    if base == 10 and digits.startswith("0") and len(digits) > 1:
        base, digits = 8, "0o" + digits[1:]
    number = sign * int(digits, base)
    if not -(1 << 63) <= number < 1 << 64:
        return None
    value: int = _remember(TextInt, number, text)
    return value


def _remember(kind: Any, value: Any, text: str) -> Any:
    if go_text(value) == text:
        return value
    remembered = kind(value)
    remembered.typed = text
    return remembered


def boolean(value: Any) -> bool | None:
    """The truth of a value where a boolean is wanted: real ones and text such as ``yes``; None if it is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _LEGACY_BOOLEANS.get(value.lower(), {"1": True, "0": False}.get(value))
    return None


def go_text(value: Any) -> str:
    """A scalar as Go's fmt prints it: ``true``, ``1``, ``1.1``, ``1e+06``, ``+Inf``."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if not isinstance(value, float):
        return ""
    return _go_float(float(value))


def _go_float(value: float) -> str:
    """Go's shortest ``%g``: exponent form below 1e-4 and from 1e6 (1e21 would be JSON's limit, not fmt's)."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if not value:
        return sign + "0"
    mantissa, _, exponent = _scientific(abs(value)).partition("e")
    power = int(exponent)
    if power < -4 or power >= 6:
        return f"{sign}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    digits = mantissa.replace(".", "")
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    whole, part = digits[: power + 1].ljust(power + 1, "0"), digits[power + 1 :]
    return sign + (f"{whole}.{part}" if part else whole)


def _scientific(value: float) -> str:
    """The shortest digits that read back as ``value``, as ``d.ddde<power>``."""
    for precision in range(17):
        text = f"{value:.{precision}e}"
        if float(text) == value:
            return text
    return f"{value:.17e}"
