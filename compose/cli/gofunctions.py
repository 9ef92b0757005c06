"""The functions and the value rules of Go templates, with those that docker's ``--format`` adds.

docker/cli templates: json, split, join, title, lower, upper, pad, truncate, println; text/template: the rest.
A struct is a dict; a method is a callable in it. Pure.
"""

from __future__ import annotations

import json
import re

from compose.cli.govalues import go_json, plain, printed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_VERB = re.compile(r"%([-+# 0]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")


class TemplateError(ValueError):
    """A template that is none, or does not fit the value; ``hint``: what would."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Header(str):
    """A column's header while the first line of a table is made; ranging over it gives nothing."""

    __slots__ = ()


class Headers(dict[str, "Any"]):
    """What the line of headers is made from: a field without a header is its name in capitals."""

    def __missing__(self, name: str) -> Any:
        return _label_header if name == "Label" else Header(name.upper())


def _label_header(name: str) -> str:
    """The header of ``{{.Label "a.b-c"}}`` in docker's rule: ``b c``."""
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


# -- values


def is_true(value: Any) -> bool:
    """Neither false, 0, nil nor empty."""
    return bool(value)


def field(value: Any, name: str) -> Any:
    """``.Name`` of a struct. Raises TemplateError for one that it does not have."""
    if isinstance(value, Headers) or (isinstance(value, dict) and name in value):
        return value[name]
    if isinstance(value, dict):
        from difflib import get_close_matches

        close = get_close_matches(name, value, 1)
        hint = f"did you mean .{close[0]}?" if close else f"fields: {', '.join(sorted(value))}"
        raise TemplateError(f"can't evaluate field {name}", hint)
    if callable(value):
        raise TemplateError(f"can't evaluate field {name} of a method without its arguments")
    raise TemplateError(f"can't evaluate field {name} in {printed(value)!r}")


def pairs(value: Any, source: str) -> list[tuple[Any, Any]]:
    """(key, element) of what ``range`` goes over. Maps go by sorted key. Raises TemplateError."""
    if value is None or isinstance(value, Header):
        return []
    if isinstance(value, dict):
        return sorted((key, one) for key, one in value.items() if not callable(one))
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(value)]
    raise TemplateError(f"range can't iterate over {printed(value)} in {{{{range {source}}}}}")


def unquote(text: str) -> str:
    """A Go string literal's value."""
    if text[0] == "`":
        return text[1:-1]
    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", _unescaped, text[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    text = match[1]
    if text[0] in "xuU" and len(text) > 1:
        return chr(min(int(text[1:], 16), 0x10FFFF))
    if len(text) == 3:
        return chr(int(text, 8))
    return _ESCAPES.get(text, text)


# -- functions


def apply(name: str, function: Callable[..., Any], arguments: list[Any]) -> Any:
    """Call it. Raises TemplateError for arguments that do not fit."""
    try:
        return function(*arguments)
    except TemplateError:
        raise
    except (TypeError, ValueError, AttributeError, KeyError, IndexError, OverflowError) as error:
        shown = " ".join(json.dumps(printed(one)) for one in arguments)
        raise TemplateError(f"error calling {name} {shown}: {error}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected string; found {printed(value)}")
    return value


def _join(values: Any, separator: str) -> str:
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"expected a list; found {printed(values)}")
    return _text(separator).join(_text(one) for one in values)


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


def _truncate(text: str, length: int) -> str:
    return _text(text)[: max(0, length)] if len(text) >= length else text


def _title(text: str) -> str:
    return re.sub(r"(?<!\w)\w", lambda match: match[0].upper(), _text(text))


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(key, bool) or not isinstance(key, int) or not 0 <= key < len(value):
            raise IndexError(f"index out of range: {printed(key)}")
        else:
            value = ord(value[key]) if isinstance(value, str) else value[key]
    return value


def _slice(value: Any, *bounds: int) -> Any:
    low, high = (*bounds, len(value))[:2] if bounds else (0, len(value))
    if not 0 <= low <= high <= len(value):
        raise IndexError(f"index out of range: {low}:{high}")
    return value[low:high]


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise TypeError("missing argument for comparison")
    for other in others:
        if _kind(first) != _kind(other) and None not in (first, other):
            raise TypeError("incompatible types for comparison")
    return any(first == other for other in others)


