"""An unchanged directory is not hashed again; whatever changes in it is seen."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.build import unchanged
from runtime.build.context import Digests, open_context
from runtime.build.patterns import Ignore
from runtime.build.select import Pick
from runtime.build.unchanged import Unchanged


@pytest.fixture
def context(tmp_path: Path) -> Path:
    top = tmp_path / "c"
    (top / "sub/deep").mkdir(parents=True)
    (top / "out").mkdir()
    for name in ("a", "sub/b", "sub/deep/c", "out/o"):
        (top / name).write_text(name)
    (top / "link").symlink_to("a")
    os.sync()
    time.sleep(0.08)  # what is too fresh is not remembered
    return top


def digest(context: Path, memo: str = "", ignore: tuple[str, ...] = (), source: str = "/") -> str:
    tree = open_context(str(context), Ignore(ignore))
    found = tree.resolve(source)
    assert found is not None
    one = Unchanged(memo)
    result = one.digest(tree, Pick("", found), Digests(), owned=False)
    one.save()
    return result


def content(context: Path) -> None:
    (context / "sub/deep/c").write_text("SUB/DEEP/C")


def content_with_old_times(context: Path) -> None:
    path = context / "sub/b"
    info = path.stat()
    path.write_text("SUB/B")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def replaced(context: Path) -> None:
    (context / "new").write_text("A")
    (context / "new").rename(context / "a")


def swapped(context: Path) -> None:
    (context / "a").rename(context / "t")
    (context / "sub/b").rename(context / "a")
    (context / "t").rename(context / "sub/b")


def directory_for_file(context: Path) -> None:
    (context / "a").unlink()
    (context / "a").mkdir()


def other_link(context: Path) -> None:
    (context / "link").unlink()
    (context / "link").symlink_to("b")


CHANGES: list[Callable[[Path], object]] = [
    content,
    content_with_old_times,
    replaced,
    swapped,
    directory_for_file,
    lambda context: (context / "sub/deep/d").touch(),
    lambda context: (context / "sub/deep/c").unlink(),
    lambda context: (context / "sub/deep").rename(context / "sub/other"),
    lambda context: (context / "sub/deep").chmod(0o700),
    lambda context: (context / "a").chmod(0o600),
    other_link,
    lambda context: shutil.rmtree(context / "sub"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(context: Path, tmp_path: Path, change: Callable[[Path], object]) -> None:
    memo = str(tmp_path / "memo")
    before = digest(context, memo)
    assert before == digest(context)
    change(context)
    after = digest(context, memo)
    assert after == digest(context) != before


@pytest.mark.parametrize("ignore", [(), ("out",), ("out/o", "**/deep")])
def test_nothing_is_hashed_again(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignore: tuple[str, ...]
) -> None:
    memo = str(tmp_path / "memo")
    before = [digest(context, memo, ignore, source) for source in ("/", "/sub")]
    monkeypatch.setattr(unchanged, "digest_of", lambda *_words: "hashed")
    assert [digest(context, memo, ignore, source) for source in ("/", "/sub")] == before
    assert digest(context, memo, (*ignore, "a")) == "hashed"  # other patterns, another digest
    assert digest(context, memo, ("*", "!sub")) == digest(context, memo, ("*", "!sub")) == "hashed"  # never remembered


def test_what_is_left_out_may_change(context: Path, tmp_path: Path) -> None:
    memo = str(tmp_path / "memo")
    before = digest(context, memo, ("out",))
    (context / "out/more").touch()
    assert digest(context, memo, ("out",)) == before


def test_what_was_written_just_now_is_not_remembered(context: Path, tmp_path: Path) -> None:
    (context / "a").write_text("fresh")
    digest(context, str(tmp_path / "memo"))
    assert not (tmp_path / "memo").exists()


def test_a_damaged_memo_is_none(context: Path, tmp_path: Path) -> None:
    memo = tmp_path / "memo"
    for text in ("{", "[]", '{"a": 1}', ""):
        memo.write_text(text)
        assert digest(context, str(memo)) == digest(context)
