"""Kinds of values that hold others: lists, mappings with keys of the user's choice, and ones with known keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compose.spec.check import (
    STRINGS,
    Check,
    Kind,
    Schema,
    any_of,
    scalar_text,
    schema_of,
    text,
    wrap,
    written,
)
from compose.spec.tree import BROKEN, NOTHING, Map, Override, Path, Reset, Seq


def items_of(kind: Kind) -> Kind:
    """A list, each item of one kind."""

    @written(lambda: {"type": "array", "items": schema_of(kind)})
    def listed(value: Any, path: Path, check: Check) -> Any:
        if not isinstance(value, Seq):
            return check.wrong(path, "a list", value)
        result = Seq(value.mark)
        for index, item in enumerate(value):
            if not isinstance(item, Reset):
                result.add(wrap(kind, item, (*path, index), check), value.marks[index])
        return result

    return listed


def one_or_more(kind: Kind) -> Kind:
    """One value or a list of them; the canonical form is the list."""
    many = items_of(kind)

    @written(lambda: any_of(schema_of(kind), schema_of(many)))
    def listed(value: Any, path: Path, check: Check) -> Any:
        if isinstance(value, Seq):
            return many(value, path, check)
        if isinstance(value, Map) or value is None:
            return check.wrong(path, "text or a list", value)
        result = Seq()
        result.append(wrap(kind, value, path, check))
        return result

    return listed


texts = items_of(text)
text_list = one_or_more(text)


def dictionary(kind: Kind, *, null: bool = False, name: str = "") -> Kind:
    """A mapping with keys of the user's choice. ``null``: values may be left out. ``name``: keys are names of these."""

    @written(lambda: _mapping(kind, null, bool(name)))
    def mapped(value: Any, path: Path, check: Check) -> Any:
        if not isinstance(value, Map):
            return check.wrong(path, "a mapping", value)
        result = Map(value.mark)
        for key, item in value.items():
            if name and not _is_name(key):
                check.problem((*path, key), f'"{key}" cannot be the name of a {name}', hint=_NAME_HINT, key=True)
            kept = item is None and null
            result.put(key, None if kept else wrap(kind, item, (*path, key), check), value.marks.get(key))
        return result

    return mapped


_NAME_HINT = "use letters, digits, dots, dashes and underscores"


def _is_name(key: str) -> bool:
    return bool(key) and key.isascii() and key.replace("-", "a").replace("_", "a").replace(".", "a").isalnum()


def _mapping(kind: Kind, null: bool, named: bool) -> Schema:
    item = schema_of(kind)
    result: Schema = {"type": "object", "additionalProperties": any_of(item, {"type": "null"}) if null else item}
    return {**result, "propertyNames": {"pattern": "^[a-zA-Z0-9._-]+$"}} if named else result


def _record(fields: Mapping[str, Kind], nullable: bool) -> Schema:
    nothing: Schema = {"type": "null"}
    properties = {
        key: any_of(schema_of(kind), nothing) if nullable else schema_of(kind) for key, kind in fields.items()
    }
    extensions: Schema = {"^x-": {}}
    return {
        "type": "object",
        "properties": properties,
        "patternProperties": extensions,
        "additionalProperties": False,
    }


_PAIRS: Schema = any_of(
    {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}, STRINGS
)


TAKES_NOTHING: set[Kind] = set()  # kinds for which no value means something


def record(fields: Mapping[str, Kind], *, what: str = "a mapping", nullable: bool = False) -> Kind:
    """A mapping with known keys; ``x-`` keys are free.

    ``nullable``: attributes without a value are left for the check after merging (``null`` keeps the base's value).
    """

    @written(lambda: _record(fields, nullable))
    def checked(value: Any, path: Path, check: Check) -> Any:
        if not isinstance(value, Map):
            return check.wrong(path, what, value)
        result = Map(value.mark)
        for key, item in value.items():
            kind = fields.get(key)
            if kind is None:
                if key.startswith("x-") or isinstance(item, Reset):
                    result.take(key, value)
                else:
                    check.problem((*path, key), "unknown key", hint=check.suggest(key, tuple(fields)), key=True)
                continue
            result.put(key, _value(kind, item, (*path, key), check, nullable), value.marks.get(key))
        return result

    return checked


def _value(kind: Kind, item: Any, path: Path, check: Check, nullable: bool) -> Any:
    if item is None and kind not in TAKES_NOTHING:
        check.empty.append(path)
        return None if nullable else NOTHING
    return None if item is None and nullable else wrap(kind, item, path, check)


def pairs(null: str | None, *, keep: bool = False) -> Kind:
    """A mapping, or a list of ``KEY=value``; values are scalars and become text. ``null``: what no value means."""

    @written(lambda: _PAIRS)
    def paired(value: Any, path: Path, check: Check) -> Any:
        result = Map(getattr(value, "mark", ("", 0, 0)))
        if isinstance(value, Map):
            for key, item in value.items():
                result.put(key, _pair_value(item, (*path, key), check, null), value.marks.get(key))
        elif isinstance(value, Seq):
            for index, item in enumerate(value):
                if not isinstance(item, str):
                    check.wrong((*path, index), "text KEY=value", item)
                    continue
                key, equals, word = item.partition("=")
                result.put(key, word if equals else null, (value.marks[index], value.marks[index]))
        else:
            return check.wrong(path, "a mapping or a list of KEY=value", value)
        return result

    return paired


def _pair_value(item: Any, path: Path, check: Check, null: str | None) -> Any:
    if isinstance(item, Override):
        return Override(_pair_value(item.value, path, check, null))
    if item is None:
        return null
    if item is BROKEN or isinstance(item, (str, Reset)):
        return item
    if isinstance(item, (Map, Seq)):
        return check.wrong(path, "text, a number, true or false", item)
    return scalar_text(item, path, check)
