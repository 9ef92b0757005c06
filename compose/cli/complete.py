"""What may come next on a command line, for the shells: from the tables and the project's memo, nothing heavy.

``pycompose __complete SHELL WORD...`` prints a line a candidate, with a tab and an explanation; the last word is the
one to complete. ``:files`` asks the shell for file names, too. Never an error: what cannot be known is not offered.
"""

from __future__ import annotations

from compose.cli.manual_table import PAGES
from compose.cli.options import ANSI, PROGRESS, Globals
from compose.cli.table import COMMANDS, SHARED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Candidates = list[tuple[str, str]]

FILES = ":files"
WORDS = {  # values of options, by name of the value
    "ansi": ANSI,
    "progress": PROGRESS,
    "pull": ("always", "missing", "never"),
    "rmi": ("local", "all"),
    "protocol": ("tcp", "udp"),
    "status": ("created", "dead", "exited", "paused", "removing", "restarting", "running"),
    "signal": ("SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"),
}
SERVICES = ("attach", "no_attach", "exit_code_from", "scale")  # options that name services
PATHS = ("file", "env_file", "project_directory", "env_from_file", "output", "input", "man", "workdir_host")
FORMATS = {"plan": ("text", "json"), "why": ("text", "json"), "doctor": ("text", "json"), "config": ("yaml", "json")}


class Line:
    """A command line up to the word to complete: the command, its arguments so far, the global options."""

    def __init__(self, words: Sequence[str]) -> None:
        self.command = ""
        self.arguments: list[str] = []
        self.pending = ""  # the option whose value comes next
        self.closed = False  # what follows is not ours: behind "--", or behind the service of run and exec
        self.shared: dict[str, tuple[str, ...]] = {}
        for word in words:
            self._take(word)

    @property
    def options(self) -> dict[str, tuple[str, str]]:
        return {**SHARED, **COMMANDS[self.command][2]} if self.command in COMMANDS else SHARED

    def _take(self, word: str) -> None:
        if self.pending:
            self._value(self.pending, word)
            self.pending = ""
        elif self.closed:
            self.arguments.append(word)
        elif word == "--":
            self.closed = True
        elif word.startswith("-") and len(word) > 1:
            name, equals, value = word.partition("=")
            name = name if name.startswith("--") else f"-{name[-1]}"
            if self.options.get(name, ("", "flag"))[1] not in ("flag", "off"):
                self.pending = "" if equals else name
                if equals:
                    self._value(name, value)
        elif self.command in COMMANDS:
            self.arguments.append(word)
            self.closed = not COMMANDS[self.command][1]
        else:
            self.command = f"{self.command} {word}".strip()

    def _value(self, name: str, value: str) -> None:
        key = self.options[name][0]
        if name in SHARED and self.options[name] == SHARED[name]:
            self.shared[key] = (*self.shared.get(key, ()), value)

    def globals(self) -> Globals:
        """What of the global options says which project it is."""
        one = {name: self.shared[name][-1] for name in ("project_name", "project_directory") if name in self.shared}
        many = {name: self.shared[name] for name in ("file", "env_file", "profile") if name in self.shared}
        return Globals(progress="quiet", **one, **many)  # type: ignore[arg-type]  # texts and tuples, by their names


def answer(words: Sequence[str], environ: Mapping[str, str]) -> str:
    """The lines to print; ``words``: the shell's name, then those of the command line behind ``pycompose``."""
    shell, *rest = words or ("bash",)
    rest = rest or [""]
    if shell == "bash":
        rest = _rejoined(rest)
    *begun, incomplete = rest
    line = Line(begun)
    name, equals, value = incomplete.partition("=")
    if equals and name.startswith("--") and not line.pending and not line.closed:
        found = _of_value(line, name, environ)
        lead = "" if shell == "bash" else f"{name}="  # bash takes what is behind "=" for a word of its own
        return _printed([(f"{lead}{one}", text) for one, text in found if one.startswith(value)], found)
    found = _candidates(line, incomplete, environ)
    return _printed([row for row in found if row[0].startswith(incomplete)], found)


def _printed(rows: Candidates, found: Candidates) -> str:
    lines = [f"{value}\t{text}" if text else value for value, text in rows if value != FILES]
    return "".join(f"{line}\n" for line in [*lines, *([FILES] if (FILES, "") in found else [])])


def _rejoined(words: Sequence[str]) -> list[str]:
    """bash breaks words at "=" and ":"; put options and their values together again."""
    joined: list[str] = []
    for word in words:
        if joined and (word == "=" or (joined[-1].startswith("--") and joined[-1].endswith("="))):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _candidates(line: Line, incomplete: str, environ: Mapping[str, str]) -> Candidates:
    if line.pending:
        return _of_value(line, line.pending, environ)
    if incomplete.startswith("-") and not line.closed:
        return _flags(line)
    if line.command not in COMMANDS:
        return _commands(line.command)
    return _arguments(line, environ)


