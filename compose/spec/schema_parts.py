"""The schema's larger parts: build, deploy, develop, health checks, hooks, device requests."""

from __future__ import annotations

from typing import Any

from compose.spec import check as c
from compose.spec import shorts as s
from compose.spec.check import Check, Kind
from compose.spec.tree import BROKEN, Map, Path, Seq

LABELS = c.pairs("")
VARIABLES = c.pairs(None)


def build(value: Any, path: Path, check: Check) -> Any:
    """How to build the image: the context, or a mapping."""
    if isinstance(value, str):
        result = Map()
        result["context"] = value
        return result
    return _BUILD(value, path, check)


def gpus(value: Any, path: Path, check: Check) -> Any:
    if value == "all":
        result, request = Seq(), Map()
        request["count"] = -1
        result.append(request)
        return result
    requests = c.items_of(_DEVICE_REQUEST)(value, path, check)
    for request in requests if isinstance(requests, Seq) else ():
        if isinstance(request, Map) and not request.keys() & {"count", "device_ids"}:
            request["count"] = -1
    return requests


def _count(value: Any, path: Path, check: Check) -> Any:
    return -1 if value == "all" else c.integer(value, path, check)


def _build_secret(value: Any, path: Path, check: Check) -> Any:
    return s.file_reference(value, path, check)


def _ssh(value: Any, path: Path, check: Check) -> Any:
    """Agents for the build, as a list of ``default`` or ``id=path``."""
    agents = c.pairs(None)(value, path, check)
    if agents is BROKEN:
        return agents
    result = Seq(agents.mark)
    result.extend(key if item is None else f"{key}={item}" for key, item in agents.items())
    return result


ULIMITS = c.dictionary(s.ulimit)
_BUILD = c.record(
    {
        "context": c.text,
        "dockerfile": c.text,
        "dockerfile_inline": c.text,
        "entitlements": c.texts,
        "args": VARIABLES,
        "ssh": _ssh,
        "labels": LABELS,
        "cache_from": c.texts,
        "cache_to": c.texts,
        "no_cache": c.flag,
        "no_cache_filter": c.text_list,
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
        "secrets": c.items_of(_build_secret),
        "tags": c.texts,
        "ulimits": ULIMITS,
        "platforms": c.texts,
    },
    what="the path of the context, or a mapping",
)
_DEVICE_REQUEST = c.record(
    {
        "capabilities": c.texts,
        "driver": c.text,
        "count": _count,
        "device_ids": c.texts,
        "options": LABELS,
    }
)
HEALTHCHECK = c.record(
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
HOOK = c.record(HOOK_FIELDS)
_UPDATE = c.record(
    {
        "parallelism": c.integer,
        "delay": c.duration,
        "failure_action": c.text,
        "monitor": c.duration,
        "max_failure_ratio": c.number,
        "order": c.choice("start-first", "stop-first"),
    }
)
_GENERIC = c.record({"discrete_resource_spec": c.record({"kind": c.text, "value": c.number})})
DEPLOY = c.record(
    {
        "mode": c.text,
        "endpoint_mode": c.text,
        "replicas": c.limited(c.integer, 0, 10_000),
        "labels": LABELS,
        "rollback_config": _UPDATE,
        "update_config": _UPDATE,
        "resources": c.record(
            {
                "limits": c.record({"cpus": c.number, "memory": c.size, "pids": c.integer}),
                "reservations": c.record(
                    {
                        "cpus": c.number,
                        "memory": c.size,
                        "generic_resources": c.items_of(_GENERIC),
                        "devices": c.items_of(_DEVICE_REQUEST),
                    }
                ),
            }
        ),
        "restart_policy": c.record(
            {
                "condition": c.choice("none", "on-failure", "any"),
                "delay": c.duration,
                "max_attempts": c.limited(c.integer, 0, 1 << 31),
                "window": c.duration,
            }
        ),
        "placement": c.record(
            {
                "constraints": c.texts,
                "preferences": c.items_of(c.record({"spread": c.text})),
                "max_replicas_per_node": c.integer,
            }
        ),
    }
)
DEVELOP = c.record(
    {
        "watch": c.items_of(
            c.record(
                {
                    "ignore": c.text_list,
                    "include": c.text_list,
                    "path": c.text,
                    "action": c.choice("rebuild", "sync", "restart", "sync+restart", "sync+exec"),
                    "target": c.text,
                    "exec": HOOK,
                    "initial_sync": c.flag,
                }
            )
        )
    }
)
