"""Two parsers, one language: what the fast one accepts, it reads as Typer does."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compose.cli import app, fast, generate
from compose.cli.main import _MODULES
from compose.cli.options import Globals, Parsed
from compose.cli.refused import REFUSED
from compose.cli.table import COMMANDS, SHARED, SHARED_DEFAULTS
from compose.errors import UsageError


def test_the_table_is_what_the_declarations_say() -> None:
    with open(generate.TARGET) as file:
        assert file.read() == generate.table(), "run: python -m compose.cli.generate"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_a_module_that_takes_its_options(command: str) -> None:
    name = _MODULES.get(command, command.replace(" ", "_"))
    module = __import__(f"compose.cli.commands.{name}", fromlist=["run"])
    _function, _interspersed, _options, places, defaults = COMMANDS[command]
    assert set(module.Options.__match_args__) == {name for name, _ in places} | set(defaults)
    for field, default in module.Options._defaults.items():
        assert default == defaults[field], field
    assert callable(module.run)


def test_no_command_file_is_without_command() -> None:
    directory = os.path.dirname(__import__("compose.cli.commands", fromlist=["x"]).__file__)
    files = {name[:-3] for name in os.listdir(directory) if name.endswith(".py")} - {"__init__", "common"}
    assert files == {_MODULES.get(command, command.replace(" ", "_")) for command in COMMANDS}


def test_the_global_options_are_the_record() -> None:
    assert set(SHARED_DEFAULTS) == set(Globals.__match_args__)
    assert Globals(**SHARED_DEFAULTS) == Globals()  # type: ignore[arg-type]


def words(command: str) -> st.SearchStrategy[list[str]]:
    """Command lines that are mostly right: options of the command and global ones, values, arguments."""
    _function, _interspersed, options, _places, _defaults = COMMANDS[command]
    value = st.sampled_from(
        ["web", "1", "-1", "12", "a=b", "-x", "--", "", "x y", "-", "--follow", "json", "0x1", " 3"]
    )
    names = st.sampled_from(sorted(options) + sorted(SHARED))
    single = st.one_of(
        names.map(lambda name: [name]),
        st.tuples(names, value).map(list),
        st.tuples(names, value).map(lambda pair: [f"{pair[0]}={pair[1]}"]),
        st.tuples(names, value).map(lambda pair: [f"{pair[0]}{pair[1]}"]),
        value.map(lambda word: [word]),
    )
    shared = st.tuples(st.sampled_from(sorted(SHARED)), value).map(list)
    before = st.lists(shared, max_size=2)
    after = st.lists(single, max_size=5)
    return st.tuples(before, after).map(
        lambda parts: [*sum(parts[0], []), *command.split(" "), *sum(parts[1], [])]  # noqa: RUF017
    )


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(sorted(COMMANDS)).flatmap(words))
def test_both_parsers_agree(argv: list[str]) -> None:
    quick = fast.parse(argv)
    if quick is None:
        return
    assert app.parse(argv) == quick


PLAIN = [
    "ps",
    "ps -a --format json",
    "ps -aq",
    "-p x ps --services",
    "logs -f -n 5 web",
    "logs -n5 --since=5m web db",
    "exec -T web ls -l -a",
    "exec -u root -e A=1 -eB=2 web sh -c x",
    "up -d",
    "-f a.yaml -f b.yaml up -d -f c.yaml --scale web=3 web",
    "up --wait --wait-timeout 30 --progress plain",
    "down -v -t 0 --remove-orphans",
    "stop -t 3 web",
    "run --rm -e A=1 web sh -c true",
    "kill -s TERM",
    "image ls -q",
    "rmi a b",
    "config -q",
    "--timings plan",
]


@pytest.mark.parametrize("line", PLAIN)
def test_the_usual_command_lines_are_fast(line: str) -> None:
    parsed = fast.parse(line.split())
    assert parsed is not None
    assert parsed == app.parse(line.split())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ps --help",
        "ps --nope",
        "bogus",
        "publish",
        "exec web",
        "ps -n",
        "up -t x",
        "port web",
        "image",
        "--version",
    ],
)
def test_what_needs_words_goes_to_typer(line: str) -> None:
    assert fast.parse(line.split()) is None


def test_global_options_stand_before_or_after() -> None:
    before = fast.parse(["-f", "a", "-p", "x", "up", "-d"])
    after = fast.parse(["up", "-d", "-f", "a", "-p", "x"])
    both = fast.parse(["-f", "a", "up", "-f", "b", "-d"])
    assert before == after
    assert both is not None and both.shared.file == ("a", "b")


def test_a_commands_own_letter_wins() -> None:
    parsed = fast.parse(["logs", "-f", "--file", "x"])
    assert parsed is not None
    assert (parsed.values["follow"], parsed.shared.file) == (True, ("x",))
    parsed = fast.parse(["run", "-p", "80", "web"])
    assert parsed is not None
    assert (parsed.values["publish"], parsed.shared.project_name) == (("80",), "")


def test_what_follows_the_service_belongs_to_the_command_inside() -> None:
    parsed = fast.parse(["exec", "-T", "web", "grep", "-T", "-f", "x"])
    assert parsed is not None
    assert parsed.values["command"] == ("grep", "-T", "-f", "x")


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["up", "--detach=true"], "detach", True),
        (["up", "-d=false"], "detach", False),
        (["up", "--menu=false"], "menu", False),
        (["ps", "--orphans=false"], "orphans", False),
    ],
)
def test_flags_take_values_as_go_flags_do(words: list[str], name: str, value: bool) -> None:
    parsed = app.parse(words)
    assert isinstance(parsed, Parsed)
    assert parsed.values[name] is value


@pytest.mark.parametrize(
    "words",
    [
        ["exec", "web", "x", "--detach=true", "--dry-run=true"],
        ["run", "web", "--rm=false"],
        ["exec", "-e", "--detach=true", "web", "x"],
        ["-p", "--dry-run=true", "ps"],
        ["ps", "--", "--all=true"],
    ],
)
def test_only_our_own_flags_are_read_so(words: list[str]) -> None:
    parsed = app.parse(words)
    assert isinstance(parsed, Parsed)
    assert not parsed.shared.dry_run
    assert not any(parsed.values.get(name) for name in ("detach", "rm", "all"))
    assert parsed == fast.parse(words)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["ps", "--nope"], "no such option: --nope"),
        (["bogus"], "no such command 'bogus'"),
        (["exec", "web"], "missing argument"),
        (["up", "-t", "x"], "invalid value for '--timeout' / '-t'"),
        (["logs", "--tail"], "requires an argument"),
    ],
)
def test_errors_say_what_is_wrong_and_where_to_look(words: list[str], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        app.parse(words)
    assert caught.value.message.startswith("cannot understand the command line: ")
    assert text in caught.value.message
    assert "--help" in caught.value.hint


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_docker_composes_other_commands_are_refused_by_name(name: str) -> None:
    with pytest.raises(UsageError, match=f"pycompose {name} is not supported yet"):
        app.parse([name, "--whatever", "x"])


def test_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.parse(["up", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Create and start containers." in shown
    assert "--force-recreate" in shown
    assert "--project-name" in shown
    assert app.parse(["--help"]) == 0
    assert "image" in capsys.readouterr().out


def test_version_is_an_option_too() -> None:
    for word in ("--version", "-v"):
        parsed = app.parse([word])
        assert isinstance(parsed, Parsed)
        assert parsed.command == "version"
