"""The Compose schema as tables: attribute → kind of value. Unknown keys are errors, ``x-`` keys are free."""

from __future__ import annotations

from typing import Any

from compose.model import units
from compose.spec import check as c
from compose.spec import shorts as s
from compose.spec.check import Check, Kind
from compose.spec.tree import BROKEN, Map, Path, Seq

LABELS = c.pairs("")
VARIABLES = c.pairs(None)


def restart(value: Any, path: Path, check: Check) -> Any:
    """``no``, ``always``, ``unless-stopped`` or ``on-failure[:N]``; an unquoted false is what YAML 1.1 makes of no."""
    if value is False:
        return "no"
    word, colon, count = value.partition(":") if isinstance(value, str) else ("", "", "")
    known = ("no", "always", "unless-stopped", "on-failure")
    counted = not colon or (word == "on-failure" and count.isdigit())
    if isinstance(value, str) and word in ("", *known) and counted:
        return value
    hint = c.suggest(word, known)
    return check.problem(path, f"expected {', '.join(known)} or on-failure:N, not {c.describe(value)}", hint=hint)


def pull_policy(value: Any, path: Path, check: Check) -> Any:
    if value == "if_not_present":
        return "missing"
    if isinstance(value, str) and value.startswith("every_"):
        try:
            units.parse_duration(value.removeprefix("every_"))
        except ValueError as error:
            return check.problem(path, f"expected {error}")
        return value
    return c.choice("always", "never", "missing", "build", "daily", "weekly", "refresh", "if_not_present")(
        value, path, check
    )


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


def _null(kind: Kind) -> Kind:
    return lambda value, path, check: None if value is None else kind(value, path, check)


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


def _swappiness(value: Any, path: Path, check: Check) -> Any:
    """0 to 100; docker compose keeps it as text, as it keeps sizes."""
    result = c.limited(c.integer, 0, 100)(value, path, check)
    return result if result is BROKEN else str(result)


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
_HOOK: dict[str, Kind] = {
    "command": s.words,
    "user": c.text,
    "privileged": c.flag,
    "working_dir": c.text,
    "environment": VARIABLES,
}
HOOK = c.record(_HOOK)
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
_WEIGHT = c.items_of(c.record({"path": c.text, "weight": c.integer}))
_RATE = c.items_of(c.record({"path": c.text, "rate": c.size}))

