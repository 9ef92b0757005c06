"""State against disk: what counts as a change, with real inotify, and with each of the other sources."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from compose.watch.rules import Filter, Rule
from compose.watch.source import Inotify, Nothing, Watchfiles
from compose.watch.tracker import Modified, Tracker

if TYPE_CHECKING:
    from compose.watch.source import Source

ROOT = Path(__file__).resolve().parents[3]


class Look:
    """A tracker on a directory, with what it warned of."""

    def __init__(self, top: Path, source: Source, *rules: Rule) -> None:
        self.top, self.source, self.warnings = top, source, list[str]()
        self.tracker = Tracker([Filter(one) for one in rules], source, self.warnings.append)
        self.tracker.start()
        while self.tracker.hash_some():
            pass

    def changes(self) -> list[Modified]:
        """What the source tells of, until it is silent for a moment, checked."""
        paths: set[str] = set()
        lost = False
        while select.select([self.source.fileno()], [], [], 0.05)[0]:
            more, one = self.source.read()
            paths |= more
            lost |= one
        return self.tracker.rescan() if lost else self.tracker.check(paths)

    def names(self) -> list[tuple[str, bool]]:
        return sorted((os.path.relpath(one.path, self.top), one.gone) for one in self.changes())


MakeLook = Callable[..., Look]


@pytest.fixture
def look(tmp_path: Path) -> Iterator[MakeLook]:
    made: list[Source] = []

    def make(source: Source | None = None, **more: Any) -> Look:
        top = tmp_path / "src"
        top.mkdir(exist_ok=True)
        made.append(source or Inotify())
        rule = Rule("web", 0, str(top), **{"action": "rebuild", "target": "/app", **more})
        return Look(top, made[-1], rule)

    yield make
    for one in made:
        one.close()


def save(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(text)
    beside.rename(path)


def test_a_save_by_rename_is_one_change(look: MakeLook) -> None:
    one = look()
    save(one.top / "a", "1")
    assert one.names() == [("a", False)]
    save(one.top / "a", "2")
    assert one.names() == [("a", False)]


def test_the_same_content_again_is_no_change(look: MakeLook, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a").write_text("same")
    one = look()
    save(one.top / "a", "same")
    os.utime(one.top / "a", (1, 1))
    assert one.names() == []
    save(one.top / "a", "else")
    assert one.names() == [("a", False)]


def test_a_changed_mode_is_a_change(look: MakeLook) -> None:
    one = look()
    (one.top / "a").write_text("x")
    one.changes()
    (one.top / "a").chmod(0o755)
    assert one.names() == [("a", False)]


def test_directories_that_come_filled_are_seen_whole(look: MakeLook, tmp_path: Path) -> None:
    one = look()
    away = tmp_path / "away/x/y"
    away.mkdir(parents=True)
    (away / "f").write_text("f")
    (tmp_path / "away").rename(one.top / "in")
    assert one.names() == [("in", False), ("in/x", False), ("in/x/y", False), ("in/x/y/f", False)]
    (one.top / "in/x/y/f").write_text("g")
    assert one.names() == [("in/x/y/f", False)]


def test_a_burst_of_new_directories_loses_nothing(look: MakeLook) -> None:
    one = look()
    for number in range(200):
        deep = one.top / f"d{number}/a/b"
        deep.mkdir(parents=True)
        (deep / "f").write_text(str(number))
    assert sum(name.endswith("/f") for name, _gone in one.names()) == 200


def test_a_renamed_directory_is_gone_and_there(look: MakeLook) -> None:
    one = look()
    (one.top / "old").mkdir()
    (one.top / "old/f").write_text("1")
    one.changes()
    (one.top / "old").rename(one.top / "new")
    assert one.names() == [("new", False), ("new/f", False), ("old", True), ("old/f", True)]
    (one.top / "new/f").write_text("2")
    assert one.names() == [("new/f", False)]


def test_a_directory_made_anew_is_watched_anew(look: MakeLook) -> None:
    one = look()
    for text in ("1", "2", "3"):
        (one.top / "dist").mkdir()
        (one.top / "dist/out").write_text(text)
        assert ("dist/out", False) in one.names()
        (one.top / "dist/out").unlink()
        (one.top / "dist").rmdir()
        (one.top / "dist").mkdir()
        (one.top / "dist/other").write_text(text)
        assert one.names() == [("dist/other", False), ("dist/out", True)]
        (one.top / "dist/other").write_text(text * 2)
        assert one.names() == [("dist/other", False)]
        (one.top / "dist/other").unlink()
        (one.top / "dist").rmdir()
        one.changes()


def test_the_watched_directory_itself_may_go_and_come(look: MakeLook) -> None:
    one = look()
    one.top.rmdir()
    one.changes()
    one.top.mkdir()
    (one.top / "a").write_text("x")
    assert ("a", False) in one.names()


def test_a_path_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    source = Inotify()
    one = Look(tmp_path, source, Rule("web", 0, str(tmp_path / "not/yet/there"), "rebuild"))
    (tmp_path / "not").mkdir()
    (tmp_path / "other").write_text("no")
    one.changes()
    (tmp_path / "not/yet").mkdir()
    one.changes()
    (tmp_path / "not/yet/there").write_text("x")
    assert one.names() == [("not/yet/there", False)]
    source.close()


def test_ignored_directories_are_not_descended_into(look: MakeLook, tmp_path: Path) -> None:
    for name in ("node_modules/deep", ".git/objects", "kept"):
        (tmp_path / "src" / name).mkdir(parents=True)
        (tmp_path / "src" / name / "f").write_text("f")
    one = look(ignore=("node_modules",))
    watched = {path.removeprefix(str(tmp_path)) for path in one.source._numbers}  # type: ignore[attr-defined]
    assert watched == {"", "/src", "/src/kept"}
    (one.top / "node_modules/deep/f").write_text("g")
    (one.top / "node_modules/new").mkdir()
    assert one.names() == []


def test_links_are_not_followed(look: MakeLook, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    one = look()
    (one.top / "link").symlink_to("../outside")
    assert one.names() == [("link", False)]
    (tmp_path / "outside/f").write_text("f")
    assert one.names() == []
    (one.top / "link").unlink()
    (one.top / "link").symlink_to("elsewhere")
    assert one.names() == [("link", False)]


def test_a_lost_queue_ends_in_the_same_state(look: MakeLook) -> None:
    """More events than the kernel keeps: everything is looked at."""
    with open("/proc/sys/fs/inotify/max_queued_events") as file:
        most = int(file.read())
    one = look()
    (one.top / "a").write_text("1")
    for _number in range(most // 2 + 100):  # creating and deleting: each two events or more
        fd = os.open(one.top / "churn", os.O_CREAT | os.O_WRONLY)
        os.close(fd)
        os.unlink(one.top / "churn")
    (one.top / "late").write_text("x")
    lost = False
    while select.select([one.source.fileno()], [], [], 0.05)[0]:
        lost |= one.source.read()[1]
    assert lost
    assert sorted(os.path.basename(each.path) for each in one.tracker.rescan()) == ["a", "late"]


def test_without_watches_directories_are_polled(look: MakeLook) -> None:
    one = look(Nothing())
    (one.top / "sub").mkdir()
    (one.top / "sub/f").write_text("1")
    assert {os.path.relpath(each.path, one.top) for each in one.tracker.poll()} == {"sub", "sub/f"}
    (one.top / "sub/f").write_text("22")
    assert [os.path.relpath(each.path, one.top) for each in one.tracker.poll()] == ["sub/f"]
    (one.top / "sub/f").unlink()
    assert [(os.path.relpath(each.path, one.top), each.gone) for each in one.tracker.poll()] == [("sub/f", True)]


def test_watchfiles_serves_as_well(look: MakeLook) -> None:
    one = look(Watchfiles())
    one.changes()
    save(one.top / "a", "1")
    assert one.names() == [("a", False)]
    (one.top / "sub").mkdir()
    one.changes()
    (one.top / "sub/f").write_text("1")
    assert one.names() == [("sub/f", False)]


_FEW_WATCHES = """
import os, sys
from compose.watch.rules import Filter, Rule
from compose.watch.source import Inotify
from compose.watch.tracker import Tracker
top = sys.argv[1]
with open("/proc/sys/user/max_inotify_watches", "w") as file:
    file.write("5")
