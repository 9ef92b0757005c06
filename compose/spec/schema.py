"""The Compose schema as tables: attribute → kind of value. Unknown keys are errors, ``x-`` keys are free."""

from __future__ import annotations

from typing import Any

from compose.model import units
from compose.spec import check as c
from compose.spec import compound as m
from compose.spec import schema_parts as p
from compose.spec import shorts as s
from compose.spec import storage, support
from compose.spec.check import Check, Kind
from compose.spec.tree import BROKEN, Map, Path, Seq, plant

_RESTART = c.any_of(
    {"type": "string", "pattern": r"^(no|always|unless-stopped|on-failure(:[0-9]+)?|.*\$.*)?$"}, {"const": False}
)


@c.written(lambda: _RESTART)
def restart(value: Any, path: Path, check: Check) -> Any:
    """``no``, ``always``, ``unless-stopped`` or ``on-failure[:N]``; an unquoted false is what YAML 1.1 makes of no."""
    if value is False:
        return "no"
    word, colon, count = value.partition(":") if isinstance(value, str) else ("", "", "")
    known = ("no", "always", "unless-stopped", "on-failure")
    counted = not colon or (word == "on-failure" and count.isdigit())
    if isinstance(value, str) and word in ("", *known) and counted:
        return value
    hint = check.suggest(word, known)
    text = f"expected {', '.join(known)} or on-failure:N, not {c.describe(value)}"
    if isinstance(value, str):
        return check.cannot_run(path, text, value, hint=hint)
    return check.problem(path, text, hint=hint)


@c.written(lambda: c.STRING)
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


def _null(kind: Kind) -> Kind:
    @c.written(lambda: c.any_of(c.schema_of(kind), {"type": "null"}))
    def nullable(value: Any, path: Path, check: Check) -> Any:
        return None if value is None else kind(value, path, check)

    return nullable


@c.written(lambda: c.INTEGER)
def _swappiness(value: Any, path: Path, check: Check) -> Any:
    """-1, unset, to 100; docker compose keeps it as text, as it keeps sizes."""
    result = c.late(c.limited(c.integer, -1, 100, read=-(1 << 63)))(value, path, check)
    return result if result is BROKEN else str(result)


_WEIGHT = m.items_of(m.record({"path": c.text, "weight": c.integer}))
_RATE = m.items_of(m.record({"path": c.text, "rate": c.size}))

