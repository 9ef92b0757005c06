"""A registry where a test needs one."""

from __future__ import annotations

from tests.support.docker_registry import start

__all__ = ["start"]
