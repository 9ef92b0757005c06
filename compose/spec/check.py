"""The kinds of values a Compose file holds: each checks a value and gives its canonical form.

A ``Kind`` is called with the value, its path and the ``Check`` of the document; it returns the canonical value, or
reports what is wrong and returns ``BROKEN``. The tables that say which attribute is of which kind are in schema.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from compose.errors import SpecError
from compose.model import units
from compose.spec.scalars import boolean, go_text
from compose.spec.tree import BROKEN, Broken, Map, Override, Path, Report, Reset, Seq, dotted, locate

# When docker compose would see a problem: while it turns text into numbers and booleans, document by document; when it
# checks what is merged so far; when it reads the words of values, of the whole project.
FILLED, MERGED, READ = range(3)


class Check:
    """One document being checked: where problems go, and how a path becomes ``file:line:column``.

    ``templates``: the document was not interpolated, so text with a variable may stand for any value.
    ``waits``: the first stage whose problems wait in ``deferred`` for the last merge, which may replace what is wrong.
    """

    def __init__(self, root: Any, report: Report, *, templates: bool = False, waits: int = READ) -> None:
        self.root = root
        self.report = report
        self.templates = templates
        self.waits = waits
        self.deferred: list[tuple[Path, SpecError]] = []
        self.empty: list[Path] = []  # keys without a value, which is fine if there is one already

    def unfilled(self, value: Any) -> bool:
        """Whether a value is text with a variable that stays."""
        return self.templates and isinstance(value, str) and "$" in value

    def problem(self, path: Path, message: str, *, hint: str = "", key: bool = False, stage: int = MERGED) -> Any:
        where = locate(self.root, path, key=key)
        text = f"{dotted(path)}: {message}" if path else message
        if path and stage >= self.waits:
            self.deferred.append((path, SpecError(text, hint=hint, where=where, path=dotted(path))))
        else:
            self.report.problem(text, hint=hint, where=where, path=path)
        return BROKEN

    def cannot_run(self, path: Path, message: str, value: Any, *, hint: str = "") -> Any:
        """Report a value that can be read but not run; gives the value."""
        self.report.cannot_run(f"{dotted(path)}: {message}", hint=hint, where=locate(self.root, path), path=path)
        return value

    def wrong(self, path: Path, expected: str, value: Any, *, stage: int = MERGED) -> Any:
        """Report a value of the wrong type."""
        numeric = isinstance(value, (int, float)) and "text" in expected
        typed = getattr(value, "typed", None) or go_text(value)
        hint = f'put it in quotes: "{typed}"' if numeric else ""
        return self.problem(path, f"expected {expected}, not {describe(value)}", hint=hint, stage=stage)

    def not_filled(self, path: Path, expected: str, value: Any) -> Any:
        """Report a value that is no number or boolean: text at once, other values as of a wrong type."""
        return self.wrong(path, expected, value, stage=FILLED if isinstance(value, str) else MERGED)

    def suggest(self, word: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
        """As the function, but "" when there is much wrong already: looking takes time."""
        return "" if self.report.crowded or len(self.deferred) > 50 else suggest(word, known)

    def warn(self, path: Path, message: str) -> None:
        self.report.warn(f"{dotted(path)}: {message}", where=locate(self.root, path))


Kind = Callable[[Any, Path, Check], Any]
Schema = dict[str, Any]
_SCHEMAS: dict[Kind, Callable[[], Schema]] = {}


def written(make: Callable[[], Schema]) -> Callable[[Kind], Kind]:
    """Decorates a kind with the JSON schema of what may be written; made only when somebody asks for it."""

    def remember(kind: Kind) -> Kind:
        _SCHEMAS[kind] = make
        return kind

    return remember


def schema_of(kind: Kind) -> Schema:
    """The JSON schema of what a kind accepts; {} accepts anything."""
    make = _SCHEMAS.get(kind)
    return make() if make else {}


def any_of(*schemas: Schema) -> Schema:
    """Accepts what one of these accepts."""
    return {"anyOf": list(schemas)}


STRING: Schema = {"type": "string"}
STRINGS: Schema = {"type": "array", "items": STRING}
NUMBER: Schema = {"type": ["number", "string"]}
INTEGER: Schema = {"type": ["integer", "string"]}
FLAG: Schema = {"type": ["boolean", "string"]}
_TEMPLATE: Schema = {"type": "string", "pattern": "\\$"}  # text with a variable may stand for any word


def describe(value: Any) -> str:
    """A value in words, for messages."""
    if value is None:
        return "nothing"
    if isinstance(value, Map):
        return "a mapping"
    if isinstance(value, Seq):
        return "a list"
    if isinstance(value, bool):
        return go_text(value)
    if isinstance(value, (int, float)):
        return f"the number {getattr(value, 'typed', None) or go_text(value)}"
    return f'"{value}"'


def wrap(kind: Kind, value: Any, path: Path, check: Check) -> Any:
    """Apply a kind below ``!override``, and not at all to ``!reset`` and values already reported."""
    if isinstance(value, Override):
        return Override(wrap(kind, value.value, path, check))
    if isinstance(value, (Broken, Reset)) or check.unfilled(value):
        return value
    return kind(value, path, check)


def late(kind: Kind) -> Kind:
    """The same kind, for text that docker compose turns into a number or boolean only after the last merge."""

    @written(lambda: schema_of(kind))
    def judged(value: Any, path: Path, check: Check) -> Any:
        before = check.waits
        check.waits = FILLED if isinstance(value, str) else before
        try:
            return kind(value, path, check)
        finally:
            check.waits = before

    return judged


# scalars


@written(lambda: STRING)
def text(value: Any, path: Path, check: Check) -> Any:
    return value if isinstance(value, str) else check.wrong(path, "text", value)


def anything(value: Any, path: Path, check: Check) -> Any:
    return value


@written(lambda: FLAG)
def flag(value: Any, path: Path, check: Check) -> Any:
    """A boolean; text such as ``yes`` counts, with a warning, because YAML 1.2 reads it as text."""
    truth = boolean(value)
    if truth is None:
        return check.not_filled(path, "true or false", value)
    if isinstance(value, str) and value.lower() not in ("true", "false"):
        check.warn(path, f'"{value}" is read as {go_text(truth)}; write {go_text(truth)}')
    return truth


@written(lambda: INTEGER)
def integer(value: Any, path: Path, check: Check) -> Any:
    number = _number(value)
    if number is None or number != int(number):
        return check.not_filled(path, "a whole number", value)
    return int(number)


@written(lambda: NUMBER)
def number(value: Any, path: Path, check: Check) -> Any:
    """A number; whole ones come out as int (as Go's JSON prints them)."""
    result = _number(value)
    if result is None:
        return check.not_filled(path, "a number", value)
    return int(result) if result == int(result) else result


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        result = float(value)
        if result != result or result in (float("inf"), float("-inf")):
            return None
        return int(value) if isinstance(value, int) or value == str(int(result)) else result
    except ValueError:
        return None


def limited(kind: Kind, low: float, high: float, *, read: float | None = None) -> Kind:
    """A number within bounds. ``read``: down to here it can be read, but not run; and so can any that is too large."""

    @written(lambda: {**schema_of(kind), "minimum": low, "maximum": high})
    def bounded(value: Any, path: Path, check: Check) -> Any:
        result = kind(value, path, check)
        if result is BROKEN or low <= result <= high:
            return result
        text = f"expected a number from {low:g} to {high:g}, not {go_text(result)}"
        readable = read is not None and result >= read
        return check.cannot_run(path, text, result) if readable else check.problem(path, text)

    return bounded


@written(lambda: NUMBER)
def text_of(value: Any, path: Path, check: Check) -> Any:
    """Text or a number, as text; warns when the text of the number is not what was typed (``1.10``)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return check.wrong(path, "text or a number", value)
    return scalar_text(value, path, check)


def scalar_text(value: Any, path: Path, check: Check) -> str:
    """Any scalar as Go prints it, with the same warning."""
    result = go_text(value)
    typed = getattr(value, "typed", None)
    if typed is not None and typed != result:
        check.warn(path, f'{typed} without quotes becomes "{result}"; write "{typed}" in quotes to keep it')
    return result


def grammar(parse: Callable[[Any], Any], expected: str, *types: type) -> Kind:
    """Text (or ``types``) with a grammar of its own; ``parse`` raises ValueError with what it expects."""

    @written(lambda: NUMBER if types else STRING)
    def parsed(value: Any, path: Path, check: Check) -> Any:
        if isinstance(value, bool) or not isinstance(value, (str, *types)):
            return check.wrong(path, expected, value)
        try:
            return parse(value)
        except ValueError as error:
            return check.problem(path, f"expected {error}", stage=READ)

    return parsed


def _mode(value: str | int) -> str:
    try:
        return f"{value if isinstance(value, int) else int(value, 8):04o}"
    except ValueError:
        raise ValueError(f'file permissions in octal such as 0440, not "{value}"') from None


@written(lambda: STRING)
def stop_signal(value: Any, path: Path, check: Check) -> Any:
    """A signal by name, with or without SIG, or by number (signal(7)); kept as written."""
    import signal

    if not isinstance(value, str):
        return check.wrong(path, "text such as SIGINT", value)
    name = "SIG" + value.upper().removeprefix("SIG")
    base, _, offset = name.partition("+") if "+" in name else name.partition("-")
    known = name in signal.Signals.__members__ or (value.isdigit() and 0 < int(value[:9]) <= 64)
    if value and not known and not (base in ("SIGRTMIN", "SIGRTMAX") and offset.isdigit() and int(offset[:9]) <= 30):
        return check.cannot_run(path, f'expected a signal such as SIGINT, not "{value}"', value)
    return value


size = grammar(lambda value: str(units.parse_bytes(value)), "a size such as 512m", int, float)
duration = grammar(lambda value: units.format_duration(units.parse_duration(value)), "text such as 1m30s")
mode = grammar(_mode, "file permissions such as 0440", int)


@written(lambda: NUMBER)
def octal_number(value: Any, path: Path, check: Check) -> Any:
    """A file mode that stays a number in the canonical form (tmpfs)."""
    result = mode(value, path, check)
    return result if result is BROKEN else int(result, 8)


def choice(*words: str, strict: bool = True) -> Kind:
    """One of these words. Not ``strict``: others can be read, but not run."""

    @written(lambda: any_of({"enum": list(words)}, _TEMPLATE))
    def chosen(value: Any, path: Path, check: Check) -> Any:
        if value in words and isinstance(value, str):
            return value
        text, hint = f"expected {' or '.join(words)}, not {describe(value)}", check.suggest(str(value), words)
        if isinstance(value, str) and not strict:
            return check.cannot_run(path, text, value, hint=hint)
        return check.problem(path, text, hint=hint)

    return chosen


def suggest(word: str, known: Mapping[str, Any] | tuple[str, ...], likeness: float = 0.6) -> str:
    """``did you mean "x"?`` for the nearest known word, or "" when none is as near as ``likeness``, 0 to 1."""
    from difflib import get_close_matches

    matches = get_close_matches(word, list(known), 1, likeness)
    return f'did you mean "{matches[0]}"?' if matches else ""
