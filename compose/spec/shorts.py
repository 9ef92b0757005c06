"""Attributes with a short syntax: each kind takes every way of writing it and gives the long one.

Mounts and devices have theirs in storage.py.
"""

from __future__ import annotations

from typing import Any

from compose.model import units
from compose.spec import check as c
from compose.spec import compound as m
from compose.spec.check import Check
from compose.spec.tree import BROKEN, NOWHERE, Flat, Map, Mark, Path, Seq

DEFAULT_CONDITION = "service_started"
_CONDITIONS = (DEFAULT_CONDITION, "service_healthy", "service_completed_successfully")


@c.written(lambda: c.any_of({"type": ["string", "null"]}, c.STRINGS))
def words(value: Any, path: Path, check: Check) -> Any:
    """A command: nothing, text (split without a shell) or a list of text."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            parts, operator = units.split_words(value)
        except ValueError as error:
            return check.problem(path, f"expected {error}", stage=c.READ)
        if operator:
            check.warn(
                path, f'"{operator}" is passed on as it is, no shell is involved; use ["sh", "-c", "..."] for one'
            )
        result = Seq()
        result.extend(parts)
        return result
    if not isinstance(value, Seq):
        return check.wrong(path, "text or a list", value)
    return m.texts(value, path, check)


m.TAKES_NOTHING.add(words)


@c.written(lambda: c.any_of(c.STRING, c.STRINGS))
def health_test(value: Any, path: Path, check: Check) -> Any:
    """A probe: text for the shell, or a list that begins with CMD, CMD-SHELL or NONE."""
    if isinstance(value, str):
        result = Seq()
        result.extend(["NONE"] if value == "NONE" else ["CMD-SHELL", value])
        return result
    result = m.texts(value, path, check)
    if result is not BROKEN and result and result[0] not in ("CMD", "CMD-SHELL", "NONE"):
        first = c.describe(result[0])
        return check.problem(
            path, f"expected a list that begins with CMD, CMD-SHELL or NONE, not {first}", stage=c.READ
        )
    return result


def short(values: dict[str, Any], mark: Any = NOWHERE) -> Map:
    """The long form of something written short."""
    result = Map(mark)
    result.update(values)
    return result


_PORT = m.record(
    {
        "name": c.text,
        "mode": c.text,
        "host_ip": c.grammar(units.parse_host_ip, "text"),
        "target": c.limited(c.integer, 1, 65535, read=0),
        "published": c.text_of,
        "protocol": c.text,
        "app_protocol": c.text,
    },
    what="a port such as 8080:80, or a mapping",
)


@c.written(lambda: {"type": "array", "items": c.any_of(c.NUMBER, {**c.schema_of(_PORT), "required": ["target"]})})
def ports(value: Any, path: Path, check: Check) -> Any:
    """Published ports, one mapping per container port."""
    if not isinstance(value, Seq):
        return check.wrong(path, "a list", value)
    result = Seq(value.mark)
    for index, item in enumerate(value):
        found = _port(item, (*path, index), check, value.marks[index])
        result.extend(found)
        result.marks.extend([value.marks[index]] * len(found))
    return result


def _port(item: Any, path: Path, check: Check, mark: Mark) -> list[Any]:
    if check.unfilled(item):
        return [item]
    if isinstance(item, int) and not isinstance(item, bool):
        item = str(int(item))
    if isinstance(item, str):
        try:
            return _short_ports(item, mark)
        except ValueError as error:
            check.problem(path, f"expected {error}", stage=c.FILLED)
            return []
    if item is BROKEN:
        return []
    port = _PORT(item, path, check)
    if port is BROKEN:
        return []
    if "target" not in port:
        check.problem(path, "a port needs a target, the port in the container")
    port.setdefault("mode", "ingress")
    port.setdefault("protocol", "tcp")
    return [port]


def _short_ports(text: str, mark: Mark) -> list[Any]:
    """One mapping per container port. Raises ValueError with what it expects."""
    address, protocol, numbers = units.split_ports(text)
    common = {"host_ip": address} if address else {}
    common |= {"mode": "ingress", "protocol": protocol}
    result: list[Any] = []
    for target, published in numbers:
        values = {**common, "published": published, "target": target} if published else {**common, "target": target}
        result.append(Flat(values, mark) if target else short(values, mark))
    return result


_FILE_REFERENCE = m.record(
    {"source": c.text, "target": c.text, "uid": c.text_of, "gid": c.text_of, "mode": c.mode},
    what="a name, or a mapping",
)


@c.written(lambda: c.any_of(c.STRING, {**c.schema_of(_FILE_REFERENCE), "required": ["source"]}))
def file_reference(value: Any, path: Path, check: Check) -> Any:
    """The use of a secret or config by a service."""
    if isinstance(value, str):
        return short({"source": value})
    result = _FILE_REFERENCE(value, path, check)
    if result is not BROKEN and not result.get("source"):
        return check.problem(path, "needs a source, the name of a top-level secret or config")
    return result


_DEPENDENCY = m.record(
    {"condition": c.choice(*_CONDITIONS), "restart": c.flag, "required": c.flag},
    what="a mapping with a condition",
)
_DEPENDENCIES = m.dictionary(_DEPENDENCY)


@c.written(lambda: c.any_of(c.STRINGS, c.schema_of(_DEPENDENCIES)))
def depends_on(value: Any, path: Path, check: Check) -> Any:
    """Dependencies: a list of names, or a mapping name → condition."""
    if isinstance(value, Map):
        return _DEPENDENCIES(value, path, check)
    return _named(value, path, check, lambda mark: short({"condition": DEFAULT_CONDITION, "required": True}, mark))


_ATTACHMENT = m.record(
    {
        "aliases": m.texts,
        "interface_name": c.text,
        "ipv4_address": c.text,
        "ipv6_address": c.text,
        "link_local_ips": m.texts,
        "mac_address": c.text,
        "driver_opts": m.pairs(""),
        "priority": c.integer,
        "gw_priority": c.integer,
    }
)
_ATTACHMENTS = m.dictionary(_ATTACHMENT, null=True)


@c.written(lambda: c.any_of(c.STRINGS, c.schema_of(_ATTACHMENTS)))
def networks(value: Any, path: Path, check: Check) -> Any:
    """A service's networks: a list of names, or a mapping name → how to attach."""
    if isinstance(value, Map):
        return _ATTACHMENTS(value, path, check)
    return _named(value, path, check, lambda mark: None)


