"""``.env`` and ``env_file`` texts, in Compose's dialect and in the raw one of ``docker run --env-file``."""

from __future__ import annotations

import re
from collections.abc import Callable

from compose.errors import SpecError
from compose.spec.interpolate import InvalidTemplate, MissingVariable, substitute

Lookup = Callable[[str], "str | None"]
_KEY = re.compile(r"[^\S\n]*(?:export[^\S\n]+)?([^\s=:#\"'$]+)[^\S\n]*")
_ESCAPES = {"a": "\a", "b": "\b", "c": "", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
_ESCAPE = re.compile(r"\\(0[0-7]{0,3}|.)", re.DOTALL)
_DOLLAR = "\x00dollar\x00"


def parse(content: bytes, name: str, lookup: Lookup) -> dict[str, str | None]:
    """The variables of a file, in order. Values are interpolated with ``lookup`` first, then with earlier entries.

    A key alone takes the looked-up value, or None when there is none. Raises SpecError with file and line.
    """
    text = _decode(content, name)
    result: dict[str, str | None] = {}

    def find(key: str) -> str | None:
        value = lookup(key)
        return value if value is not None else result.get(key)

    position = 0
    while (position := _skip(text, position)) < len(text):
        position = _statement(text, position, name, find, lookup, result)
    return result


def line_of(content: bytes, key: str) -> int:
    """The last line, the first being 1, that sets a variable; 0 when none seems to."""
    pattern = rb"^[^\S\n]*(?:export[^\S\n]+)?" + re.escape(key.encode()) + rb"[^\S\n]*(?:[=:]|$)"
    starts = [match.start() for match in re.finditer(pattern, content, re.MULTILINE)]
    return content.count(b"\n", 0, starts[-1]) + 1 if starts else 0


def parse_raw(content: bytes, name: str, lookup: Lookup) -> dict[str, str | None]:
    """The raw dialect: a line is ``KEY=value`` verbatim, ``#`` starts a comment only at the beginning of a line."""
    result: dict[str, str | None] = {}
    for line in _decode(content, name).split("\n"):
        stripped = line.lstrip()
        if stripped and not stripped.startswith("#"):
            key, equals, value = stripped.removesuffix("\r").partition("=")
            result[key.strip()] = value if equals else lookup(key.strip())
    return result


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise SpecError("cannot read as text: not UTF-8", where=name, hint="save the file as UTF-8") from None


def _skip(text: str, position: int) -> int:
    """The start of the next statement, past blank lines and comments."""
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif text[position] == "#":
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
        else:
            break
    return position


def _statement(text: str, start: int, name: str, find: Lookup, lookup: Lookup, result: dict[str, str | None]) -> int:
    match = _KEY.match(text, start)
    if not match:
        raise _fail(text, start, name, "expected a variable's name")
    key, position = match.group(1), match.end()
    sign = text[position : position + 1]
    if sign not in ("=", ":"):
        if sign and sign not in "\n#":
            raise _fail(text, start, name, f'unexpected text after the name "{key}"')
        result[key] = find(key)
        end = text.find("\n", position)
        return len(text) if end < 0 else end
    position += 1
    while text[position : position + 1] in (" ", "\t"):
        position += 1
    quote = text[position : position + 1]
    try:
        if quote == "'" or quote == '"':
            value, position = _quoted(text, position, name)
            result[key] = value if quote == "'" else _expand(_unescape(value), find)
        else:
            raw, position = _unquoted(text, position)
            result[key] = _expand(raw, find)
    except (InvalidTemplate, MissingVariable) as error:
        message = f"cannot fill in the variables of {key}: {error.args[-1]}"
        raise _fail(text, start, name, message, "set it before, or write ${NAME:-default}") from None
    return position


def _unquoted(text: str, position: int) -> tuple[str, int]:
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    value = text[position:end]
    for index in range(1, len(value)):
        if value[index] == "#" and value[index - 1] in " \t":
            value = value[:index]
            break
    return value.strip(), end


def _quoted(text: str, position: int, name: str) -> tuple[str, int]:
    quote, start = text[position], position
    position += 1
    parts = []
    while position < len(text):
        char = text[position]
        if char == "\\" and position + 1 < len(text):
            pair = text[position : position + 2]
            parts.append("'" if quote == "'" and pair == "\\'" else pair)
            position += 2
            continue
        position += 1
        if char == quote:
            return "".join(parts), position
        parts.append(char)
    raise _fail(text, start, name, f"the quote {quote} is never closed")


def _unescape(value: str) -> str:
    def one(match: re.Match[str]) -> str:
        word = match.group(1)
        if word == "$":
            return _DOLLAR
        if word[0] == "0":
            return chr(int(word, 8))
        return _ESCAPES.get(word, match.group())

    return _ESCAPE.sub(one, value)


def _expand(value: str, find: Lookup) -> str:
    return (
        substitute(value, find, lambda name: None).replace(_DOLLAR, "$")
        if "$" in value
        else value.replace(_DOLLAR, "$")
    )


_FORM = "write NAME=value lines; values with spaces or quotes in quotes"


def _fail(text: str, position: int, name: str, message: str, hint: str = _FORM) -> SpecError:
    return SpecError(
        f"cannot read as environment file: {message}",
        where=f"{name}:{text.count(chr(10), 0, position) + 1}",
        hint=hint,
    )
