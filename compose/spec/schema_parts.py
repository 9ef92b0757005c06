"""The schema's larger parts: build, deploy, develop, health checks, hooks, device requests."""

from __future__ import annotations

from typing import Any

from compose.spec import check as c
from compose.spec import compound as m
from compose.spec import shorts as s
from compose.spec.check import Check, Kind
from compose.spec.tree import BROKEN, Map, Path, Seq, Whole

LABELS = m.pairs("")
VARIABLES = m.pairs(None)


@c.written(lambda: c.any_of(c.STRING, c.schema_of(_BUILD)))
def build(value: Any, path: Path, check: Check) -> Any:
    """How to build the image: the context, or a mapping."""
    if isinstance(value, str):
        result = Map()
        result["context"] = value
        return result
    return _BUILD(value, path, check)


@c.written(lambda: c.any_of({"const": "all"}, {"type": "array", "items": c.schema_of(_DEVICE_REQUEST)}))
def gpus(value: Any, path: Path, check: Check) -> Any:
    if value == "all":
        result, request = Whole(), Map()
        request["count"] = -1
        result.append(request)
        return result
    return m.items_of(_device_request)(value, path, check)


@c.written(lambda: c.schema_of(_DEVICE_REQUEST))
def _device_request(value: Any, path: Path, check: Check) -> Any:
    """A request for devices: all of them, if neither a count nor ids are given."""
    request = _DEVICE_REQUEST(value, path, check)
    if isinstance(request, Map) and not request.keys() & {"count", "device_ids"}:
        request["count"] = -1
    return request


@c.written(lambda: c.INTEGER)
def _count(value: Any, path: Path, check: Check) -> Any:
    return -1 if value == "all" else c.late(c.integer)(value, path, check)


@c.written(lambda: c.schema_of(s.file_reference))
def _build_secret(value: Any, path: Path, check: Check) -> Any:
    return s.file_reference(value, path, check)


@c.written(lambda: c.schema_of(VARIABLES))
def _ssh(value: Any, path: Path, check: Check) -> Any:
    """Agents for the build, as a list of ``default`` or ``id=path``."""
    agents = m.pairs(None)(value, path, check)
    if agents is BROKEN:
        return agents
    result = Seq(agents.mark)
    result.extend(key if item is None else f"{key}={item}" for key, item in agents.items())
    return result


@c.written(lambda: {"type": ["string", "number", "boolean", "array"]})
def _option(value: Any, path: Path, check: Check) -> Any:
    """An option of a provider: a scalar or a list of them, as text; ``complete`` makes lists of all."""
    if not isinstance(value, Seq):
        return _option_word(value, path, check)
    return _OPTION_LIST(value, path, check)


def _option_word(value: Any, path: Path, check: Check) -> Any:
    if isinstance(value, (Map, Seq)) or value is None:
        return check.wrong(path, "text, a number, true, false or a list of those", value)
    return c.scalar_text(value, path, check)


_OPTION_LIST: Kind = m.items_of(_option_word)
OPTIONS: Kind = m.dictionary(_option)
ULIMITS = m.dictionary(s.ulimit)
_BUILD: Kind = m.record(
    {
        "context": c.text,
        "dockerfile": c.text,
        "dockerfile_inline": c.text,
        "entitlements": m.texts,
        "args": VARIABLES,
        "ssh": _ssh,
        "labels": LABELS,
        "cache_from": m.texts,
        "cache_to": m.texts,
        "no_cache": c.flag,
        "no_cache_filter": m.text_list,
        "additional_contexts": VARIABLES,
        "network": c.text,
        "provenance": c.anything,
        "sbom": c.anything,
        "pull": c.flag,
        "target": c.text,
        "shm_size": c.size,
        "extra_hosts": s.extra_hosts,
        "isolation": c.text,
        "privileged": c.flag,
        "secrets": m.items_of(_build_secret),
        "tags": m.texts,
        "ulimits": ULIMITS,
        "platforms": m.texts,
    },
    what="the path of the context, or a mapping",
)
_DEVICE_REQUEST: Kind = m.record(
    {
        "capabilities": m.texts,
        "driver": c.text,
        "count": _count,
        "device_ids": m.texts,
        "options": LABELS,
    }
)