def _commands(begun: str) -> Candidates:
    """The commands, or the second words of a group."""
    rows: dict[str, str] = {}
    for name, (summary, *_more) in PAGES.items():
        head, _, verb = name.rpartition(" ")
        if head == begun and verb:
            rows[verb] = summary
        elif head and not begun:
            rows.setdefault(head, "The store of images")
    return list(rows.items())


def _flags(line: Line) -> Candidates:
    own = PAGES[line.command][3] if line.command in PAGES else ()
    taken = {name for names, _value, _help in own for name in names}
    options = [*own, *(one for one in PAGES[""][3] if taken.isdisjoint(one[0]))]
    rows = [(name, text) for names, _value, text in options for name in names if name.startswith("--")]
    return [*rows, ("--help", "Explain the command.")]


def _of_value(line: Line, name: str, environ: Mapping[str, str]) -> Candidates:
    """Values of an option."""
    key = line.options.get(name, ("", ""))[0]
    if key in SERVICES:
        tail = "=" if key == "scale" else ""
        return [(f"{one}{tail}", "") for one in service_names(line.globals(), environ)]
    if key == "profile":
        return [(one, "") for one in _desired(line.globals(), environ, "profiles")]
    if key == "index":
        return [(one, "") for one in container_numbers(line, environ)]
    if key == "project_name":
        return [(one, "") for one in project_names(environ)]
    if key == "format":
        return [(one, "") for one in FORMATS.get(line.command, ("table", "json"))]
    if key in WORDS:
        return [(one, "") for one in WORDS[key]]
    return [(FILES, "")] if key in PATHS or (key == "volume" and line.command == "run") else []


def _arguments(line: Line, environ: Mapping[str, str]) -> Candidates:
    """Values of the next positional argument."""
    places = COMMANDS[line.command][3]
    place = len(line.arguments)
    name = places[min(place, len(places) - 1)][0] if places else ""
    if place >= len(places) and (not places or places[-1][1] not in "*+"):
        return []
    if line.command == "scale":
        return [(f"{one}=", "") for one in service_names(line.globals(), environ)]
    if line.command == "cp":
        return [*((f"{one}:", "") for one in service_names(line.globals(), environ)), (FILES, "")]
    if name in ("service", "services"):
        parts = ("services", "disabled", *(("networks", "volumes") if line.command == "why" else ()))
        found = dict.fromkeys(name for part in parts for name in _desired(line.globals(), environ, part))
        return [(one, "") for one in found if one not in line.arguments]
    return _other_argument(line.command, name)


def _other_argument(command: str, name: str) -> Candidates:
    if command == "completion":
        return [("bash", ""), ("zsh", ""), ("fish", "")]
    if command == "help":
        from compose.cli.topics import TOPICS

        return [*_commands(""), *((topic, "") for topic in TOPICS)]
    return [(FILES, "")] if name in ("source", "context", "path") else []


# -- from the memo, and from what there is


def service_names(shared: Globals, environ: Mapping[str, str]) -> list[str]:
    """The services of the project here; none when there is no project, or it is broken."""
    return [*_desired(shared, environ, "services"), *_desired(shared, environ, "disabled")]


def _desired(shared: Globals, environ: Mapping[str, str], part: str) -> list[str]:
    from compose.cli.session import Session
    from compose.errors import ComposeError

    try:
        desired = Session(shared, environ).desired()
    except (ComposeError, OSError):
        return []
    name = "key" if part in ("networks", "volumes") else "name"
    return [getattr(one, name, one) for one in getattr(desired, part)]


def container_numbers(line: Line, environ: Mapping[str, str]) -> list[str]:
    """The numbers of the containers of this project; of one service's, when its name stands before."""
    from compose import labels
    from compose.cli.session import Session
    from compose.errors import ComposeError
    from runtime.listing import names_and_labels
    from runtime.paths import roots_from_env

    try:
        project = Session(line.globals(), environ).desired().project
        rows = [row for _name, row in names_and_labels(roots_from_env(dict(environ)))]
    except (ComposeError, OSError):
        return []
    service = line.arguments[0].partition(":")[0] if line.arguments else ""
    numbers = {
        int(row[labels.NUMBER])
        for row in rows
        if row.get(labels.PROJECT) == project
        and row.get(labels.ONEOFF) != "True"
        and service in ("", row.get(labels.SERVICE))
        and row.get(labels.NUMBER, "").isdecimal()
    }
    return [str(number) for number in sorted(numbers)]


def project_names(environ: Mapping[str, str]) -> list[str]:
    """Projects that have containers."""
    from compose import labels
    from runtime.listing import names_and_labels
    from runtime.paths import roots_from_env

    try:
        found = {row.get(labels.PROJECT, "") for _name, row in names_and_labels(roots_from_env(dict(environ)))}
    except OSError:
        return []
    return sorted(found - {""})
