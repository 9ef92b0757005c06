"""sha256 from the C module itself: importing hashlib costs 4 ms, most of it for OpenSSL."""

from __future__ import annotations

import importlib
from typing import Any


def _find() -> Any:
    for name in ("_sha2", "_sha256", "hashlib"):  # 3.12 and later, 3.11, anything else
        try:
            return importlib.import_module(name).sha256
        except (ImportError, AttributeError):
            continue
    raise ImportError("no sha256")


_sha256 = _find()


def sha256_hex(content: bytes) -> str:
    return str(_sha256(content).hexdigest())
