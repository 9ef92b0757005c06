"""The parser of plain command lines, without Typer: what takes 46 ms to import is not needed to read ``ps -a``.

It knows what table.py says, follows click's rules (``--name value``, ``--name=value``, ``-n value``, ``-nvalue``,
``-abc``, ``--``), and gives up, with None, at everything that needs help, an error message or a choice: then Typer
parses the same words again. A property test compares the two.
"""

from __future__ import annotations

from compose.cli.options import Parsed, merge_globals
from compose.cli.table import COMMANDS, SHARED, SHARED_DEFAULTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compose.cli.options import Value

    Values = dict[str, Value]
    Options = Mapping[str, tuple[str, str]]


class _TyperNeeded(Exception):
    """Not a plain command line."""


def parse(argv: Sequence[str]) -> Parsed | None:
    """The parsed command line, or None when Typer has to look at it."""
    words = list(argv)
    try:
        before = dict(SHARED_DEFAULTS)
        arguments = _take(words, SHARED, before, interspersed=False)
        name = _command(arguments)
        _module, interspersed, options, places, defaults = COMMANDS[name]
        own: Values = dict(defaults)
        after: Values = {}
        arguments = _take(arguments, options, own, interspersed=interspersed, late=after)
        _place(arguments, places, own)
    except _TyperNeeded:
        return None
    return Parsed(name, own, merge_globals(before, after))


def _command(words: list[str]) -> str:
    """Take the command's name, of one or two words, off the front."""
    for length in (1, 2):
        name = " ".join(words[:length])
        if name in COMMANDS and len(words) >= length:
            del words[:length]
            return name
    raise _TyperNeeded


def _take(
    words: list[str], options: Options, values: Values, *, interspersed: bool, late: Values | None = None
) -> list[str]:
    """Read options into ``values`` (global ones into ``late``); give the arguments."""
    words = words[::-1]
    arguments: list[str] = []
    while words:
        word = words.pop()
        if word == "--":
            break
        if len(word) < 2 or word[0] != "-":
            if not interspersed:
                words.append(word)
                break
            arguments.append(word)
        elif word[1] == "-":
            name, equals, value = word.partition("=")
            _set(name, value if equals else None, words, options, values, late)
        else:
            _take_short(word, words, options, values, late)
    return arguments + words[::-1]


def _take_short(word: str, words: list[str], options: Options, values: Values, late: Values | None) -> None:
    """``-a``, ``-abc``, ``-n5``, ``-n 5``."""
    for place in range(1, len(word)):
        name = f"-{word[place]}"
        rest = word[place + 1 :]
        if _kind(name, options, late) in ("flag", "off"):
            _set(name, None, words, options, values, late)
        else:
            _set(name, rest or None, words, options, values, late)
            return


def _kind(name: str, options: Options, late: Values | None) -> str:
    found = options.get(name) or (SHARED.get(name) if late is not None else None)
    if found is None:
        raise _TyperNeeded
    return found[1]


def _set(name: str, value: str | None, words: list[str], options: Options, values: Values, late: Values | None) -> None:
    """Store one option; its value is the next word unless it came with the name."""
    kind = _kind(name, options, late)
    if name not in options and late is not None:
        target, key = late, SHARED[name][0]
        if key in values:  # the command has an option of this meaning under another name
            raise _TyperNeeded
    else:
        target, key = values, options[name][0]
    if kind in ("flag", "off"):
        if value is not None:
            raise _TyperNeeded
        target[key] = kind == "flag"
        return
    if value is None:
        if not words:
            raise _TyperNeeded
        value = words.pop()
    if kind == "list":
        earlier = target.get(key, ())
        target[key] = (*earlier, value) if isinstance(earlier, tuple) else (value,)
    elif kind == "int":
        target[key] = _integer(value)
    else:
        target[key] = value


def _integer(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise _TyperNeeded
    return int(text)


def _place(arguments: list[str], places: Sequence[tuple[str, str]], values: Values) -> None:
    """Give positional words to the command's arguments: single ones first, the rest to the list."""
    for name, arity in places:
        if arity in ("1", "?"):
            if arguments:
                values[name] = arguments.pop(0)
            elif arity == "1":
                raise _TyperNeeded
        else:
            if arity == "+" and not arguments:
                raise _TyperNeeded
            values[name] = tuple(arguments)
            arguments = []
    if arguments:
        raise _TyperNeeded
