"""``loads``, ``load`` and ``dumps`` as :mod:`json`'s, from its C functions alone.

``import json`` takes 5 ms: its Python half compiles regular expressions, for which ``re`` and ``enum`` come along. That
is a seventh of ``pycompose ps``. Where a Python has no such C functions, or other ones, :mod:`json` itself is used, and
for what is asked for rarely.

The same file stands in ``compose``, ``runtime`` and ``netplan``, because the three do not import each other's
foundations; a test compares the copies.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Scan = Callable[[str, int], tuple[Any, int]]

_BLANKS = " \t\n\r"
_SEPARATORS = (", ", ": ")
_encoders: dict[tuple[tuple[str, str], bool, bool], Any] = {}


class _Decoder:
    """What the C scanner asks for."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = float  # NaN, Infinity, -Infinity: spelled as float() reads them


def _make_scan() -> Scan | None:
    try:
        from _json import make_scanner

        context: Any = _Decoder
        scan: Scan = make_scanner(context)
        return scan if scan('{"a":[1,2.5,null]}', 0) == ({"a": [1, 2.5, None]}, 18) else None
    except Exception:  # noqa: BLE001 -- a Python whose C half is another
        return None


def _make_quote() -> Callable[[str], str]:
    try:
        from _json import encode_basestring
    except ImportError:
        from json.encoder import encode_basestring
    found: Callable[[str], str] = encode_basestring
    return found


_scan = _make_scan()
quote = _make_quote()  # a string as JSON that keeps UTF-8 and escapes control characters


def loads(data: str | bytes) -> Any:
    """The value of a JSON text; bytes are UTF-8. Raises ValueError."""
    text = data if isinstance(data, str) else data.decode()
    if _scan is None:
        import json

        return json.loads(text)
    start = len(text) - len(text.lstrip(_BLANKS))
    try:
        value, end = _scan(text, start)
    except StopIteration as stop:
        raise ValueError(f"not JSON at character {stop.value}") from None
    if text[end:].strip(_BLANKS):
        raise ValueError(f"more than one JSON value, from character {end} on")
    return value


def load(file: Any) -> Any:
    """The value of a file's JSON text. Raises ValueError."""
    return loads(file.read())


def dumps(
    value: Any,
    *,
    separators: tuple[str, str] = _SEPARATORS,
    sort_keys: bool = False,
    ensure_ascii: bool = True,
    indent: int | None = None,
) -> str:
    """The JSON text of a value. Raises TypeError for one that has none."""
    encode = _encoder(separators, sort_keys, ensure_ascii) if indent is None else None
    if encode is None:
        import json

        between = None if separators is _SEPARATORS else separators
        return json.dumps(value, separators=between, sort_keys=sort_keys, ensure_ascii=ensure_ascii, indent=indent)
    return "".join(encode(value, 0))


def _encoder(separators: tuple[str, str], sort_keys: bool, ensure_ascii: bool) -> Any:
    key = (separators, sort_keys, ensure_ascii)
    if key not in _encoders:
        _encoders[key] = _make_encoder(*key)
    return _encoders[key]


def _make_encoder(separators: tuple[str, str], sort_keys: bool, ensure_ascii: bool) -> Any:
    try:
        from _json import encode_basestring, encode_basestring_ascii, make_encoder

        strings = encode_basestring_ascii if ensure_ascii else encode_basestring
        encode = make_encoder(None, _refuse, strings, None, separators[1], separators[0], sort_keys, False, True)
        expected = f'{{"a"{separators[1]}[1{separators[0]}null]}}'
        return encode if "".join(encode({"a": [1, None]}, 0)) == expected else None
    except Exception:  # noqa: BLE001
        return None


def _refuse(value: object) -> None:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
