"""The command line as Typer knows it: error messages, and the truth from which table.py and manual_table.py are made.

Parsing only: a command line becomes a :class:`Parsed`; ``main`` runs it. The bodies of the declared functions are
empty, their signatures are the declaration. Global options are taken after the command as well as before it: each
command gets those whose names it does not use itself (``logs -f`` follows, ``up -f`` names a file).
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from compose.cli.declare import building, converge, files, look, registry, tell, watching
from compose.cli.declare.shared import shared
from compose.cli.options import Globals, Parsed, merge_globals
from compose.cli.refused import REFUSED
from compose.errors import UsageError

Declaration = Callable[..., None]

COMMANDS: dict[str, Declaration] = {
    **{
        function.__name__: function
        for function in (
            *(converge.up, converge.down, converge.create, converge.start, converge.stop, converge.restart),
            *(look.ps, look.logs, look.exec, converge.run, look.attach, converge.kill, converge.rm, converge.wait),
            *(
                converge.pause,
                converge.unpause,
                converge.scale,
                converge.plan,
                files.config,
                files.schema,
                look.cp,
                look.top,
                look.port,
            ),
            building.build,
            building.commit,
            *(tell.why, tell.completion, tell.help),
            *(registry.pull, registry.push, registry.login, registry.logout),
            watching.watch,
            *(look.images, look.ls, look.version, look.doctor, look.events, look.export, look.stats, look.volumes),
        )
    },
    "image ls": look.image_ls,
    "image build": building.image_build,
    "image pull": registry.image_pull,
    "image push": registry.image_push,
    "image save": registry.image_save,
    "image history": registry.image_history,
    "image prune": registry.image_prune,
    "image verify": registry.image_verify,
    "save": registry.image_save,
    "system df": registry.system_df,
    "builder prune": registry.builder_prune,
    "image load": look.image_load,
    "image import": look.image_import,
    "image rm": look.image_rm,
    "image inspect": look.image_inspect,
    "image tag": look.image_tag,
    "load": look.image_load,
    "import": look.image_import,
    "rmi": look.image_rm,
    "convert": files.config,
}
GROUPS = {
    "image": "The store of images: ls, pull, push, build, load, save, rm, verify ...",
    "system": "The whole: df.",
    "builder": "The build cache: prune.",
}
HIDDEN = ("convert",)
PASSES_ON = ("run", "exec")  # what follows the service belongs to the command inside


class Command(TyperCommand):
    """A command whose invocation is its parsed form."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _plain_flags(self, args, ctx.allow_interspersed_args))

    def invoke(self, ctx: Any) -> Parsed:
        known = Globals.__match_args__
        own = {option.name for option in self.params if not getattr(option, "is_shared", False)}
        values = {name: _frozen(value) for name, value in ctx.params.items() if name in own}
        after: dict[str, Any] = {n: _frozen(ctx.params[n]) for n in known if n in ctx.params and n not in own}
        name = ctx.command_path.removeprefix(f"{ctx.find_root().command_path} ")
        return Parsed(name, values, merge_globals(ctx.find_root().obj or {}, after))


class Group(TyperGroup):
    """A group that passes its own options down; the root's are the global ones."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _plain_flags(self, args, False))

    def invoke(self, ctx: Any) -> Any:
        if ctx.parent is None:
            ctx.obj = {name: _frozen(value) for name, value in ctx.params.items()}
        return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Name what docker compose has and we do not have yet."""
        if ctx.parent is None and args and args[0] in REFUSED:
            raise UsageError(f"pycompose {args[0]} is not supported yet", hint=REFUSED[args[0]])
        return super().resolve_command(ctx, args)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain_flags(command: Any, args: list[str], interspersed: bool) -> list[str]:
    """``--flag=true`` and ``--flag=false``, as Go's flags allow, in the words that click knows.

    What is an option's value, or stands behind the first argument of a command that passes the rest on, is left alone.
    """
    options = {name: option for option in command.params for name in getattr(option, "opts", ()) if name[0] == "-"}
    plain: list[str] = []
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        name, equals, value = arg.partition("=")
        option = options.get(name)
        if arg == "--" or (not interspersed and (arg[:1] != "-" or len(arg) < 2)):
            return [*plain, arg, *rest]
        if equals and getattr(option, "is_flag", False) and value.lower() in ("true", "false", "1", "0"):
            plain += _flag(option, name, value.lower() in ("true", "1"))
            continue
        plain.append(arg)
        if option is not None and not equals and not option.is_flag:
            plain += rest[:1]
            del rest[:1]
    return plain


def _flag(option: Any, name: str, value: bool) -> list[str]:
    if value:
        return [name]
    return ["--no-tty"] if option.name == "tty" else option.secondary_opts[:1]


@functools.cache
def build() -> Any:
    """The whole command tree."""
    app = typer.Typer(cls=Group, add_completion=False, no_args_is_help=True, rich_markup_mode=None)
    groups = {name: typer.Typer(cls=Group, no_args_is_help=True) for name in GROUPS}
    app.callback()(shared)
    for name, declaration in COMMANDS.items():
        parent, _, verb = name.rpartition(" ")
        settings = {"allow_interspersed_args": name not in PASSES_ON, "help_option_names": ["--help", "-h"]}
        if name == "run":
            settings["help_option_names"] = ["--help"]
        place = groups.get(parent, app)
        place.command(verb, cls=Command, context_settings=settings, hidden=name in HIDDEN)(declaration)
    for name, group in groups.items():
        app.add_typer(group, name=name, help=GROUPS[name])
    root = typer.main.get_command(app)
    for leaf in leaves(root).values():
        _add_shared(leaf, root)
    return root


def leaves(root: Any, prefix: str = "") -> dict[str, Any]:
    """All commands below a group, by full name."""
    found: dict[str, Any] = {}
    for name, command in root.commands.items():
        if hasattr(command, "commands"):
            found.update(leaves(command, f"{prefix}{name} "))
        else:
            found[f"{prefix}{name}"] = command
    return found


def _add_shared(leaf: Any, root: Any) -> None:
    taken = {name for option in leaf.params for name in (*option.opts, *option.secondary_opts)}
    owned = {option.name for option in leaf.params}
    for option in root.params:
        names = [name for name in option.opts if name not in taken]
        if option.name not in Globals.__match_args__ or option.name in owned or not names:
            continue
        late = copy.copy(option)
        late.opts = names
        late.rich_help_panel = "Global options"
        late.is_shared = True
        leaf.params.append(late)


def parse(argv: Sequence[str]) -> Parsed | int:
    """Parse with Typer. An int is an exit code: help was shown. Raises UsageError."""
    if list(argv) in (["--version"], ["-v"]):
        return Parsed("version")
    root = build()
    try:
        result = root.main(list(argv), prog_name="pycompose", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 -- Typer's own classes have moved between its releases
        raise _usage(error) from None
    return result if isinstance(result, Parsed) else int(result or 0)


def _usage(error: Exception) -> Exception:
    """Click's errors as ours; anything else as it is."""
    if not hasattr(error, "format_message"):
        return error
    message = error.format_message().strip().rstrip(".")
    message, _, guess = message.partition("\n")
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "pycompose"
    hint = f"{guess.strip()}; " if guess else ""
    return UsageError(
        f"cannot understand the command line: {message[:1].lower()}{message[1:]}", hint=f"{hint}see {path} --help"
    )
