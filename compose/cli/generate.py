"""Writes table.py and manual_table.py from the Typer declarations: ``python -m compose.cli.generate``.

A test compares them with what is in the repository.
"""

from __future__ import annotations

import inspect
import os
import typing
from pprint import pformat
from typing import Any

from compose.cli.app import COMMANDS, HIDDEN, PASSES_ON, build, leaves
from compose.cli.declare.shared import shared

TARGET = os.path.join(os.path.dirname(__file__), "table.py")
MANUAL = os.path.join(os.path.dirname(__file__), "manual_table.py")
KINDS: dict[Any, str] = {
    bool: "flag",
    bool | None: "flag",
    str: "str",
    str | None: "str",
    int: "int",
    int | None: "int",
    list[str]: "list",
}
HEAD = '''"""What the fast parser knows of each command; compose.cli.generate writes it from the Typer declarations."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.options import Value

    Options = dict[str, tuple[str, str]]
    Entry = tuple[str, bool, Options, tuple[tuple[str, str], ...], dict[str, Value]]

# fmt: off
# (module under compose.cli.commands, options after which arguments may follow, options, arguments, defaults)
# option: name on the command line -> (name of the value, kind); kind "off" sets a flag to False
# argument: (name, "1" exactly one, "?" perhaps one, "*" any number, "+" at least one)

'''

MANUAL_HEAD = '''"""What help, man pages and completion say of each command; written by compose.cli.generate."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    Option = tuple[tuple[str, ...], str, str]
    Page = tuple[str, str, tuple[tuple[str, str], ...], tuple[Option, ...]]

# fmt: off
# (summary, further text, arguments: (as usage shows it, help), options: (names, name of the value, help))
# the page "" is the program's own, with the options that every command takes

'''


def manual() -> str:
    """The text of manual_table.py."""
    root = build()
    found = leaves(root)
    pages = {"": _page(root)} | {name: _page(found[name]) for name in COMMANDS if name not in HIDDEN}
    return f"{MANUAL_HEAD}PAGES: dict[str, Page] = {pformat(pages, width=110, sort_dicts=False)}\n"


def _page(command: Any) -> tuple[Any, ...]:
    own = [one for one in command.params if not getattr(one, "is_shared", False) and not getattr(one, "hidden", False)]
    summary, _, more = inspect.cleandoc(command.help or "").partition("\n")
    arguments = tuple((_usage(one), one.help or "") for one in own if one.param_type_name == "argument")
    options = tuple(
        (
            _short_first(*one.opts, *one.secondary_opts),
            "" if one.is_flag else one.metavar or "VALUE",
            one.help,
        )
        for one in own
        if one.param_type_name == "option" and one.name != "help"
    )
    return summary, " ".join(more.split()), arguments, options


def _short_first(*names: str) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: len(name) != 2))


def _usage(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return str(name if argument.required or name.startswith("[") else f"[{name}]")


def table() -> str:
    """The text of table.py."""
    root = build()
    found = leaves(root)
    entries = {name: _entry(name, found[name]) for name in sorted(COMMANDS)}
    shared_options = _options(root.params, _kinds(shared))
    text = f"SHARED: Options = {pformat(shared_options, width=110, sort_dicts=True)}\n"
    text += f"\nSHARED_DEFAULTS: dict[str, Value] = {pformat(_defaults(shared), width=110)}\n"
    text += f"\nCOMMANDS: dict[str, Entry] = {pformat(entries, width=110, sort_dicts=True)}\n"
    return HEAD + text


def _entry(name: str, command: Any) -> tuple[Any, ...]:
    declaration = COMMANDS[name]
    own = [option for option in command.params if not getattr(option, "is_shared", False)]
    kinds = _kinds(declaration)
    arguments = tuple(
        (option.name, _arity(kinds[option.name], option.required))
        for option in own
        if option.param_type_name == "argument"
    )
    options = _options([option for option in own if option.param_type_name == "option"], kinds)
    return declaration.__name__, name not in PASSES_ON, options, arguments, _defaults(declaration)


def _arity(kind: str, required: bool) -> str:
    if kind == "list":
        return "+" if required else "*"
    return "1" if required else "?"


def _kinds(declaration: Any) -> dict[str, str]:
    hints = typing.get_type_hints(declaration)
    return {name: KINDS[hint] for name, hint in hints.items() if name != "return"}


def _options(params: list[Any], kinds: dict[str, str]) -> dict[str, tuple[str, str]]:
    options = {}
    for option in params:
        if option.name in kinds:
            options.update({name: (option.name, kinds[option.name]) for name in option.opts})
            options.update({name: (option.name, "off") for name in option.secondary_opts})
    return options


def _defaults(declaration: Any) -> dict[str, Any]:
    defaults = {}
    for name, parameter in inspect.signature(declaration).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            default = parameter.default
            defaults[name] = tuple(default) if isinstance(default, list) else default
    return defaults


if __name__ == "__main__":
    for target, text in ((TARGET, table()), (MANUAL, manual())):
        with open(target, "w") as file:
            file.write(text)
