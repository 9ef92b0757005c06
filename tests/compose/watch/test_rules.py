"""Rules of develop.watch: what they cover, what they leave out and which line says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compose.api.watch import explain
from compose.errors import UsageError
from compose.watch.ignore import BUILT_IN_MATCHER, Line, Matcher
from compose.watch.rules import Filter, Rule, rules_of
from tests.support.projects import project, service


def rule(path: str = "/p/src", action: str = "sync", target: str = "/app", **more: Any) -> dict[str, Any]:
    return {"path": path, "action": action, "target": target, **more}


def watched(*rows: dict[str, Any], **config: Any) -> tuple[Rule, ...]:
    return rules_of(project(service("web", develop={"watch": list(rows)}, **config))).rules


def matcher(*patterns: str) -> Matcher:
    return Matcher([Line(text, "x") for text in patterns])


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        (["node_modules"], "node_modules", True),
        (["node_modules"], "node_modules/a/b.js", True),
        (["node_modules/"], "node_modules/a", True),
        (["node_modules"], "sub/node_modules", False),
        (["**/node_modules"], "sub/deep/node_modules/x", True),
        (["*.log"], "a.log", True),
        (["*.log"], "sub/a.log", False),
        (["**/*.log", "!keep.log"], "keep.log", False),
        (["**/*.log", "!keep.log"], "x/keep.log", True),
        (["!a", "a"], "a", True),
        (["dir", "!dir/kept"], "dir/kept", False),
        (["dir", "!dir/kept"], "dir/other", True),
        (["a?c"], "abc", True),
        (["a?c"], "a/c", False),
        (["/abs"], "abs", True),
        (["./x/../y"], "y", True),
        (["."], "anything/at/all", True),
        ([""], "a", False),
    ],
)
def test_patterns_are_those_of_dockerignore(patterns: list[str], path: str, ignored: bool) -> None:
    assert (matcher(*patterns).decides(path) is not None) == ignored


def test_a_directory_with_an_exception_inside_is_still_looked_into() -> None:
    both = matcher("dir", "!dir/kept")
    assert both.decides("dir") and both.prunes("dir") is None
    assert both.prunes("dir/deeper") is not None
    assert matcher("dir").prunes("dir") is not None


@pytest.mark.parametrize(
    "name",
    [
        "4913",
        "x.py~",
        ".x.py.swp",
        ".x.swx",
        ".#x",
        "#x#",
        "x___jb_tmp___",
        "x___jb_old___",
        ".idea/w.xml",
        ".git/HEAD",
    ],
)
def test_what_editors_and_git_write_is_left_out(name: str) -> None:
    assert BUILT_IN_MATCHER.decides(name) is not None
    assert BUILT_IN_MATCHER.decides(f"deep/er/{name}") is not None


@pytest.mark.parametrize("name", ["x.py", ".env", ".gitignore", "a.swift", "swap.sw", "x#y", "49130"])
def test_common_names_are_not_left_out(name: str) -> None:
    assert BUILT_IN_MATCHER.decides(name) is None


def test_a_rule_maps_paths_below_it_to_its_target() -> None:
    (one,) = watched(rule())
    assert one.target_of("/p/src/a/b") == "/app/a/b"
    assert one.target_of("/p/src") == "/app"
    (top,) = watched(rule(target="/"))
    assert top.target_of("/p/src/a") == "/a"


def test_include_chooses_files_and_no_directories() -> None:
    one = Filter(watched(rule(include=["*.py", "conf"]))[0])
    assert one.covers("/p/src/a.py") and one.covers("/p/src/conf/x")
    assert not one.covers("/p/src/a.txt") and not one.covers("/p/src/sub", is_directory=True)
    assert one.enters("/p/src/sub")


def test_the_context_s_ignore_file_counts_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / ".dockerignore").write_text("# no\n\nsrc/*.log\n")
    one = Filter(watched(rule(str(tmp_path / "src")), build={"context": str(tmp_path)})[0])
    verdict = one.verdict(str(tmp_path / "src/a.log"))
    assert not verdict.covers and verdict.why.endswith(f"({tmp_path.name}/.dockerignore:3)")
    assert one.covers(str(tmp_path / "src/a.py"))


def test_the_dockerfile_s_own_ignore_file_comes_first(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("a\n")
    (tmp_path / "dev.Dockerfile.dockerignore").write_text("b\n")
    config = {"context": str(tmp_path), "dockerfile": "dev.Dockerfile"}
    one = Filter(watched(rule(str(tmp_path)), build=config)[0])
    assert one.covers(str(tmp_path / "a")) and not one.covers(str(tmp_path / "b"))


def test_a_bind_mounted_path_is_left_to_the_mount() -> None:
    mount = {"type": "bind", "source": "/p", "target": "/code"}
    found = rules_of(project(service("web", develop={"watch": [rule()]}, volumes=[mount])))
    assert found.rules == () and "bind mounted at /code" in found.warnings[0]


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (rule(action="rebuild"), "needs a build"),
        (rule(target=""), "needs a target"),
        (rule(action="sync+exec"), "exec.command"),
    ],
)
def test_rules_that_make_no_sense_are_refused(row: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        watched(row)


def test_only_named_services_are_watched() -> None:
    both = project(service("a", develop={"watch": [rule()]}), service("b", develop={"watch": [rule()]}))
    assert [one.service for one in rules_of(both, ("b",)).rules] == ["b"]
    with pytest.raises(UsageError, match="no such service: c"):
        rules_of(both, ("c",))


def test_explain_names_rule_action_target_and_ignoring_line() -> None:
    rows = [rule(ignore=["tmp"]), rule("/p", "restart", "")]
    shop = project(service("web", develop={"watch": rows}))
    assert explain(shop, "/p/src/x.py") == [
        "web.develop.watch[0]: sync to /app/x.py",
        "web.develop.watch[1]: restart",
    ]
    assert "ignored by 'tmp' (web.develop.watch[0].ignore[0])" in explain(shop, "/p/src/tmp/y")[0]
    assert explain(shop, "/q")[0].endswith("outside of /p/src")
    assert (
        "not synced"
        in explain(project(service("web", develop={"watch": [rule("/srv/shop")]})), "/srv/shop/compose.yaml")[1]
    )
