"""``config --explain services.web.image``: which line sets a value, what it replaces, where its variables come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from compose.errors import UsageError
from compose.project import LoadOptions
from compose.record import record
from compose.spec.check import suggest
from compose.spec.history import History, Setting
from compose.spec.interpolate import InvalidTemplate, pieces
from compose.spec.pipeline import LENIENT, Loaded, load
from compose.spec.tree import Path, Reset, dotted, format_mark


@record
class Explained:
    """``value``: what it is in the end; ``settings``: the places that say so, the one that counts first."""

    path: str
    value: Any
    settings: tuple[dict[str, Any], ...]


def explain(options: LoadOptions, environ: Mapping[str, str], path: str) -> Explained:
    """Load a project and trace one path of it. Raises SpecError, and UsageError when there is nothing at the path."""
    history = History()
    loaded = load(options, environ, LENIENT, history)
    where = find_path(loaded.root, path)
    value = _at(loaded.root, where)
    settings = history.settings(history.root, where)
    mark = history.folded.get(where)
    if mark and all(mark != setting.mark for setting in settings):  # from an env_file or label_file
        settings = [Setting(mark, value), *settings]
    return Explained(dotted(where), value, tuple(_described(setting, history, loaded) for setting in settings))


def find_path(root: Mapping[str, Any], text: str) -> Path:
    """The path that a text means: ``services.web.ports[0]``; keys may hold dots. Raises UsageError."""
    node: Any = root
    path: list[str | int] = []
    rest = text
    while rest:
        rest = rest.removeprefix(".")
        key, rest = _index(node, rest) if isinstance(node, list) else _key(node, rest)
        if key is None:
            raise _nothing(node, path, text)
        path.append(key)
        node = node[key]
    return tuple(path)


def _key(node: Any, rest: str) -> tuple[str | None, str]:
    """The longest key of a mapping that the text begins with."""
    known = sorted(node, key=len, reverse=True) if isinstance(node, dict) else []
    for key in known:
        if rest == key or rest.startswith((f"{key}.", f"{key}[")):
            return key, rest[len(key) :]
    return None, rest


def _index(node: list[Any], rest: str) -> tuple[int | None, str]:
    number, _, after = rest.removeprefix("[").replace("]", ".", 1).partition(".")
    return (int(number), after) if number.isdigit() and int(number) < len(node) else (None, rest)


def _nothing(node: Any, path: list[str | int], text: str) -> UsageError:
    here = dotted(tuple(path)) or "the top"
    wrong = text[len(dotted(tuple(path))) :].lstrip(".").partition(".")[0]
    known = tuple(node) if isinstance(node, dict) else ()
    hint = suggest(wrong, known) or (f"there is: {', '.join(known)}" if known else "")
    return UsageError(f'cannot explain {text}: there is nothing called "{wrong}" below {here}', hint=hint)


def _at(root: Any, path: Path) -> Any:
    for part in path:
        root = root[part]
    return root


def _described(setting: Setting, history: History, loaded: Loaded) -> dict[str, Any]:
    line = history.line(setting.mark)
    result = {"where": format_mark(setting.mark), "text": line.strip(), "removed": isinstance(setting.value, Reset)}
    result["variables"] = [
        {"name": name, "value": loaded.place.variables(name), "from": loaded.place.variables.origin(name)}
        for name in _names(line[max(0, setting.mark[2] - 1) :])
    ]
    return result


def _names(text: str) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(name for name, _, _ in pieces(text)))
    except InvalidTemplate:
        return ()


def render_text(found: Explained) -> str:
    """For people: the value, then each place with its line, the one that counts first."""
    scalar = not isinstance(found.value, (dict, list))
    lines = [f"{found.path}: {json.dumps(found.value, ensure_ascii=False)}"]
    if not found.settings:
        lines.append("  no file says so: Compose adds it")
    width = max((len(setting["where"]) for setting in found.settings), default=0)
    for number, setting in enumerate(found.settings):
        word = "set in" if not number else "replaces" if scalar else "merged over"
        note = "  (removed by !reset)" if setting["removed"] else ""
        lines.append(f"  {word:<11} {setting['where']:<{width}}  {setting['text']}{note}")
        for variable in setting["variables"]:
            lines.append(f"      {_variable(variable)}")
    return "\n".join(lines) + "\n"


def _variable(variable: dict[str, Any]) -> str:
    if variable["value"] is None:
        return f"{variable['name']} is not set"
    return f"{variable['name']} is {json.dumps(variable['value'], ensure_ascii=False)}, from {variable['from']}"


def render_json(found: Explained) -> str:
    """The same for programs."""
    plain = {"path": found.path, "value": found.value, "settings": list(found.settings)}
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
