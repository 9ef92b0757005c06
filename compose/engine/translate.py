"""From a service's canonical configuration and its image's to what the runtime and the network are asked for. Pure.

``container_spec`` is the map from Compose's words to the runtime's; storage and network have modules of their own and
are offered here too, so that the engine needs one import.
"""

from __future__ import annotations

from compose import labels
from compose.engine.translate_logging import log_config
from compose.engine.translate_network import (
    VERSION,
    dns_servers,
    endpoint_spec,
    network_spec,
    resolv_conf,
    text,
)
from compose.engine.translate_process import process_spec, security_options, split_option
from compose.engine.translate_storage import VolumeUse, files, mounts, read_file, volume_requests
from compose.errors import EngineError
from compose.model.units import parse_bytes, parse_cpus, parse_duration
from compose.record import EMPTY, replace
from runtime.cdi import is_device_name
from runtime.spec import (
    HOST_GATEWAY,
    ContainerSpec,
    Device,
    Health,
    Namespaces,
    Resources,
    Restart,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from compose.plan.desired import Desired, DesiredService
    from compose.plan.observed import ObservedImage
    from runtime.spec import LogConfig, Process, Rootfs

    Config = Mapping[str, Any]

__all__ = [
    "VolumeUse",
    "container_spec",
    "endpoint_spec",
    "network_spec",
    "resolv_conf",
    "volume_requests",
]


def container_spec(
    desired: Desired,
    service: DesiredService,
    number: int,
    *,
    ident: str,
    name: str,
    image: ObservedImage,
    rootfs: Rootfs,
    volume_paths: Mapping[str, str] = EMPTY,
    overrides: Config | None = None,
    environ: Mapping[str, str] = EMPTY,
    shares: Mapping[str, str] = EMPTY,
    replaces: str = "",
    foreign: Mapping[str, tuple[VolumeUse, ...]] = EMPTY,
    read: Callable[[str], bytes] = read_file,
) -> ContainerSpec:
    """Everything the runtime needs for one container. Raises EngineError for what cannot be done.

    ``volume_paths``: host directory by volume name, of anonymous volumes by target. ``overrides``: what ``run``
    changes (RUN_OVERRIDES); a variable in it with the value None is taken from ``environ``, or removed. ``shares``: id
    of the container behind each ``service:x`` whose namespaces are joined. ``replaces``: id for the label of that name.
    ``foreign``: see volume_requests.
    """
    overrides = overrides or EMPTY
    config = _merged(service.config, overrides)
    namespaces = _namespaces(service.name, config, shares)
    hostname = config.get("hostname") or ident[:12]
    privileged = bool(config.get("privileged"))
    security = security_options(config, desired.working_dir, read)
    process = process_spec(service.name, config, image, overrides, environ, hostname, security)
    own_labels = _labels(desired, service, number, config, image, ident, replaces, overrides)
    return ContainerSpec(
        id=ident,
        name=name,
        process=process,
        rootfs=replace(rootfs, readonly=bool(config.get("read_only"))),
        hostname=hostname,
        domainname=config.get("domainname") or "",
        namespaces=namespaces,
        mounts=mounts(volume_requests(desired, service, image, overrides, foreign), volume_paths),
        files=files(desired, service, read),
        devices=tuple(_device(row) for row in config.get("devices") or () if not is_device_name(_source(row))),
        resources=_resources(config),
        sysctls=_sysctls(config),
        privileged=privileged,
        seccomp="unconfined" if privileged else security.seccomp,
        masked_paths=security.masked_paths and not privileged,
        shm_size=-1 if config.get("ipc") == "none" else parse_bytes(config.get("shm_size") or (64 << 20)),
        init=bool(config.get("init")),
        open_stdin=bool(config.get("stdin_open")),
        stop_signal=config.get("stop_signal") or image.config.get("StopSignal") or "SIGTERM",
        stop_timeout=_duration(config, "stop_grace_period", 10_000_000_000),
        restart=Restart("no") if overrides.get("oneoff") else _restart(config),
        health=_health(config.get("healthcheck") or {}, image.config),
        log=_log(service.name, config, process, own_labels, image, ident, name),
        labels=own_labels,
        extra_hosts=_extra_hosts(config.get("extra_hosts") or (), own=bool(service.networks)),
        cgroup_parent=config.get("cgroup_parent") or "",
        dns_servers=dns_servers(config) if service.networks else (),
        auto_remove=bool(overrides.get("auto_remove")),
    )


def _merged(config: Config, overrides: Config) -> Config:
    """The configuration with what ``run`` changes; lists that it adds to are added to."""
    if not overrides:
        return config
    merged = dict(config)
    for key in ("command", "user", "working_dir", "tty", "stdin_open", "ports"):
        if overrides.get(key) is not None:
            merged[key] = overrides[key]
    if overrides.get("entrypoint") is not None:
        merged["entrypoint"] = overrides["entrypoint"]
        merged["command"] = overrides.get("command") or []
    for key in ("cap_add", "cap_drop"):
        merged[key] = [*(config.get(key) or ()), *(overrides.get(key) or ())]
    merged["labels"] = {**(config.get("labels") or {}), **(overrides.get("labels") or {})}
    return merged


# its surroundings


def _namespaces(service: str, config: Config, shares: Mapping[str, str]) -> Namespaces:
    network = config.get("network_mode") or "private"
    return Namespaces(
        network=_namespace(service, "network_mode", network, shares, ("none", "bridge", "default")),
        pid=_namespace(service, "pid", config.get("pid") or "private", shares, ()),
        ipc=_namespace(service, "ipc", config.get("ipc") or "private", shares, ("shareable", "none")),
        uts=_namespace(service, "uts", config.get("uts") or "private", shares, ()),
        cgroup=_namespace(service, "cgroup", config.get("cgroup") or "private", shares, ()),
    )


def _namespace(service: str, attribute: str, mode: str, shares: Mapping[str, str], private: tuple[str, ...]) -> str:
    if mode in ("private", "host"):
        return mode
    if mode in private:
        return "private"
    if mode.startswith(("service:", "container:")):
        if mode in shares:
            return f"container:{shares[mode]}"
        if mode.startswith("container:"):
            return mode
        raise EngineError(
            f"cannot give {service} the {attribute} of {mode[8:]}: it has no container",
            hint=f"start it first: pycompose up -d {mode[8:]}",
        )
    raise EngineError(
        f"cannot give {service} {attribute}: {mode}: no such mode",
        hint="modes are host, private, none, service:NAME and container:NAME, as the attribute allows",
    )


def _source(row: Any) -> str:
    return row if isinstance(row, str) else str(row["source"])


def _device(row: Any) -> Device:
    if isinstance(row, str):
        parts = row.split(":")
        source, target = parts[0], parts[1] if len(parts) > 1 else parts[0]
        return Device(target, source, parts[2] if len(parts) > 2 else "rwm")
    return Device(row.get("target") or row["source"], row["source"], row.get("permissions") or "rwm")


def _resources(config: Config) -> Resources:
    """Limits of the service, or their twins under ``deploy.resources``."""
    resources = (config.get("deploy") or {}).get("resources") or {}
    limits, reserved = resources.get("limits") or {}, resources.get("reservations") or {}
    cpus = config.get("cpus") or limits.get("cpus")
    swappiness = config.get("mem_swappiness")
    return Resources(
        memory=parse_bytes(config.get("mem_limit") or limits.get("memory") or 0),
        memory_reservation=parse_bytes(config.get("mem_reservation") or reserved.get("memory") or 0),
        memory_swap=parse_bytes(config.get("memswap_limit") or 0),
        memory_swappiness=-1 if swappiness is None else int(swappiness),
        oom_kill_disable=bool(config.get("oom_kill_disable")),
        cpus_nano=parse_cpus(cpus) if cpus else 0,
        cpu_shares=int(config.get("cpu_shares") or 0),
        cpu_quota=int(config.get("cpu_quota") or 0),
        cpu_period=int(config.get("cpu_period") or 0),
        cpuset_cpus=str(config.get("cpuset") or ""),
        pids=int(config.get("pids_limit") or limits.get("pids") or 0),
        cpu_rt_runtime=int(config.get("cpu_rt_runtime") or 0),
        cpu_rt_period=int(config.get("cpu_rt_period") or 0),
        blkio_weight=int((config.get("blkio_config") or {}).get("weight") or 0),
        blkio_devices=_blkio_devices(config.get("blkio_config") or {}),
        device_rules=tuple(config.get("device_cgroup_rules") or ()),
    )


def _blkio_devices(config: Config) -> tuple[tuple[str, str, int], ...]:
    rows = [("weight", row["path"], int(row["weight"])) for row in config.get("weight_device") or ()]
    for what in ("read_bps", "write_bps", "read_iops", "write_iops"):
        rows += [(what, row["path"], parse_bytes(row["rate"])) for row in config.get(f"device_{what}") or ()]
    return tuple(rows)


def _sysctls(config: Config) -> dict[str, str]:
    rows = config.get("sysctls") or {}
    if not hasattr(rows, "items"):
        rows = dict(row.split("=", 1) for row in rows)
    return {name: text(value) for name, value in rows.items()}


def _restart(config: Config) -> Restart:
    """``deploy.restart_policy`` wins over ``restart``; without a condition it means no restart (docker compose)."""
    policy = (config.get("deploy") or {}).get("restart_policy")
    if policy is not None:
        names = {"any": "always", "on-failure": "on-failure", "unless-stopped": "unless-stopped", "always": "always"}
        name = names.get(policy.get("condition") or "", "no")
        return Restart(name, int(policy.get("max_attempts") or 0) if name == "on-failure" else 0)
    name, _, count = (config.get("restart") or "no").partition(":")
    return Restart(name, int(count or 0))


def _health(own: Config, image: Config) -> Health | None:
    """The service's health check over the image's, field by field; None when there is none or it is disabled."""
    inherited = image.get("Healthcheck") or {}
    test = list(own.get("test") or inherited.get("Test") or ())
    if own.get("disable") or not test or test[0] == "NONE":
        return None
    if test[0] == "CMD-SHELL":
        test = [*(image.get("Shell") or ("/bin/sh", "-c")), *test[1:]]
    elif test[0] == "CMD":
        test = test[1:]
    retries = own.get("retries")
    return Health(
        tuple(test),
        interval=_duration(own, "interval", inherited.get("Interval") or 0),
        timeout=_duration(own, "timeout", inherited.get("Timeout") or 0),
        start_period=_duration(own, "start_period", inherited.get("StartPeriod") or 0),
        start_interval=_duration(own, "start_interval", inherited.get("StartInterval") or 0),
        retries=int(retries if retries is not None else inherited.get("Retries") or 0),
    )


def _log(
    service: str,
    config: Config,
    process: Process,
    own_labels: Mapping[str, str],
    image: ObservedImage,
    ident: str,
    name: str,
) -> LogConfig:
    digest = image.digest.removeprefix("sha256:")
    about = {
        "ID": ident[:12],
        "FullID": ident,
        "Name": name,
        "ImageName": image.reference,
        "ImageID": digest[:12],
        "ImageFullID": image.digest,
        "Command": " ".join(process.args),
        "DaemonName": "pycompose",
    }
    env = dict(word.split("=", 1) for word in process.env)
    return log_config(service, config.get("logging") or {}, about=about, labels=own_labels, env=env)


def _extra_hosts(rows: Any, *, own: bool) -> tuple[tuple[str, str], ...]:
    """(name, address) pairs; the address may be the word ``host-gateway``, which the engine replaces where the
    container has a network of its own. Elsewhere the host is at 127.0.0.1, if anywhere."""
    if hasattr(rows, "items"):
        pairs = [(name, value) for name, given in rows.items() for value in _addresses(given)]
    else:
        pairs = [split_option(row, "=" if "=" in row else ":") for row in rows]
    pairs = [(name, address.strip("[]")) for name, address in pairs]
    return tuple((name, "127.0.0.1" if address == HOST_GATEWAY and not own else address) for name, address in pairs)


def _addresses(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _duration(config: Config, key: str, default: int) -> int:
    value = config.get(key)
    return default if value is None or value == "" else parse_duration(str(value))


# labels


def _labels(
    desired: Desired,
    service: DesiredService,
    number: int,
    config: Config,
    image: ObservedImage,
    ident: str,
    replaces: str,
    overrides: Config,
) -> dict[str, str]:
    """The image's, the service's, then docker compose's own set."""
    oneoff = bool(overrides.get("oneoff"))
    own = {
        labels.PROJECT: desired.project,
        labels.SERVICE: service.name,
        labels.NUMBER: str(number),
        labels.ONEOFF: "True" if oneoff else "False",
        labels.CONFIG_HASH: service.config_hash,
        labels.IMAGE: image.digest,
        labels.IMAGE_REFERENCE: service.image,
        labels.DEPENDS_ON: depends_on_label(service),
        labels.WORKING_DIR: desired.working_dir,
        labels.CONFIG_FILES: ",".join(desired.config_files),
        labels.VERSION: VERSION,
    }
    if desired.environment_files:
        own[labels.ENVIRONMENT_FILE] = ",".join(desired.environment_files)
    if oneoff:
        own[labels.SLUG] = ident
    if overrides.get("hook"):
        own[labels.HOOK] = str(overrides["hook"])
    if replaces:
        own[labels.REPLACE] = replaces
    users = {name: text(value) for name, value in (config.get("labels") or {}).items()}
    return {**(image.config.get("Labels") or {}), **users, **own}


def depends_on_label(service: DesiredService) -> str:
    """``db:service_healthy:false,…``: what ``down`` without a file reads the order from."""
    return ",".join(
        f"{edge.service}:{edge.condition}:{'true' if edge.restart else 'false'}" for edge in service.dependencies
    )
