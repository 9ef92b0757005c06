"""For ``unittest``: one stack per class."""

from __future__ import annotations

import unittest
from typing import TYPE_CHECKING, ClassVar

from compose.testing.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class StackTestCase(unittest.TestCase):
    """``compose_files`` and ``compose_options`` say which stack; ``self.stack`` is it, up and running.

    With ``compose_reset`` (``volumes`` or ``full``) it is put back before each test.
    """

    compose_files: ClassVar[tuple[str, ...]] = ()
    compose_options: ClassVar[Mapping[str, Any]] = {}
    compose_reset: ClassVar[str] = "none"
    stack: ClassVar[Stack]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.stack = Stack(*cls.compose_files, resettable=cls.compose_reset, **cls.compose_options)
        cls.addClassCleanup(cls.stack.down)
        cls.stack.up()

    def setUp(self) -> None:
        super().setUp()
        self.stack.reset()
