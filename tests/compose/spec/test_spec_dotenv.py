"""Interpolation and environment files, by themselves."""

from __future__ import annotations

import pytest

from compose.errors import SpecError
from compose.spec.dotenv import parse, parse_raw
from compose.spec.interpolate import InvalidTemplate, MissingVariable, substitute

VALUES = {"S": "set", "E": "", "B": "b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$S ${S}", "set set"), ("$Sx", ""), ("a$$S", "a$S"), ("$5 $(a) $ $", "$5 $(a) $ $"), ("$$$S", "$set"),
        ("${S:-d}|${E:-d}|${U:-d}", "set|d|d"), ("${S-d}|${E-d}|${U-d}", "set||d"),
        ("${S:+w}|${E:+w}|${U:+w}", "w||"), ("${S+w}|${E+w}|${U+w}", "w|w|"),
        ("${S:?m}|${E?m}", "set|"), ("${U:-${E:-${B}}}", "b"), ("${S:-${U:?never}}", "set"),
        ("${U-a:-b}", "a:-b"), ("${U:-{\"a\": {}}}", '{"a": {}}'), ("${U:-a$$b}", "a$b"), ("ünïcode $S", "ünïcode set"),
    ],
)  # fmt: skip
def test_substitute(text: str, expected: str) -> None:
    assert substitute(text, VALUES.get, lambda name: None) == expected


@pytest.mark.parametrize("text", ["${", "${}", "${1}", "${S", "${S/a/b}", "${#S}", "${S:off}", "${-S}", "${S }"])
def test_what_is_no_variable(text: str) -> None:
    with pytest.raises(InvalidTemplate):
        substitute(text, VALUES.get, lambda name: None)


def test_missing_and_unset() -> None:
    unset: list[str] = []
    assert substitute("$U1 ${U2} ${U3:-d} ${U4:+${U5}}", VALUES.get, unset.append) == "  d "
    assert unset == ["U1", "U2"]
    with pytest.raises(MissingVariable) as caught:
        substitute("${U:?give $B}", VALUES.get, unset.append)
    assert caught.value.args == ("U", "give b")


def test_env_file() -> None:
    text = rb"""
# comment
A=1
export B=two words  # cut here
C=a#b
D="tab\there ${A} \$A $$A"
E='literal ${A} \' quote'
F="two
lines"
G: colon
H
OUT
I=${NONE:-d}
J=
K="a" # after a quote
L='{"a": "$b"}'
M=  spaced
A.B-C=odd
""".replace(b"\n# comment", b"\n# comment\r")
    found = parse(b"\xef\xbb\xbf" + text, "x.env", {"OUT": "out"}.get)
    assert found == {
        "A": "1", "B": "two words", "C": "a#b", "D": "tab\there 1 $A $A", "E": "literal ${A} ' quote",
        "F": "two\nlines", "G": "colon", "H": None, "OUT": "out", "I": "d", "J": "", "K": "a",
        "L": '{"a": "$b"}', "M": "spaced", "A.B-C": "odd",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nB='x\ny", "x.env:2: cannot read as environment file: the quote ' is never closed"),
        ("A=1\nB C=2", 'x.env:2: cannot read as environment file: unexpected text after the name "B"'),
        ("=1", "x.env:1: cannot read as environment file: expected a variable's name"),
        ("A=${B", "x.env:1: cannot read as environment file: cannot fill in the variables of A: ${B"),
        ("A=${B:?needed}", "x.env:1: cannot read as environment file: cannot fill in the variables of A: needed"),
        ("A='x' junk here", 'x.env:1: cannot read as environment file: unexpected text after the name "junk"'),
    ],
)
def test_broken_env_files(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(text.encode(), "x.env", lambda name: None)
    assert str(caught.value.text()).split("\n  ")[0] == message
    assert caught.value.hint


def test_not_text() -> None:
    with pytest.raises(SpecError, match="not UTF-8"):
        parse(b"A=\xff", "x.env", lambda name: None)


def test_raw_dialect() -> None:
    text = b"# c\nA='as is' # yes\n\n  B=$A\nOUT\r\nNONE\n"
    assert parse_raw(text, "x", {"OUT": "out"}.get) == {"A": "'as is' # yes", "B": "$A", "OUT": "out", "NONE": None}
