"""The shell of Dockerfile words, patterns, modes, owners, mounts: pure."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.build.errors import BuildFault
from runtime.build.instructions import parse
from runtime.build.modes import Chmod, resolve_owner
from runtime.build.mounts import parse_mount
from runtime.build.patterns import Ignore, glob_regex
from runtime.build.words import Expander, WordError

VALUES = {"x": "a.tar.gz", "e": "", "two": "a b"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$x", "a.tar.gz"),
        ("${x}y", "a.tar.gzy"),
        ("${x%.*}", "a.tar"),
        ("${x%%.*}", "a"),
        ("${x#*.}", "tar.gz"),
        ("${x##*.}", "gz"),
        ("${x/a/b}", "b.tar.gz"),
        ("${x//a/b}", "b.tbr.gz"),
        ("${x/./\\/}", "a/tar.gz"),
        ("${e:-d}", "d"),
        ("${e-d}", ""),
        ("${n-d}", "d"),
        ("${n:-${x}}", "a.tar.gz"),
        ("${e:+d}", ""),
        ("${e+d}", "d"),
        ("'$x'", "$x"),
        ('"$x"', "a.tar.gz"),
        ("\\$x", "$x"),
        ('"\\$x \\" \\n"', '$x " \\n'),
        ("a\\ b", "a b"),
        ("$", "$"),
        ("$n", ""),
        ("${x:?no}", "a.tar.gz"),
        ("a'b'\"c\"d", "abcd"),
    ],
)
def test_expansion(text: str, value: str) -> None:
    assert Expander(VALUES).word(text) == value


@pytest.mark.parametrize(
    "text", ["${", "${x", "${x:", "${x:*}", "${}", "'a", '"a', "${n:?must be}", "${n?}", "${x#\\}"]
)
def test_what_cannot_be_expanded(text: str) -> None:
    with pytest.raises(WordError):
        Expander(VALUES).word(text)


def test_words_split_at_blanks_outside_of_quotes() -> None:
    assert Expander(VALUES).words("a 'b c' \"$two\" $two ''") == ["a", "b c", "a b", "a", "b", ""]


@given(st.text(alphabet="ab$\\'\"{}:-+?#%/ xE", max_size=30))
def test_expansion_ends_and_raises_nothing_else(text: str) -> None:
    try:
        Expander(VALUES).word(text)
    except WordError:
        pass


@given(st.text(alphabet="ab .-_", max_size=20))
def test_what_is_quoted_comes_back(text: str) -> None:
    assert Expander(VALUES).word(f"'{text}'") == text


@pytest.mark.parametrize(
    ("lines", "ignored", "kept"),
    [
        (["foo"], ["foo", "foo/x"], ["a/foo"]),
        (["**/foo"], ["foo", "a/foo", "a/b/foo/c"], ["food"]),
        (["/foo"], ["foo"], ["a/foo"]),
        (["*.md", "!README.md"], ["a.md"], ["README.md", "d/a.md"]),
        (["a", "!a/b/c"], ["a/x", "a/b/d"], ["a/b/c"]),
        (["x/../keep"], ["keep"], ["x"]),
        (["#foo", " #bar"], ["#bar"], ["#foo"]),
        (["a?c", "[xy]z"], ["abc", "xz"], ["ac", "zz"]),
        (["*"], ["a", "a/b"], []),
        (["**"], ["a", "a/b"], []),
        (["d/**/c.md"], ["d/c.md", "d/e/f/c.md"], ["c.md"]),
    ],
)
def test_dockerignore(lines: list[str], ignored: list[str], kept: list[str]) -> None:
    rules = Ignore(lines)
    assert [path for path in ignored if not rules.ignores(path)] == []
    assert [path for path in kept if rules.ignores(path)] == []


def test_a_lone_exclamation_mark_and_bad_patterns_are_refused() -> None:
    for lines in (["!"], ["[a"], ["a\\"]):
        with pytest.raises(BuildFault):
            Ignore(lines)


def test_a_directory_is_pruned_only_if_nothing_below_may_be_kept() -> None:
    assert Ignore(["a", "!b"]).prunes("a")
    assert not Ignore(["a", "!a/b/c"]).prunes("a")
    assert not Ignore(["a", "!**/c"]).prunes("a")


def test_a_range_that_runs_backwards_holds_nothing() -> None:
    import re

    assert not re.fullmatch(glob_regex("[b-a]"), "a")
    assert re.fullmatch(glob_regex("[b-ax]"), "x")
    assert re.fullmatch(glob_regex("[^b-a]"), "a")


@given(st.text(alphabet="ab*?[]^-\\/", max_size=12))
@example("[[-?]")
def test_patterns_compile_or_are_refused(text: str) -> None:
    import re

    try:
        re.compile(glob_regex(text, deep=True))
    except BuildFault:
        pass


@pytest.mark.parametrize(
    ("text", "mode", "directory", "result"),
    [
        ("755", 0o600, False, 0o755),
        ("u=rwX,go=rX", 0o600, False, 0o644),
        ("u=rwX,go=rX", 0o700, False, 0o755),
        ("u=rwX,go=rX", 0o600, True, 0o755),
        ("a+x", 0o644, False, 0o755),
        ("+x", 0o644, False, 0o755),
        ("go-rwx", 0o777, False, 0o700),
        ("u+s,g+s,+t", 0o755, False, 0o7755),
        ("g=u", 0o640, False, 0o660),
        ("u-w,o+w", 0o644, False, 0o446),
    ],
)
def test_chmod(text: str, mode: int, directory: bool, result: int) -> None:
    assert oct(Chmod(text).apply(mode, directory)) == oct(result)


@pytest.mark.parametrize("text", ["99", "77777", "u=q", "rw", "", "u"])
def test_bad_chmod(text: str) -> None:
    with pytest.raises(BuildFault):
        Chmod(text)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("55", (55, 55)),
        ("app", (1000, 1001)),
        ("app:web", (1000, 33)),
        (":web", (0, 33)),
        ("nosuch", (0, 0)),
        ("1:2", (1, 2)),
    ],
)
def test_chown(text: str, ids: tuple[int, int]) -> None:
    assert resolve_owner(text, b"app:x:1000:1001::/:/bin/sh\n", b"web:x:33:\n") == ids


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("type=cash,target=/x", "cache"),
        ("target=/x,sourse=y", "source"),
        ("type=cache", "target"),
        ("type=cache,target=/x,sharing=odd", "sharing"),
        ("type=tmpfs,target=/x,size=big", "size"),
        ("type=cache,target=/x,mode=9", "mode"),
        ("target=/x,rw=maybe", "true or false"),
    ],
)
def test_bad_mounts_say_why(text: str, words: str) -> None:
    with pytest.raises(BuildFault) as caught:
        parse_mount(text, {})
    assert words in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("FROM a\nFRM b\n", "cannot read Dockerfile:2: unknown instruction 'FRM'", "did you mean FROM?"),
        ("FROM a\nCOPY --frm=b c d\n", "cannot read Dockerfile:2: COPY has no flag --frm", "did you mean --from?"),
        ("FROM a\n\n# c\nENV A\n", "cannot read Dockerfile:4: ENV A needs a value", "write ENV NAME=VALUE"),
        ("RUN x\n", "cannot read Dockerfile:1: RUN comes before the first FROM", "only ARG may"),
        ("FROM a AS $x\n", "cannot read Dockerfile:1: '$x' is not a name of a stage", ""),
        ("# escape=x\nFROM a\n", "cannot read Dockerfile:1: the escape character is 'x', and must be \\ or `", ""),
        ("# escape=\\\n# escape=`\nFROM a\n", "cannot read Dockerfile:2: the directive escape is there twice", ""),
        ("FROM a\nRUN <<E\nx\n", "cannot read Dockerfile:2: the here-document E does not end", ""),
        ("FROM a\nSHELL sh\n", "cannot read Dockerfile:2: SHELL needs the JSON form", ""),
        ("FROM a\n" + "RUN " + "x" * 70000, "cannot read Dockerfile:2: the line is longer than 65535 bytes", ""),
    ],
)
def test_errors_name_the_line(text: str, message: str, hint: str) -> None:
    with pytest.raises(BuildFault) as caught:
        parse(text.encode())
    assert caught.value.message == message
    assert hint in caught.value.hint


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        parse(b"FROM a\n" + data)
    except BuildFault:
        pass


def test_a_crlf_file_keeps_the_cr_in_here_documents_only() -> None:
    step = parse(b"FROM a\r\nRUN <<E\r\necho\r\nE\r\nRUN x \\\r\n  y\r\n").stages[0].steps
    assert step[0].heredocs[0].body == "echo\r\n"
    assert step[1].text == "x   y"


def test_a_bom_is_dropped_and_comments_inside_continued_lines_too() -> None:
    file = parse(b"\xef\xbb\xbfFROM a\nRUN a \\\n# no\n  # no\n b\n")
    assert file.stages[0].steps[0].text == "a  b"