said = []
tracker = Tracker([Filter(Rule("web", 0, top, "rebuild"))], Inotify(), said.append)
tracker.start()
print(tracker.source.count(), len(tracker.polled), len(said), said[0])
open(f"{top}/d9/f", "w").write("x")
print([one.path for one in tracker.poll()])
"""


@pytest.mark.root
def test_too_few_watches_are_explained_and_the_rest_is_polled(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"src/d{number}").mkdir(parents=True)
    top = str(tmp_path / "src")
    child = ["unshare", "--user", "--map-root-user", sys.executable, "-c", _FEW_WATCHES, top]
    done = subprocess.run(child, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("5 7 1 cannot watch more than 5 directories")
    assert "sysctl fs.inotify.max_user_watches=" in first
    assert second == f"['{top}/d9/f']"


_UNREADABLE = """
import os, sys
from compose.watch.rules import Filter, Rule
from compose.watch.source import Inotify
from compose.watch.tracker import Tracker
os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
said = []
tracker = Tracker([Filter(Rule("web", 0, sys.argv[1], "rebuild"))], Inotify(), said.append)
tracker.start(); tracker.rescan()
print(len(said), said[0])
print(sorted(os.path.basename(path) for path in tracker.entries))
"""


@pytest.mark.root
def test_an_unreadable_directory_is_left_out_with_one_warning(tmp_path: Path) -> None:
    top = tmp_path / "src"
    (top / "secret").mkdir(parents=True)
    (top / "open").write_text("x")
    (top / "secret").chmod(0)
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_mode & 0o005 != 0o005:
            path.chmod(0o755)
    child = [sys.executable, "-c", _UNREADABLE, str(top)]
    done = subprocess.run(child, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == f"1 cannot watch {top}/secret: permission denied; it is left out"
    assert second == "['open', 'secret', 'src']"
