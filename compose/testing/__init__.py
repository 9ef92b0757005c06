"""Real stacks in tests, which always go away. ``from compose.testing import Stack``; docs/testing.md.

Names are loaded when they are used: pytest imports this package in every project where it is installed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.testing.aio import AsyncStack as AsyncStack
    from compose.testing.case import StackTestCase as StackTestCase
    from compose.testing.results import ExecResult as ExecResult
    from compose.testing.results import LogLine as LogLine
    from compose.testing.service import Replica as Replica
    from compose.testing.service import Service as Service
    from compose.testing.stack import Stack as Stack

_PLACES = {
    "AsyncStack": "aio",
    "ExecResult": "results",
    "LogLine": "results",
    "Replica": "service",
    "Service": "service",
    "Stack": "stack",
    "StackTestCase": "case",
}
__all__ = ["AsyncStack", "ExecResult", "LogLine", "Replica", "Service", "Stack", "StackTestCase"]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