SERVICE: dict[str, Kind] = {
    "annotations": p.LABELS,
    "attach": c.flag,
    "blkio_config": m.record(
        {
            "device_read_bps": _RATE,
            "device_read_iops": _RATE,
            "device_write_bps": _RATE,
            "device_write_iops": _RATE,
            "weight": c.limited(c.integer, 0, 1000, read=0),
            "weight_device": _WEIGHT,
        }
    ),
    "build": p.build,
    "cap_add": m.texts,
    "cap_drop": m.texts,
    "cgroup": c.choice("host", "private"),
    "cgroup_parent": c.text,
    "command": s.words,
    "configs": m.items_of(s.file_reference),
    "container_name": c.text,
    "cpu_count": c.limited(c.integer, 0, 1 << 31),
    "cpu_percent": c.limited(c.number, 0, 100),
    "cpu_period": c.integer,
    "cpu_quota": c.integer,
    "cpu_rt_period": c.integer,
    "cpu_rt_runtime": c.integer,
    "cpu_shares": c.integer,
    "cpus": c.limited(c.number, 0, 1_000_000, read=-(1 << 63)),
    "cpuset": c.text,
    "credential_spec": m.record({"config": c.text, "file": c.text, "registry": c.text}),
    "depends_on": s.depends_on,
    "deploy": p.DEPLOY,
    "develop": p.DEVELOP,
    "device_cgroup_rules": m.texts,
    "devices": m.items_of(storage.device),
    "dns": m.text_list,
    "dns_opt": m.texts,
    "dns_search": m.text_list,
    "domainname": c.text,
    "entrypoint": s.words,
    "env_file": s.env_file,
    "environment": p.VARIABLES,
    "expose": m.items_of(c.text_of),
    "extends": s.extends,
    "external_links": m.texts,
    "extra_hosts": s.extra_hosts,
    "gpus": p.gpus,
    "group_add": m.items_of(c.text_of),
    "healthcheck": p.HEALTHCHECK,
    "hostname": c.text,
    "image": c.text,
    "init": c.flag,
    "ipc": c.text,
    "isolation": c.text,
    "label_file": m.text_list,
    "labels": p.LABELS,
    "links": m.texts,
    "logging": m.record({"driver": c.text, "options": m.pairs("")}),
    "mac_address": c.text,
    "mem_limit": c.size,
    "mem_reservation": c.size,
    "mem_swappiness": _swappiness,
    "memswap_limit": c.size,
    "models": s.models,
    "network_mode": c.text,
    "networks": s.networks,
    "oom_kill_disable": c.flag,
    "oom_score_adj": c.limited(c.integer, -1000, 1000),
    "pid": c.text,
    "pids_limit": c.integer,
    "platform": c.text,
    "ports": s.ports,
    "post_start": m.items_of(p.hook),
    "pre_start": m.items_of(m.record(p.HOOK_FIELDS | {"image": c.text, "per_replica": c.flag})),
    "pre_stop": m.items_of(p.hook),
    "privileged": c.flag,
    "profiles": m.texts,
    "provider": m.record({"type": c.text, "options": p.OPTIONS}),
    "pull_policy": pull_policy,
    "pull_refresh_after": c.text,
    "read_only": c.flag,
    "restart": restart,
    "runtime": c.text,
    "scale": c.limited(c.integer, 0, 10_000, read=0),
    "secrets": m.items_of(s.file_reference),
    "security_opt": m.texts,
    "shm_size": c.size,
    "stdin_open": c.flag,
    "stop_grace_period": c.duration,
    "stop_signal": c.stop_signal,
    "storage_opt": p.LABELS,
    "sysctls": m.pairs(""),
    "tmpfs": m.text_list,
    "tty": c.flag,
    "ulimits": p.ULIMITS,
    "use_api_socket": c.flag,
    "user": c.text,
    "userns_mode": c.text,
    "uts": c.text,
    "volumes": m.items_of(storage.volume),
    "volumes_from": m.texts,
    "working_dir": c.text,
}
_POOL = m.record(
    {"subnet": c.text, "ip_range": c.text, "gateway": c.text, "aux_addresses": m.dictionary(c.text)},
)
NETWORK: dict[str, Kind] = {
    "name": c.text,
    "driver": c.text,
    "driver_opts": m.pairs(""),
    "ipam": m.record({"driver": c.text, "config": m.items_of(_POOL), "options": m.dictionary(c.text)}),
    "external": s.external,
    "internal": c.flag,
    "enable_ipv4": c.flag,
    "enable_ipv6": c.flag,
    "attachable": c.flag,
    "labels": p.LABELS,
}
VOLUME: dict[str, Kind] = {
    "name": c.text,
    "driver": c.text,
    "driver_opts": m.pairs(""),
    "external": s.external,
    "labels": p.LABELS,
}
SECRET: dict[str, Kind] = {
    "name": c.text,
    "environment": c.text,
    "file": c.text,
    "external": s.external,
    "labels": p.LABELS,
    "driver": c.text,
    "driver_opts": m.pairs(""),
    "template_driver": c.text,
}
CONFIG: dict[str, Kind] = {
    "name": c.text,
    "content": c.text,
    "environment": c.text,
    "file": c.text,
    "external": s.external,
    "labels": p.LABELS,
    "template_driver": c.text,
}
MODEL: dict[str, Kind] = {
    "name": c.text,
    "model": c.text,
    "context_size": c.integer,
    "runtime_flags": m.texts,
}
INCLUDE = m.record({"path": m.text_list, "env_file": m.text_list, "project_directory": c.text})


@c.written(lambda: {"type": "array", "items": c.any_of(c.STRING, c.schema_of(INCLUDE))})
def include(value: Any, path: Path, check: Check) -> Any:
    """Files to include, as a list of mappings."""

    def one(item: Any, where: Path, check: Check) -> Any:
        if isinstance(item, str):
            result, paths = Map(), Seq()
            paths.append(item)
            result["path"] = paths
            return result
        return INCLUDE(item, where, check)

    return m.items_of(one)(value, path, check)


TOP: dict[str, Kind] = {
    "version": c.anything,
    "name": c.text,
    "include": include,
    "services": m.dictionary(
        m.record(SERVICE, what="a mapping with an image", nullable=True), null=True, name="service"
    ),
    "networks": m.dictionary(_null(m.record(NETWORK)), null=True, name="network"),
    "volumes": m.dictionary(_null(m.record(VOLUME)), null=True, name="volume"),
    "secrets": m.dictionary(m.record(SECRET, what="a mapping with a file or environment"), name="secret"),
    "configs": m.dictionary(m.record(CONFIG, what="a mapping with a file, content or environment"), name="config"),
    "models": m.dictionary(m.record(MODEL, what="a mapping with a model"), name="model"),
}
_TOP = m.record(TOP, what="a mapping with services", nullable=True)


def check_document(root: Any, check: Check) -> Any:
    """The canonical form of one document; problems and warnings go to the check's report.

    Problems that an override may take away are not reported: they stand in the tree, see ``Late``.
    """
    result = _TOP(root, (), check)
    if check.deferred and isinstance(result, Map):
        plant(result, check.deferred)
    return result


def json_schema() -> c.Schema:
    """The JSON schema (draft 2020-12) of a Compose file, for editors: what these tables accept."""
    schema = c.schema_of(_TOP)
    schema["properties"]["version"]["deprecated"] = True
    for name, status in support.SERVICE.items():
        if status != support.DONE:
            service = schema["properties"]["services"]["anyOf"][0]["additionalProperties"]["anyOf"][0]
            service["properties"][name]["description"] = status
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Compose file",
        "description": "What pycompose reads; text may hold variables such as ${NAME:-default}.",
        **schema,
    }
