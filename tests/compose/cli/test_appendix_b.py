"""Every command and flag of docker compose: declared alike, and carried out by a test that names it, or refused by name."""

from __future__ import annotations

import pytest

from compose.cli.refused import REFUSED
from compose.cli.table import COMMANDS, SHARED
from tests.compose.cli import appendix_b
from tests.compose.cli.appendix_b import Flag, flags
from tests.support.flags import covered

COVERED = covered()
# not carried out by a test that names it: watch has its own tests, and the rest has no meaning here
LATER = {
    "up --watch",
    "COMPOSE_CONVERT_WINDOWS_PATHS",  # there is no Windows here
    "COMPOSE_EXPERIMENTAL_WATCH_TAR",  # how docker compose copies: nothing to choose here
    "COMPOSE_BAKE",
    "DOCKER_DEFAULT_PLATFORM",
}
MINE = {name: text for name, text in appendix_b.COMMANDS.items() if name.split()[0] not in REFUSED}
EVERY = [(command, flag) for command, text in MINE.items() for flag in flags(text)]


def ident(value: object) -> str:
    return value.name if isinstance(value, Flag) else str(value)


@pytest.mark.parametrize("command", sorted(MINE))
def test_the_command_is_there(command: str) -> None:
    assert command in COMMANDS


@pytest.mark.parametrize(("command", "flag"), EVERY, ids=ident)
def test_the_flag_is_declared_as_docker_compose_has_it(command: str, flag: Flag) -> None:
    _module, _interspersed, options, _places, _defaults = COMMANDS[command]
    if flag.hidden and flag.name == "--progress":  # of build: the global option after the command
        return
    for name in flag.names:
        assert name in options, f"{command} {name}"
        assert (options[name][1] not in ("flag", "off")) == flag.takes_value, f"{command} {name}: {options[name]}"


@pytest.mark.parametrize("flag", flags(appendix_b.GLOBAL), ids=ident)
def test_the_global_flag_is_declared(flag: Flag) -> None:
    if flag.name == "--version":  # a command line of its own: see test_parsing
        return
    for name in flag.names:
        assert name in SHARED
        assert (SHARED[name][1] != "flag") == flag.takes_value


@pytest.mark.parametrize(("command", "flag"), EVERY, ids=ident)
def test_the_flag_is_carried_out_by_a_test(command: str, flag: Flag) -> None:
    name = f"{command} {flag.name}"
    assert name in COVERED or name in LATER, f"no test is marked @covers({name!r})"


@pytest.mark.parametrize("flag", flags(appendix_b.GLOBAL), ids=ident)
def test_the_global_flag_is_carried_out_by_a_test(flag: Flag) -> None:
    assert flag.name in COVERED or flag.name in LATER, f"no test is marked @covers({flag.name!r})"


@pytest.mark.parametrize("variable", appendix_b.VARIABLES)
def test_the_variable_is_honoured_by_a_test(variable: str) -> None:
    assert variable in COVERED or variable in LATER, f"no test is marked @covers({variable!r})"


def test_no_test_claims_a_flag_that_is_none() -> None:
    known = {f"{command} {flag.name}" for command, text in appendix_b.COMMANDS.items() for flag in flags(text)}
    known |= {flag.name for flag in flags(appendix_b.GLOBAL)} | set(appendix_b.VARIABLES)
    assert set(COVERED) <= known
