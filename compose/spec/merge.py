"""How an override file changes what is there: a table from path to merge function, on canonical trees.

Mappings merge key by key, scalars are replaced, lists are joined; the table has the exceptions. ``null`` in the
override keeps the base's value, except where docker compose lets it win (command, entrypoint). ``!reset`` removes,
``!override`` replaces. Nothing is changed in place: both trees stay as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from compose.errors import SpecError
from compose.spec.tree import NOTHING, Broken, Flat, Late, Map, Mark, Override, Reset, Seq, Whole, format_mark

Key = Callable[[Any], Hashable]

# Paths whose keys are the user's names: the pattern of what is below is "*".
_NAMED = frozenset(
    [
        "services",
        "networks",
        "volumes",
        "secrets",
        "configs",
        "models",
        "services.*.networks",
        "services.*.models",
        "services.*.depends_on",
        "services.*.ulimits",
    ]
)
_REPLACED = frozenset(
    [
        "services.*.command",
        "services.*.entrypoint",
        "services.*.healthcheck.test",
        "services.*.ulimits.*",
        "services.*.extends",
    ]
)
_NULL_WINS = frozenset(["services.*.command", "services.*.entrypoint"])
_NULL_VALUES = frozenset(["services.*.environment", "services.*.build.args"])


def _port_key(port: Any) -> Hashable:
    return (port.get("host_ip", ""), port.get("published", ""), port.get("target"), port.get("protocol"))


def _reference_key(default: str) -> Key:
    return lambda item: item.get("target") or f"{default}{item.get('source')}"


def _secret_key(item: Any) -> Hashable:
    target = str(item.get("target") or item.get("source"))
    return target if target.startswith("/") else f"/run/secrets/{target}"


def _same(item: Any) -> Hashable:
    return str(item)


def _before_equals(item: Any) -> Hashable:
    return str(item).partition("=")[0]


_KEYS: dict[str, Key] = {
    "services.*.ports": _port_key,
    "services.*.volumes": lambda item: item.get("target"),
    "services.*.secrets": _secret_key,
    "services.*.configs": _reference_key("/"),
    "services.*.devices": lambda item: item.get("target"),
    "services.*.env_file": lambda item: item.get("path"),
    "networks.*.ipam.config": lambda item: item.get("subnet"),
    **dict.fromkeys(
        (
            f"services.*.{name}"
            for name in ["extra_hosts", "expose", "cap_add", "cap_drop", "links", "profiles", "label_file"]
        ),
        _same,
    ),
    **dict.fromkeys((f"services.*.{name}" for name in ["tmpfs", "dns", "dns_opt", "dns_search"]), _before_equals),
    "services.*.build.tags": _same,
    "services.*.build.extra_hosts": _same,
    "services.*.networks.*.aliases": _same,
    "services.*.networks.*.link_local_ips": _same,
}
_MERGED_ITEMS = frozenset(["networks.*.ipam.config"])


def merge_documents(base: Map, over: Map) -> Map:
    """The base with the override on top; either may hold ``!reset`` and ``!override``. The result holds none."""
    return _merge_maps(base, over, "")


def merge_services(base: Map, over: Map) -> Map:
    """Like merge_documents, for one service (``extends``)."""
    over_gpus, base_gpus = over.get("gpus"), base.get("gpus")
    if isinstance(over_gpus, Whole) and isinstance(base_gpus, Whole):  # both still one word: it is replaced
        over = over.with_value("gpus", Override(over_gpus))
    return _merge_maps(base, over, "services.*")


def unique(root: Map) -> Map:
    """A tree with lists made unique and without tags: the merge of nothing with it."""
    return _merge_maps(Map(root.mark), root, "")


def _merge_maps(base: Map, over: Map, pattern: str) -> Map:
    result = Map(base.mark if base.mark[1] else over.mark)
    for key in base:
        result.take(key, base)
    for key, value in over.items():
        child = f"{pattern}.*" if pattern in _NAMED else f"{pattern}.{key}" if pattern else key
        if isinstance(value, Reset):
            result.pop(key, None)
        elif isinstance(value, Override):
            result.put(key, _clean(value.value, child), over.marks.get(key))
        elif key in base and (value is NOTHING or (value is None and not _null_counts(child, pattern))):
            continue
        elif base.get(key) is None or base[key] is NOTHING or value is None:
            result.put(key, _clean(value, child), over.marks.get(key))
        else:
            if _unmergeable(base[key], value, child):
                result.put(key, _refusal(over, key), over.marks.get(key))
                continue
            merged = _merge_values(base[key], value, child)
            result.put(key, merged, result.marks.get(key) if isinstance(value, Map) else over.marks.get(key))
    return result


def _unmergeable(base: Any, over: Any, pattern: str) -> bool:
    """Whether docker compose would say "cannot override": no list or mapping takes a value of another kind."""
    if pattern in _REPLACED:
        return False
    if isinstance(over, Whole):
        return not isinstance(base, Broken)
    kind = Map if isinstance(base, Map) else Seq if isinstance(base, Seq) else object
    return not isinstance(over, (kind, Broken))


def _refusal(over: Map, key: str) -> Late:
    where = format_mark(over.marks[key][1]) if key in over.marks else ""
    return Late(SpecError("cannot be merged with what is there", hint="replace it with !override", where=where))


def _null_counts(child: str, pattern: str) -> bool:
    """Whether ``null`` in an override replaces what is there."""
    return child in _NULL_WINS or pattern in _NULL_VALUES


def _merge_values(base: Any, over: Any, pattern: str) -> Any:
    if pattern in _REPLACED or isinstance(base, Broken) or isinstance(over, Broken):
        return _clean(over, pattern)
    if pattern == "services.*.logging" and isinstance(base, Map) and isinstance(over, Map):
        drivers = {base.get("driver"), over.get("driver")} - {None}
        return _merge_maps(base, over, pattern) if len(drivers) < 2 else _clean(over, pattern)
    if isinstance(base, Map) and isinstance(over, Map):
        return _merge_maps(base, over, pattern)
    if isinstance(base, Seq) and isinstance(over, Seq):
        return _merge_lists(base, over, pattern)
    return _clean(over, pattern)


def _merge_lists(base: Seq, over: Seq, pattern: str) -> Seq:
    key = _KEYS.get(pattern)
    places: dict[Hashable, int] = {}
    result = Seq(base.mark if base.mark[1] else over.mark)
    for item, mark in [*_marked(base), *_marked(over)]:
        name = _name_of(item, key)
        if name in places and name is not None:
            place = places[name]
            merges = pattern in _MERGED_ITEMS and isinstance(item, Map)
            result[place] = _merge_maps(result[place], item, pattern) if merges else item
            result.marks[place] = mark
            continue
        if name is not None:
            places[name] = len(result)
        result.add(_clean(item, ""), mark)
    return result


def _name_of(item: Any, key: Key | None) -> Hashable:
    """What an item of a list is known by; None if two of them are never the same."""
    if key is None or isinstance(item, Broken):
        return None
    mapping = isinstance(item, Map)
    return key(item) if mapping or key in (_same, _before_equals) else str(item)  # text with a variable left in it


def _marked(items: Seq) -> list[tuple[Any, Mark]]:
    padding = [items.mark] * (len(items) - len(items.marks))
    return list(zip(items, items.marks + padding))


def _clean(value: Any, pattern: str) -> Any:
    """A value without tags and with lists made unique, as if merged into nothing."""
    if isinstance(value, Override):
        return _clean(value.value, pattern)
    if isinstance(value, Flat):
        return value
    if isinstance(value, Map):
        return _merge_maps(Map(value.mark), value, pattern)
    if isinstance(value, Seq):
        return _merge_lists(Seq(value.mark), value, pattern)
    return value