def _kind(value: Any) -> str:
    return "number" if type(value) in (int, float) else type(plain(value)).__name__ if value is not None else ""


def _order(name: str) -> Callable[[Any, Any], bool]:
    def compare(first: Any, second: Any) -> bool:
        if _kind(first) != _kind(second):
            raise TypeError("incompatible types for comparison")
        return bool(getattr(first, f"__{name}__")(second))

    return compare


def _print(*values: Any) -> str:
    """Spaces between operands when neither is a string, as fmt.Sprint."""
    text = ""
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            text += " "
        text += printed(value)
    return text


def _println(*values: Any) -> str:
    return " ".join(printed(value) for value in values) + "\n"


def _printf(form: str, *values: Any) -> str:
    rest = list(values)

    def one(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        return _formatted(flags, width or "", precision, verb, rest.pop(0))

    text = _VERB.sub(one, _text(form))
    if rest:
        text += f"%!(EXTRA {', '.join(f'{type(value).__name__}={printed(value)}' for value in rest)})"
    return text


def _formatted(flags: str, width: str, precision: str | None, verb: str, value: Any) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if verb in "sv" or (verb == "t" and isinstance(value, bool)):
        text = printed(value)
        text = text if precision is None else text[: int(precision)]
    elif verb == "q":
        text = json.dumps(printed(value), ensure_ascii=False)
    elif verb in "xX" and isinstance(value, str):
        text = value.encode().hex() if verb == "x" else value.encode().hex().upper()
    elif verb in "dboxXc" and isinstance(value, int) and not isinstance(value, bool):
        text = format(value, verb)
    elif verb in "feEgG" and isinstance(value, float):
        text = format(value, f".{precision or 6}{verb}" if verb in "feE" or precision else verb)
    elif verb == "T":
        text = type(value).__name__
    else:
        return f"%!{verb}({type(value).__name__}={printed(value)})"
    if "+" in flags and number and value >= 0:
        text = f"+{text}"
    if "-" in flags:
        return text.ljust(int(width or 0))
    return text.zfill(int(width or 0)) if "0" in flags and number else text.rjust(int(width or 0))


def _first(value: Any, *_rest: Any) -> Any:
    return value


_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"}
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "json": go_json,
    "split": lambda text, separator: _text(text).split(separator) if separator else list(text),
    "join": _join,
    "title": _title,
    "lower": lambda text: _text(text).lower(),
    "upper": lambda text: _text(text).upper(),
    "pad": _pad,
    "truncate": _truncate,
    "println": _println,
    "print": _print,
    "printf": _printf,
    "len": lambda value: len(plain(value)),
    "index": _index,
    "slice": _slice,
    "not": lambda value: not is_true(value),
    "and": _first,  # carried out by the evaluator, which looks at no more than it needs
    "or": _first,
    "eq": _eq,
    "ne": lambda first, second: not _eq(first, second),
    "lt": _order("lt"),
    "le": _order("le"),
    "gt": _order("gt"),
    "ge": _order("ge"),
    "html": lambda value: re.sub("[&<>\"']", lambda match: _HTML[match[0]], printed(value)),
    "urlquery": lambda value: "".join(_urlquoted(byte) for byte in printed(value).encode()),
}
# for the line of headers: what shapes a value leaves a header alone
HEADER_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **FUNCTIONS,
    **{
        name: _first for name in ("json", "title", "lower", "upper", "truncate", "len", "index", "slice", "pad", "html")
    },
    **{name: _first for name in ("split", "join", "urlquery")},
    **{name: lambda *_values: True for name in ("eq", "lt", "le", "gt", "ge")},
    "ne": lambda *_values: True,
}


def _urlquoted(byte: int) -> str:
    char = chr(byte)
    if (char.isalnum() and byte < 128) or char in "-_.~":
        return char
    return "+" if char == " " else f"%{byte:02X}"


def known() -> str:
    """The functions there are, for a hint."""
    return f"functions: {', '.join(sorted(FUNCTIONS))}"
