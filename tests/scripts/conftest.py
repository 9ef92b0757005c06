"""The fixtures of the end-to-end tests, for the scripts."""

from __future__ import annotations

from tests.e2e.conftest import _nothing_left, _root, archive, machine

__all__ = ["_nothing_left", "_root", "archive", "machine"]
