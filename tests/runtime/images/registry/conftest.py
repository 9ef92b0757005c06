"""A registry of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runtime.images.registry.fake import Registry, registry
from tests.support.docker_registry import start

__all__ = ["server", "start"]


@pytest.fixture
def server() -> Iterator[Registry]:
    with registry() as one:
        yield one