def _named(value: Any, path: Path, check: Check, default: Any) -> Any:
    if not isinstance(value, Seq):
        return check.wrong(path, "a list of names or a mapping", value)
    result = Map(value.mark)
    for index, name in enumerate(value):
        if c.text(name, (*path, index), check) is not BROKEN:
            result.put(name, default(value.marks[index]), (value.marks[index], value.marks[index]))
    return result


@c.written(lambda: c.any_of({"type": "object", "additionalProperties": c.any_of(c.STRING, c.STRINGS)}, c.STRINGS))
def extra_hosts(value: Any, path: Path, check: Check) -> Any:
    """Lines for /etc/hosts, as a list of ``name=address``."""
    result = Seq(getattr(value, "mark", NOWHERE))
    if isinstance(value, Map):
        for name, item in value.items():
            mark = value.marks[name][1]
            for address in item if isinstance(item, Seq) else [item]:
                if c.text(address, (*path, name), check) is not BROKEN:
                    result.add(f"{name}={_bare(address)}", mark)
        return result
    if not isinstance(value, Seq):
        return check.wrong(path, "a list of name=address or a mapping", value)
    for index, item in enumerate(value):
        if c.text(item, (*path, index), check) is BROKEN:
            continue
        name, sign, addresses = item.partition("=") if "=" in item else item.partition(":")
        if not sign or not name or not addresses:
            check.problem((*path, index), f'expected name=address, not "{item}"', stage=c.READ)
            continue
        for address in addresses.split(","):
            result.add(f"{name.strip()}={_bare(address.strip())}", value.marks[index])
    return result


def _bare(address: str) -> str:
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address


_LIMIT = m.record({"soft": c.integer, "hard": c.integer}, what="a number, or a mapping with soft and hard")


@c.written(lambda: c.any_of(c.INTEGER, {**c.schema_of(_LIMIT), "required": ["soft", "hard"]}))
def ulimit(value: Any, path: Path, check: Check) -> Any:
    """A resource limit: one number for both, or soft and hard."""
    if isinstance(value, (int, float, str)):
        return c.integer(value, path, check)
    result = _LIMIT(value, path, check)
    if result is not BROKEN and not ("soft" in result and "hard" in result):
        return check.problem(path, "a limit needs both soft and hard, or is one number")
    return short({key: result[key] for key in ("soft", "hard")}, result.mark) if isinstance(result, Map) else result


_MODEL_BINDINGS = m.dictionary(m.record({"endpoint_var": c.text, "model_var": c.text}), null=True)


@c.written(lambda: c.any_of(c.STRINGS, c.schema_of(_MODEL_BINDINGS)))
def models(value: Any, path: Path, check: Check) -> Any:
    """The models a service uses: a list of names, or a mapping name → variables to set."""
    if isinstance(value, Map):
        return _MODEL_BINDINGS(value, path, check)
    return _named(value, path, check, lambda mark: None)


_ENV_FILE = m.record({"path": c.text, "required": c.late(c.flag), "format": c.choice("raw")})


@c.written(lambda: c.any_of(c.STRING, {**c.schema_of(_ENV_FILE), "required": ["path"]}))
def _env_file(item: Any, path: Path, check: Check) -> Any:
    if isinstance(item, str):
        return short({"path": item, "required": True})
    result = _ENV_FILE(item, path, check)
    if result is not BROKEN:
        if not result.get("path"):
            return check.problem(path, "an environment file needs a path")
        result.setdefault("required", True)
    return result


_ENV_FILES = m.one_or_more(_env_file)


@c.written(lambda: c.schema_of(_ENV_FILES))
def env_file(value: Any, path: Path, check: Check) -> Any:
    """Environment files, as a list of mappings with path, required and format."""
    if isinstance(value, Map):
        return check.wrong(path, "text or a list", value)
    return _ENV_FILES(value, path, check)


_EXTERNAL = m.record({"name": c.text})
_EXTENDS = m.record({"service": c.text, "file": c.text}, what="the name of a service, or a mapping")


@c.written(lambda: c.any_of(c.FLAG, c.schema_of(_EXTERNAL)))
def external(value: Any, path: Path, check: Check) -> Any:
    """Whether a resource exists already; the old form ``{name: x}`` is folded by the resource's kind."""
    if isinstance(value, Map):
        return _EXTERNAL(value, path, check)
    return c.flag(value, path, check)


@c.written(lambda: c.any_of(c.STRING, {**c.schema_of(_EXTENDS), "required": ["service"]}))
def extends(value: Any, path: Path, check: Check) -> Any:
    """The service to extend: a name, or a mapping with service and file."""
    if isinstance(value, str):
        return short({"service": value})
    result = _EXTENDS(value, path, check)
    if result is BROKEN or result.get("service") is BROKEN:
        return BROKEN
    if not result.get("service"):
        return check.problem(path, "needs a service, the name of the one to extend")
    return result
