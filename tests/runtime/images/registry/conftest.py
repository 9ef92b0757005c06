"""A registry of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runtime.images.registry.fake import Registry, registry


@pytest.fixture
def server() -> Iterator[Registry]:
    with registry() as one:
        yield one
