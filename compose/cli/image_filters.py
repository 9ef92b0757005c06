"""``--filter`` of ``image ls`` and ``image prune``: docker's words, docker's meaning of several of one kind."""

from __future__ import annotations

import time

from compose.api.read import seconds_of
from compose.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.images.store import Image
    from runtime.paths import Roots

    Test = Callable[[Image], bool]

_LIST = ("before", "dangling", "label", "reference", "since", "until")
_PRUNE = ("label", "label!", "until")
_TRUE, _FALSE = ("1", "true", "t"), ("0", "false", "f")


def for_list(roots: Roots, filters: Sequence[str], name: str = "") -> Test:
    """Whether ``image ls`` shows an image. ``name``: the argument, one more pattern. Raises UsageError, NotFound.

    All kinds must hold, and all labels; of several references one.
    """
    from runtime.images import store

    tests: list[Test] = []
    patterns = []
    for key, value in _pairs(filters, _LIST):
        if key == "reference":
            patterns.append(value)
        elif key == "dangling":
            tests.append(_dangling(value))
        elif key in ("before", "since"):
            tests.append(_beside(store.resolve(roots, value), older=key == "before"))
        else:
            tests.append(_plain(key, value))
    tests += [_called(some) for some in ((name,) if name else (), tuple(patterns)) if some]
    return lambda image: all(test(image) for test in tests)


def for_prune(filters: Sequence[str]) -> Test:
    """Which images ``image prune`` may remove. Raises UsageError."""
    tests = [_plain(key, value) for key, value in _pairs(filters, _PRUNE)]
    return lambda image: all(test(image) for test in tests)


def _pairs(filters: Sequence[str], known: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals or key not in known:
            words = ", ".join(f"{one.removesuffix('!')}{'!=' if one.endswith('!') else '='}..." for one in known)
            raise UsageError(f"cannot filter by {text}", hint=f"filters: {words}")
        found.append((key, value))
    return found


def _plain(key: str, value: str) -> Test:
    """``until``, ``label`` and ``label!``, which ask nobody."""
    if key == "until":
        from compose.cli.commands.logs import moment

        latest = (moment(value, time.time_ns()) or 0) / 1e9
        return lambda image: seconds_of(image.created) < latest
    name, equals, wanted = value.partition("=")

    def has(image: Image) -> bool:
        labels = image.config.get("Labels") or {}
        return name in labels and (not equals or labels[name] == wanted)

    return has if key == "label" else lambda image: not has(image)


def _dangling(value: str) -> Test:
    if value.lower() not in (*_TRUE, *_FALSE):
        raise UsageError(f"cannot filter by dangling={value}", hint="write dangling=true, or dangling=false")
    wanted = value.lower() in _TRUE
    return lambda image: (not image.reference) == wanted


def _beside(other: Image, older: bool) -> Test:
    """Made before another image, or after it."""
    moment = seconds_of(other.created)
    return lambda image: seconds_of(image.created) < moment if older else seconds_of(image.created) > moment


def _called(patterns: Sequence[str]) -> Test:
    """Whether a name fits one of the patterns, with or without its tag; ``*`` stands for no ``/``."""
    import re

    from compose.api.read import split_reference
    from runtime.build.patterns import glob_regex

    found = [re.compile(glob_regex(pattern), re.DOTALL) for pattern in patterns]

    def is_called(image: Image) -> bool:
        if not image.reference:
            return False
        repository, tag = split_reference(image.reference)
        return any(one.fullmatch(text) for one in found for text in (repository, f"{repository}:{tag}"))

    return is_called