@c.written(lambda: {**c.schema_of(_DEVICE_REQUEST), "required": ["capabilities"]})
def _reservation(value: Any, path: Path, check: Check) -> Any:
    """A request for devices; ``gpus`` may leave the capabilities out, a reservation may not."""
    result = _device_request(value, path, check)
    if isinstance(result, Map) and not result.get("capabilities"):
        return check.problem(path, "needs capabilities, as [gpu]")
    return result


HEALTHCHECK = m.record(
    {
        "disable": c.flag,
        "interval": c.duration,
        "retries": c.limited(c.integer, 0, 1 << 31),
        "test": s.health_test,
        "timeout": c.duration,
        "start_period": c.duration,
        "start_interval": c.duration,
    }
)
HOOK_FIELDS: dict[str, Kind] = {
    "command": s.words,
    "user": c.text,
    "privileged": c.flag,
    "working_dir": c.text,
    "environment": VARIABLES,
}
HOOK = m.record(HOOK_FIELDS)


@c.written(lambda: {**c.schema_of(HOOK), "required": ["command"]})
def hook(value: Any, path: Path, check: Check) -> Any:
    """A command that is run in a service's container at some moment of its life."""
    result = HOOK(value, path, check)
    if isinstance(result, Map) and not result.get("command"):
        text = "a hook needs a command"
        return check.cannot_run(path, text, result) if "command" in result else check.problem(path, text)
    return result


_UPDATE = m.record(
    {
        "parallelism": c.integer,
        "delay": c.duration,
        "failure_action": c.text,
        "monitor": c.duration,
        "max_failure_ratio": c.number,
        "order": c.choice("start-first", "stop-first"),
    }
)
_GENERIC = m.record({"discrete_resource_spec": m.record({"kind": c.text, "value": c.number})})
DEPLOY = m.record(
    {
        "mode": c.text,
        "endpoint_mode": c.text,
        "replicas": c.limited(c.integer, 0, 10_000, read=0),
        "labels": LABELS,
        "rollback_config": _UPDATE,
        "update_config": _UPDATE,
        "resources": m.record(
            {
                "limits": m.record({"cpus": c.number, "memory": c.size, "pids": c.integer}),
                "reservations": m.record(
                    {
                        "cpus": c.number,
                        "memory": c.size,
                        "generic_resources": m.items_of(_GENERIC),
                        "devices": m.items_of(_reservation),
                    }
                ),
            }
        ),
        "restart_policy": m.record(
            {
                "condition": c.choice("none", "on-failure", "any", strict=False),
                "delay": c.duration,
                "max_attempts": c.limited(c.integer, 0, 1 << 31),
                "window": c.duration,
            }
        ),
        "placement": m.record(
            {
                "constraints": m.texts,
                "preferences": m.items_of(m.record({"spread": c.text})),
                "max_replicas_per_node": c.integer,
            }
        ),
    }
)
_RULE: Kind = m.record(
    {
        "ignore": m.text_list,
        "include": m.text_list,
        "path": c.text,
        "action": c.choice("rebuild", "sync", "restart", "sync+restart", "sync+exec"),
        "target": c.text,
        "exec": HOOK,
        "initial_sync": c.flag,
    }
)


_NEEDS_TARGET = ("sync", "sync+restart", "sync+exec")


@c.written(lambda: {**c.schema_of(_RULE), "required": ["path", "action"]})
def _rule(value: Any, path: Path, check: Check) -> Any:
    """What to do when something changes; ``exec: {command: null}``, as docker compose prints it, is no hook."""
    result = _RULE(value, path, check)
    for key in ("path", "action") if isinstance(result, Map) else ():
        if not result.get(key):
            return check.problem(path, f"a rule needs {'an action' if key == 'action' else 'a path'}")
    hook = result.get("exec") if isinstance(result, Map) else None
    if isinstance(hook, Map) and not any(hook.values()):
        del result["exec"]
    if isinstance(result, Map) and not result.get("target") and result["action"] in _NEEDS_TARGET:
        return check.problem(path, f"{result['action']} needs a target, the path in the container")
    return result


DEVELOP = m.record({"watch": m.items_of(_rule)})
