"""Help texts and man pages, from manual_table.py: what Typer would print, in a tenth of its time."""

from __future__ import annotations

from compose.cli.manual_table import PAGES
from compose.cli.table import COMMANDS, SHARED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from compose.cli.manual_table import Option

GROUPS = (
    ("Run", ("up", "down", "create", "start", "stop", "restart", "kill", "rm", "pause", "unpause", "scale", "wait")),
    ("Look", ("ps", "logs", "top", "stats", "port", "images", "volumes", "events", "ls")),
    ("Inside", ("exec", "run", "attach", "cp", "export", "commit")),
    ("Explain", ("plan", "why", "config", "schema", "doctor", "help", "version", "completion")),
)
OTHERS = "Images and the rest"
SHOWN_SHARED = 28  # columns for the names of options


def topic_of(words: Sequence[str]) -> str | None:
    """The command whose ``--help`` a command line asks for, "" for the program's own; None when it asks for none.

    What follows the service of ``run`` and ``exec`` is not ours, nor is the value of an option.
    """
    rest, command = list(words), ""
    options = SHARED
    while rest:
        word = rest.pop(0)
        if word == "--help" or (word == "-h" and "-h" not in options):
            return command
        if word == "--":
            return None
        if word.startswith("-") and len(word) > 1:
            if _takes_value(word, options) and rest:
                rest.pop(0)
        elif not command:
            command = f"{word} {rest.pop(0)}" if rest and f"{word} {rest[0]}" in COMMANDS else word
            if command not in COMMANDS:
                return None
            options = {**SHARED, **COMMANDS[command][2]}
        elif not COMMANDS[command][1]:
            return None
    return None


def _takes_value(word: str, options: dict[str, tuple[str, str]]) -> bool:
    name = word if word.startswith("--") else f"-{word[-1]}"
    return "=" not in word and name in options and options[name][1] not in ("flag", "off")


# -- help


def overview() -> str:
    """``pycompose help``: all commands in groups, then the options that all take."""
    placed = {name for _title, names in GROUPS for name in names}
    groups = [*GROUPS, (OTHERS, tuple(name for name in PAGES if name and name not in placed))]
    text = "Usage: pycompose [OPTIONS] COMMAND [ARGUMENTS]\n\n  Run Compose applications without Docker.\n"
    for title, names in groups:
        text += f"\n{title}:\n" + "".join(_row(name, PAGES[name][0], 14) for name in names if name in PAGES)
    text += "\nOptions, before the command or after it:\n" + _options(PAGES[""][3])
    return text + "\nTopics: pycompose help first-steps, environment, exit-codes, progress.\n"


def page(command: str) -> str:
    """``pycompose help COMMAND``, ``pycompose COMMAND --help``."""
    summary, more, arguments, options = PAGES[command]
    usage = " ".join(["pycompose", command, "[OPTIONS]", *(name for name, _help in arguments)])
    text = f"Usage: {usage}\n\n  {summary}\n"
    if more:
        text += "\n" + "".join(f"  {line}\n" for line in wrapped(more, 98))
    if arguments:
        text += "\nArguments:\n" + "".join(_row(name, words, SHOWN_SHARED) for name, words in arguments)
    if options:
        text += "\nOptions:\n" + _options(options)
    return text + "\nOptions of all commands (-f, -p, --profile, --progress ...): pycompose help\n"


def _options(options: Iterable[Option]) -> str:
    return "".join(_row(_names(one), one[2], SHOWN_SHARED) for one in options)


def _names(option: Option) -> str:
    """``-d, --detach``; ``    --scale SERVICE=N``."""
    names, value, _help = option
    text = ", ".join(names)
    text = text if len(names[0]) == 2 else f"    {text}"
    return f"{text} {value}" if value else text


def _row(name: str, text: str, width: int) -> str:
    lines = wrapped(text, 96 - width) or [""]
    head = f"  {name.ljust(width)}  " if len(name) <= width else f"  {name}\n{' ' * (width + 4)}"
    return f"{head}{lines[0]}".rstrip() + "\n" + "".join(f"{' ' * (width + 4)}{line}\n" for line in lines[1:])


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` columns, broken between words."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


# -- man pages (man(7))


def man_pages() -> dict[str, str]:
    """File name → text: pycompose.1 and one for each command."""
    pages = {"pycompose.1": _man_root()}
    for name in PAGES:
        if name:
            pages[f"pycompose-{name.replace(' ', '-')}.1"] = _man(name)
    return pages


def _man_root() -> str:
    commands = "".join(f".TP\n.B {_roff(name)}\n{_roff(PAGES[name][0])}\n" for name in PAGES if name)
    return (
        _man_head("pycompose", "run Compose applications without Docker")
        + ".SH SYNOPSIS\n.B pycompose\n[OPTIONS] COMMAND [ARGUMENTS]\n"
        + f".SH COMMANDS\n{commands}.SH OPTIONS\nThey may stand before the command or after it.\n"
        + _man_options(PAGES[""][3])
        + _man_topics()
    )


def _man(name: str) -> str:
    summary, more, arguments, options = PAGES[name]
    title = f"pycompose-{name.replace(' ', '-')}"
    text = _man_head(title, summary[:1].lower() + summary[1:].rstrip("."))
    text += f".SH SYNOPSIS\n.B pycompose {_roff(name)}\n[OPTIONS] {_roff(' '.join(one for one, _help in arguments))}\n"
    text += f".SH DESCRIPTION\n{_roff(summary)}\n"
    text += f".PP\n{_roff(more)}\n" if more else ""
    text += "".join(f".TP\n.I {_roff(one)}\n{_roff(words)}\n" for one, words in arguments)
    text += f".SH OPTIONS\n{_man_options(options)}" if options else ""
    return f"{text}.SH SEE ALSO\n.BR pycompose (1)\n"


def _man_head(title: str, summary: str) -> str:
    return f'.TH {title.upper()} 1 "" pycompose "pycompose manual"\n.SH NAME\n{_roff(title)} \\- {_roff(summary)}\n'


def _man_options(options: Iterable[Option]) -> str:
    text = ""
    for names, value, words in options:
        head = ", ".join(f"\\fB{_roff(name)}\\fR" for name in names)
        text += f".TP\n{head}{f' {chr(92)}fI{_roff(value)}{chr(92)}fR' if value else ''}\n{_roff(words)}\n"
    return text


def _man_topics() -> str:
    from compose.cli.topics import TOPICS

    return "".join(f".SH {title.upper()}\n.nf\n{_roff(text)}\n.fi\n" for title, text in TOPICS.items())


def _roff(text: str) -> str:
    """Text for roff: no escapes, no hyphenated options, no line that is taken for a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line[:1] in (".", "'") else line for line in escaped.split("\n"))