SERVICE: dict[str, Kind] = {
    "annotations": LABELS,
    "attach": c.flag,
    "blkio_config": c.record(
        {
            "device_read_bps": _RATE,
            "device_read_iops": _RATE,
            "device_write_bps": _RATE,
            "device_write_iops": _RATE,
            "weight": c.limited(c.integer, 0, 1000),
            "weight_device": _WEIGHT,
        }
    ),
    "build": build,
    "cap_add": c.texts,
    "cap_drop": c.texts,
    "cgroup": c.choice("host", "private"),
    "cgroup_parent": c.text,
    "command": s.words,
    "configs": c.items_of(s.file_reference),
    "container_name": c.text,
    "cpu_count": c.limited(c.integer, 0, 1 << 31),
    "cpu_percent": c.limited(c.number, 0, 100),
    "cpu_period": c.integer,
    "cpu_quota": c.integer,
    "cpu_rt_period": c.integer,
    "cpu_rt_runtime": c.integer,
    "cpu_shares": c.integer,
    "cpus": c.limited(c.number, 0, 1_000_000),
    "cpuset": c.text,
    "credential_spec": c.record({"config": c.text, "file": c.text, "registry": c.text}),
    "depends_on": s.depends_on,
    "deploy": DEPLOY,
    "develop": DEVELOP,
    "device_cgroup_rules": c.texts,
    "devices": c.items_of(s.device),
    "dns": c.text_list,
    "dns_opt": c.texts,
    "dns_search": c.text_list,
    "domainname": c.text,
    "entrypoint": s.words,
    "env_file": s.env_file,
    "environment": VARIABLES,
    "expose": c.items_of(c.text_of),
    "extends": s.extends,
    "external_links": c.texts,
    "extra_hosts": s.extra_hosts,
    "gpus": gpus,
    "group_add": c.items_of(c.text_of),
    "healthcheck": HEALTHCHECK,
    "hostname": c.text,
    "image": c.text,
    "init": c.flag,
    "ipc": c.text,
    "isolation": c.text,
    "label_file": c.text_list,
    "labels": LABELS,
    "links": c.texts,
    "logging": c.record({"driver": c.text, "options": c.pairs("")}),
    "mac_address": c.text,
    "mem_limit": c.size,
    "mem_reservation": c.size,
    "mem_swappiness": _swappiness,
    "memswap_limit": c.size,
    "models": c.anything,
    "network_mode": c.text,
    "networks": s.networks,
    "oom_kill_disable": c.flag,
    "oom_score_adj": c.limited(c.integer, -1000, 1000),
    "pid": c.text,
    "pids_limit": c.integer,
    "platform": c.text,
    "ports": s.ports,
    "post_start": c.items_of(HOOK),
    "pre_start": c.items_of(c.record(_HOOK | {"image": c.text, "per_replica": c.flag})),
    "pre_stop": c.items_of(HOOK),
    "privileged": c.flag,
    "profiles": c.texts,
    "provider": c.record({"type": c.text, "options": c.dictionary(c.anything)}),
    "pull_policy": pull_policy,
    "pull_refresh_after": c.text,
    "read_only": c.flag,
    "restart": restart,
    "runtime": c.text,
    "scale": c.limited(c.integer, 0, 10_000),
    "secrets": c.items_of(s.file_reference),
    "security_opt": c.texts,
    "shm_size": c.size,
    "stdin_open": c.flag,
    "stop_grace_period": c.duration,
    "stop_signal": c.text,
    "storage_opt": LABELS,
    "sysctls": c.pairs(""),
    "tmpfs": c.text_list,
    "tty": c.flag,
    "ulimits": ULIMITS,
    "use_api_socket": c.flag,
    "user": c.text,
    "userns_mode": c.text,
    "uts": c.text,
    "volumes": c.items_of(s.volume),
    "volumes_from": c.texts,
    "working_dir": c.text,
}
_POOL = c.record(
    {"subnet": c.text, "ip_range": c.text, "gateway": c.text, "aux_addresses": c.dictionary(c.text)},
)
NETWORK: dict[str, Kind] = {
    "name": c.text,
    "driver": c.text,
    "driver_opts": c.pairs(""),
    "ipam": c.record({"driver": c.text, "config": c.items_of(_POOL), "options": c.pairs("")}),
    "external": s.external,
    "internal": c.flag,
    "enable_ipv4": c.flag,
    "enable_ipv6": c.flag,
    "attachable": c.flag,
    "labels": LABELS,
}
VOLUME: dict[str, Kind] = {
    "name": c.text,
    "driver": c.text,
    "driver_opts": c.pairs(""),
    "external": s.external,
    "labels": LABELS,
}
SECRET: dict[str, Kind] = {
    "name": c.text,
    "environment": c.text,
    "file": c.text,
    "external": s.external,
    "labels": LABELS,
    "driver": c.text,
    "driver_opts": c.pairs(""),
    "template_driver": c.text,
}
CONFIG: dict[str, Kind] = {
    "name": c.text,
    "content": c.text,
    "environment": c.text,
    "file": c.text,
    "external": s.external,
    "labels": LABELS,
    "template_driver": c.text,
}
INCLUDE = c.record({"path": c.text_list, "env_file": c.text_list, "project_directory": c.text})


def include(value: Any, path: Path, check: Check) -> Any:
    """Files to include, as a list of mappings."""

    def one(item: Any, where: Path, check: Check) -> Any:
        if isinstance(item, str):
            result, paths = Map(), Seq()
            paths.append(item)
            result["path"] = paths
            return result
        return INCLUDE(item, where, check)

    return c.items_of(one)(value, path, check)


TOP: dict[str, Kind] = {
    "version": c.anything,
    "name": c.text,
    "include": include,
    "services": c.dictionary(c.record(SERVICE, what="a mapping with an image", nullable=True), name="service"),
    "networks": c.dictionary(_null(c.record(NETWORK)), null=True, name="network"),
    "volumes": c.dictionary(_null(c.record(VOLUME)), null=True, name="volume"),
    "secrets": c.dictionary(c.record(SECRET, what="a mapping with a file or environment"), name="secret"),
    "configs": c.dictionary(c.record(CONFIG, what="a mapping with a file, content or environment"), name="config"),
    "models": c.anything,
}
_TOP = c.record(TOP, what="a mapping with services", nullable=True)


def check_document(root: Any, check: Check) -> Any:
    """The canonical form of one document; problems and warnings go to the check's report."""
    return _TOP(root, (), check)
