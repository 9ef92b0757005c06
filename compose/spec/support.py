"""What is done with each attribute; ``docs/spec-support.md`` is this table as text."""

from __future__ import annotations

DONE = "done"
NO_EFFECT = "no effect, as in docker compose"
REFUSED = "refused: not supported yet"

_DONE = """
    attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_period cpu_quota
    cpu_shares cpus cpuset depends_on deploy develop device_cgroup_rules devices dns dns_opt dns_search domainname
    entrypoint env_file environment expose extends external_links extra_hosts group_add healthcheck hostname image
    init ipc label_file labels links logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit
    network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_start pre_stop
    privileged profiles provider pull_policy read_only restart scale secrets security_opt shm_size stdin_open
    stop_grace_period stop_signal sysctls tmpfs tty ulimits user userns_mode uts volumes volumes_from working_dir
"""
_NO_EFFECT = "annotations runtime isolation"
_REFUSED = """
    cpu_count cpu_percent cpu_rt_period cpu_rt_runtime credential_spec gpus models
    pull_refresh_after storage_opt use_api_socket
"""

SERVICE: dict[str, str] = {
    **dict.fromkeys(_DONE.split(), DONE),
    **dict.fromkeys(_NO_EFFECT.split(), NO_EFFECT),
    **dict.fromkeys(_REFUSED.split(), REFUSED),
}

# Below service level: paths with "*" for names and list items.
NESTED: dict[str, str] = {
    "blkio_config.weight": DONE,
    "blkio_config.weight_device": REFUSED,
    "blkio_config.device_read_bps": REFUSED,
    "blkio_config.device_read_iops": REFUSED,
    "blkio_config.device_write_bps": REFUSED,
    "blkio_config.device_write_iops": REFUSED,
    "deploy.replicas": DONE,
    "deploy.resources.limits": DONE,
    "deploy.resources.reservations.memory": DONE,
    "deploy.resources.reservations.cpus": NO_EFFECT,
    "deploy.resources.reservations.devices": REFUSED,
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
    "volumes.*.image": REFUSED,
    "volumes.*.bind.recursive": REFUSED,
    "volumes.*.bind.selinux": NO_EFFECT,
    "volumes.*.consistency": NO_EFFECT,
}
# Of some attributes only some values; "*" is any other. A platform must be this machine's.
VALUES: dict[str, dict[str, str]] = {
    "userns_mode": {"host": NO_EFFECT, "*": REFUSED},
    "platform": {"this machine's": DONE, "*": REFUSED},
    "volumes_from.*": {"a service": DONE, "container:NAME": REFUSED},
    "volumes.*.type": {
        "bind": DONE,
        "volume": DONE,
        "tmpfs": DONE,
        "image": REFUSED,
        "npipe": REFUSED,
        "cluster": REFUSED,
    },
    "logging.driver": {"json-file": DONE, "local": DONE, "none": DONE, "*": REFUSED},
    "pull_policy": {"always": DONE, "never": DONE, "missing": DONE, "build": DONE, "*": REFUSED},
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
        "Written from `compose/spec/support.py`; a test compares the two. Refused attributes are errors that name"
    ]
    lines += ["them: nothing is ignored in silence. `x-` keys are free everywhere.", ""]
    rows = [(f"services.*.{key}", status) for key, status in {**SERVICE, **NESTED}.items()]
    for key, values in VALUES.items():
        rows += [(f"services.*.{key}: {'anything else' if value == '*' else value}", s) for value, s in values.items()]
    top = [*TOP.items()]
    for section, drivers in DRIVERS.items():
        top += [(f"{section}.*.driver: {' or '.join(drivers)}", DONE), (f"{section}.*.driver: anything else", REFUSED)]
    for title, part in (("Top level", top), ("Services", sorted(rows))):
        lines += [f"## {title}", "", "| attribute | status |", "|---|---|"]
        lines += [f"| `{name}` | {status} |" for name, status in part] + [""]
    return "\n".join(lines)
