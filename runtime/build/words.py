"""Words of a Dockerfile as its own small shell reads them: quotes, escapes, variables and their operators. Pure.

The operators are the shell's (POSIX 2.6.2, and bash's ``/``): ``${x:-d} ${x-d} ${x:+d} ${x+d} ${x:?e} ${x?e} ${x#p}
${x##p} ${x%p} ${x%%p} ${x/p/r} ${x//p/r}``; words inside may hold variables again.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SPECIAL = "@*#?-$!0"


class WordError(ValueError):
    """The word cannot be read; the argument is the reason."""


class Expander:
    """Expands words. ``escape``: the Dockerfile's escape character; ``unset``: names met that have no value.

    ``raw``: keep quotes and escapes and leave variables alone (only to find where words end).
    """

    def __init__(self, values: Mapping[str, str], escape: str = "\\", raw: bool = False) -> None:
        self.values = values
        self.escape = escape
        self.raw = raw
        self.unset: set[str] = set()

    def word(self, text: str) -> str:
        """One value: blanks outside of quotes are kept. Raises WordError."""
        return _Reading(self, text).until("")[0]

    def words(self, text: str) -> list[str]:
        """The words, split at blanks outside of quotes, those in values of variables included. Raises WordError."""
        return _Reading(self, text).until("")[1]


class _Words:
    """Collects words: what comes from quotes never splits, and makes a word even when it is empty."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self._word: list[str] = []
        self._open = False

    def add(self, text: str) -> None:
        for char in text:
            if char.isspace():
                self.end()
            else:
                self._word.append(char)
                self._open = True

    def keep(self, text: str) -> None:
        self._word.append(text)
        self._open = True

    def end(self) -> None:
        if self._open:
            self.done.append("".join(self._word))
        self._word, self._open = [], False


class _Reading:
    def __init__(self, shell: Expander, text: str) -> None:
        self.shell = shell
        self.text = text
        self.at = 0

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def next(self) -> str:
        char = self.text[self.at : self.at + 1]
        self.at += 1
        return char

    def until(self, stop: str, raw_escapes: bool = False) -> tuple[str, list[str]]:
        """Up to the character ``stop`` (which is consumed) or the end: (as one value, as words)."""
        out: list[str] = []
        words = _Words()
        while char := self.peek():
            if stop and char == stop:
                self.at += 1
                words.end()
                return "".join(out), words.done
            if char == "'":
                part = self._single()
                words.keep(part)
            elif char == '"':
                part = self._double()
                words.keep(part)
            elif char == "$" and not self.shell.raw:
                part = self._dollar()
                words.add(part)
            elif char == self.shell.escape:
                part = self._escaped(raw_escapes)
                words.keep(part)
            else:
                part = self.next()
                words.add(part)
            out.append(part)
        if stop:
            raise WordError(f"unexpected end of the word while looking for {stop!r}")
        words.end()
        return "".join(out), words.done

    def _escaped(self, raw_escapes: bool) -> str:
        mark = self.next() if raw_escapes or self.shell.raw else (self.next(), "")[1]
        return mark + self.next()

    def _single(self) -> str:
        quote = self.next()
        end = self.text.find("'", self.at)
        if end < 0:
            raise WordError("a single quote is not closed")
        inner, self.at = self.text[self.at : end], end + 1
        return quote + inner + quote if self.shell.raw else inner

    def _double(self) -> str:
        out = [self.next()] if self.shell.raw else (self.next(), [])[1]
        while char := self.peek():
            if char == '"':
                self.at += 1
                return "".join([*out, '"'] if self.shell.raw else out)
            if char == "$" and not self.shell.raw:
                out.append(self._dollar())
            elif char == self.shell.escape:
                out.append(self._escaped_in_quotes())
            else:
                out.append(self.next())
        raise WordError("a double quote is not closed")

    def _escaped_in_quotes(self) -> str:
        mark, char = self.next(), self.next()
        if not char:
            raise WordError("a double quote is not closed")
        return char if char in ('"', "$", self.shell.escape) and not self.shell.raw else mark + char

    # -- variables

    def _dollar(self) -> str:
        self.at += 1
        if self.peek() != "{":
            name = self._name()
            return (self._value(name) or "") if name else "$"
        self.at += 1
        name = self._name() if self.peek() not in ("", "}", ":") else ""
        if not name:
            raise WordError("bad substitution: there is no name after ${")
        operator = self.next()
        if operator == "}":
            return self._value(name) or ""
        if operator == "":
            raise WordError("a ${ is not closed with }")
        return self._operator(name, operator)

    def _operator(self, name: str, operator: str) -> str:
        if operator == ":":
            operator = self.next()
            if operator in tuple("-+?"):
                return self._default(name, operator, or_empty=True)
            raise WordError(f"${{{name}:{operator}...}} is not an operator that is known")
        if operator in "-+?":
            return self._default(name, operator, or_empty=False)
        if operator in "#%":
            return self._trim(name, operator)
        if operator == "/":
            return self._replace(name)
        raise WordError(f"${{{name}{operator}...}} is not an operator that is known")

    def _default(self, name: str, operator: str, or_empty: bool) -> str:
        other = self.until("}")[0]
        value = self.shell.values.get(name)
        has = bool(value) if or_empty else value is not None
        if operator == "+":
            return other if has else ""
        if has:
            return value or ""
        if operator == "?":
            raise WordError(f"{name}: {other or 'it is not set'}")
        return other

    def _trim(self, name: str, operator: str) -> str:
        greedy = self.peek() == operator
        if greedy:
            self.at += 1
        pattern = glob_pattern(self.until("}", raw_escapes=True)[0], greedy)
        value = self._value(name) or ""
        if operator == "#":
            found = re.match(pattern, value, re.DOTALL)
            return value[found.end() :] if found else value
        starts = range(len(value) + 1) if greedy else range(len(value), -1, -1)
        for start in starts:
            if re.fullmatch(pattern, value[start:], re.DOTALL):
                return value[:start]
        return value

    def _replace(self, name: str) -> str:
        everywhere = self.peek() == "/"
        if everywhere:
            self.at += 1
        pattern = self.until("/", raw_escapes=True)[0]
        replacement = self.until("}")[0]
        value = self._value(name) or ""
        regex = re.compile(glob_pattern(pattern, True), re.DOTALL)
        return regex.sub(lambda _found: replacement, value, count=0 if everywhere else 1)

    def _name(self) -> str:
        char = self.peek()
        if char.isascii() and (char.isalpha() or char == "_"):
            found = re.compile(r"[A-Za-z0-9_]+").match(self.text, self.at)
        elif char.isdigit():
            found = re.compile(r"[0-9]+").match(self.text, self.at)
        else:
            if char and char in _SPECIAL:
                self.at += 1
                return char
            return ""
        assert found is not None
        self.at = found.end()
        return found.group()

    def _value(self, name: str) -> str | None:
        value = self.shell.values.get(name)
        if value is None:
            self.shell.unset.add(name)
        return value


def glob_pattern(pattern: str, greedy: bool) -> str:
    """A shell pattern of ``*``, ``?`` and ``\\`` as a regular expression. Raises WordError."""
    out = []
    chars = iter(pattern)
    for char in chars:
        if char == "*":
            out.append(".*" if greedy else ".*?")
        elif char == "?":
            out.append(".")
        elif char == "\\":
            following = next(chars, "")
            if not following:
                raise WordError(f"the pattern {pattern!r} ends with a backslash")
            out.append(re.escape(following))
        else:
            out.append(re.escape(char))
    return "".join(out)
