"""The variables that Compose files ask for, and what they say about each: ``config --variables``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compose.record import record
from compose.spec.interpolate import InvalidTemplate, pieces
from compose.spec.tree import Override


@record
class Wanted:
    """A variable of a file. ``default``: what ``:-`` and ``-`` give; ``alternate``: what ``:+`` and ``+`` give."""

    name: str
    required: bool = False
    default: str = ""
    alternate: str = ""


def wanted_variables(tree: Any) -> tuple[Wanted, ...]:
    """Every variable of a tree that was not interpolated, in its order, each once: the first that says most."""
    found: dict[str, Wanted] = {}
    for text in _texts(tree):
        for item in variables_of(text):
            known = found.get(item.name)
            if known is None or known == Wanted(item.name):
                found[item.name] = item
    return tuple(found.values())


def variables_of(text: str) -> list[Wanted]:
    """The variables of one text, also those inside defaults; text that cannot be read has none."""
    result = []
    try:
        for name, sign, word in pieces(text):
            result.append(
                Wanted(
                    name,
                    required=sign.endswith("?"),
                    default=word if sign.endswith("-") else "",
                    alternate=word if sign.endswith("+") else "",
                )
            )
            if not sign.endswith("?"):
                result += variables_of(word)
    except InvalidTemplate:
        pass
    return result


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, Override):
        node = node.value
    if isinstance(node, str):
        yield node
    elif isinstance(node, (dict, list)):
        for item in node.values() if isinstance(node, dict) else node:
            yield from _texts(item)


def render_table(variables: tuple[Wanted, ...]) -> str:
    """As docker compose prints them: four columns."""
    rows = [("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")]
    rows += [(v.name, "true" if v.required else "false", v.default, v.alternate) for v in variables]
    widths = [max(20, *(len(row[column]) + 3 for row in rows)) for column in range(3)]
    lines = ["".join(cell.ljust(width) for cell, width in zip(row, (*widths, 0))).rstrip() for row in rows]
    return "".join(f"{line}\n" for line in lines)


def render_json(variables: tuple[Wanted, ...]) -> str:
    """As docker compose prints them: an object by name."""
    import json

    plain = {
        v.name: {"Name": v.name, "DefaultValue": v.default, "PresenceValue": v.alternate, "Required": v.required}
        for v in sorted(variables, key=lambda variable: variable.name)
    }
    return json.dumps(plain, indent=4, ensure_ascii=False) + "\n"
