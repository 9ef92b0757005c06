"""What is done with each attribute; ``docs/spec-support.md`` is this table as text."""

from __future__ import annotations

from compose.spec.support_notes import PROOFS, WHY

DONE = "done"
NO_EFFECT = "no effect, as in docker compose"
REFUSED = "refused at up"

_DONE = """
    attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_period
    cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset depends_on deploy develop device_cgroup_rules
    devices dns dns_opt dns_search domainname entrypoint env_file environment expose extends external_links
    extra_hosts gpus group_add healthcheck hostname image init ipc isolation label_file labels links logging
    mac_address mem_limit mem_reservation mem_swappiness memswap_limit network_mode networks oom_kill_disable
    oom_score_adj pid pids_limit platform ports post_start pre_start pre_stop privileged profiles provider pull_policy
    read_only restart runtime scale secrets security_opt shm_size stdin_open stop_grace_period stop_signal sysctls
    tmpfs tty ulimits user userns_mode uts volumes volumes_from working_dir
"""
_NO_EFFECT = "annotations cpu_count cpu_percent pull_refresh_after"
_REFUSED = "credential_spec models storage_opt use_api_socket"

SERVICE: dict[str, str] = {
    **dict.fromkeys(_DONE.split(), DONE),
    **dict.fromkeys(_NO_EFFECT.split(), NO_EFFECT),
    **dict.fromkeys(_REFUSED.split(), REFUSED),
}

# Below service level: paths with "*" for names and list items.
NESTED: dict[str, str] = {
    "blkio_config.weight": DONE,
    "blkio_config.weight_device": DONE,
    "blkio_config.device_read_bps": DONE,
    "blkio_config.device_read_iops": DONE,
    "blkio_config.device_write_bps": DONE,
    "blkio_config.device_write_iops": DONE,
    "deploy.replicas": DONE,
    "deploy.resources.limits": DONE,
    "deploy.resources.reservations.memory": DONE,
    "deploy.resources.reservations.cpus": NO_EFFECT,
    "deploy.resources.reservations.devices": DONE,
    "deploy.resources.reservations.generic_resources": NO_EFFECT,
    "deploy.restart_policy": DONE,
    "deploy.mode": NO_EFFECT,
    "deploy.endpoint_mode": NO_EFFECT,
    "deploy.labels": NO_EFFECT,
    "deploy.placement": NO_EFFECT,
    "deploy.update_config": NO_EFFECT,
    "deploy.rollback_config": NO_EFFECT,
    "networks.*.aliases": DONE,
    "networks.*.ipv4_address": DONE,
    "networks.*.mac_address": DONE,
    "networks.*.priority": DONE,
    "networks.*.gw_priority": DONE,
    "networks.*.ipv6_address": DONE,
    "networks.*.link_local_ips": DONE,
    "networks.*.interface_name": DONE,
    "networks.*.driver_opts": DONE,
    "pre_start.*.per_replica": REFUSED,
    "volumes.*.image": DONE,
    "volumes.*.bind.recursive": DONE,
    "volumes.*.bind.selinux": NO_EFFECT,
    "volumes.*.consistency": NO_EFFECT,
}
# Of some attributes only some values; "*" is any other. A platform must be this machine's.
VALUES: dict[str, dict[str, str]] = {
    "userns_mode": {"host": NO_EFFECT, "*": REFUSED},
    "platform": {"one that runs here": DONE, "*": REFUSED},
    "runtime": {"runc": NO_EFFECT, "io.containerd.runc.v2": NO_EFFECT, "*": REFUSED},
    "isolation": {"default": NO_EFFECT, "*": REFUSED},
    "volumes_from.*": {"a service": DONE, "container:NAME": DONE},
    "volumes.*.type": {
        "bind": DONE,
        "volume": DONE,
        "tmpfs": DONE,
        "image": DONE,
        "npipe": REFUSED,
        "cluster": REFUSED,
    },
    "logging.driver": {
        **dict.fromkeys(("json-file", "local", "none", "syslog", "journald", "fluentd", "gelf"), DONE),
        "*": REFUSED,
    },
}
TOP: dict[str, str] = {
    "name": DONE,
    "include": DONE,
    "services": DONE,
    "networks": DONE,
    "volumes": DONE,
    "secrets": DONE,
    "configs": DONE,
    "models": REFUSED,
    "version": NO_EFFECT,
}
# Drivers of top-level resources; external ones are taken as they are.
DRIVERS = {"networks": ("bridge", "default", "macvlan", "ipvlan"), "volumes": ("local",)}


def table() -> str:
    """The whole of docs/spec-support.md."""
    lines = ["# What of the Compose specification is done", ""]
    lines += [
        "Written from `compose/spec/support.py`; a test compares the two. Refused attributes are errors of `up` that"
    ]
    lines += [
        "name them, not of `config`: nothing is ignored in silence. `x-` keys are free everywhere. The last column says"
    ]
    lines += ["why, or names the test that proves it.", ""]
    rows = [(f"services.*.{key}", status) for key, status in {**SERVICE, **NESTED}.items()]
    for key, values in VALUES.items():
        rows += [(f"services.*.{key}: {'anything else' if value == '*' else value}", s) for value, s in values.items()]
    top = [*TOP.items()]
    for section, drivers in DRIVERS.items():
        top += [(f"{section}.*.driver: {' or '.join(drivers)}", DONE), (f"{section}.*.driver: anything else", REFUSED)]
    for title, part in (("Top level", top), ("Services", sorted(rows))):
        lines += [f"## {title}", "", "| attribute | status | why, or the proving test |", "|---|---|---|"]
        lines += [f"| `{name}` | {status} | {_last_cell(name)} |" for name, status in part] + [""]
    return "\n".join(lines)


def why(key: str) -> str:
    """The reason for a row's status, by the row's name without ``services.*.``; empty when nobody wrote one."""
    return WHY.get(key, "")


def _last_cell(name: str) -> str:
    key = name.removeprefix("services.*.")
    test = PROOFS.get(key, "")
    return why(key) or (f"`{test}`" if test else "")
