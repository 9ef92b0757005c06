"""Devices that a service reserves: ``gpus``, ``deploy.resources.reservations.devices`` and CDI names in ``devices``."""

from __future__ import annotations

from compose.errors import EngineError
from runtime.cdi import is_device_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from runtime.cdi import Registry

    Config = Mapping[str, Any]

# Whose devices serve a capability, in the order of asking; ``driver`` names the vendor.
KINDS = {"gpu": ("nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu")}
ALL = -1


def wants_devices(config: Config) -> bool:
    """Whether the service reserves anything: only then are the machine's specifications read."""
    return bool(config.get("gpus")) or any(True for _row in _requests(config)) or bool(list(_named(config)))


def reserved_devices(service: str, config: Config, registry: Registry) -> list[str]:
    """The full CDI names of all devices of the service. Raises EngineError when a reservation cannot be met."""
    found = list(_named(config))
    for row in config.get("gpus") or ():
        found += _serve(service, {"capabilities": ["gpu"], **row}, registry)
    for row in _requests(config):
        found += _serve(service, row, registry)
    return list(dict.fromkeys(found))


def _named(config: Config) -> Iterator[str]:
    for row in config.get("devices") or ():
        name = row if isinstance(row, str) else row["source"]
        if is_device_name(name):
            yield name


def _requests(config: Config) -> list[Config]:
    reserved = ((config.get("deploy") or {}).get("resources") or {}).get("reservations") or {}
    return list(reserved.get("devices") or ())


def _serve(service: str, row: Config, registry: Registry) -> list[str]:
    """One request. Its words are Docker's: ids, or a number of devices, all when it says neither."""
    driver = str(row.get("driver") or "")
    ids = [str(one) for one in row.get("device_ids") or ()]
    if driver == "cdi":
        return ids
    kind = _kind(service, driver, [str(word) for word in row.get("capabilities") or ()], registry)
    if ids:
        return [f"{kind}={one}" for one in ids]
    names = registry.names(kind)
    count = _count(row)
    if count == ALL:
        return [f"{kind}=all"] if "all" in names else [f"{kind}={name}" for name in names]
    single = [name for name in names if name != "all"]
    numbered = [name for name in single if name.isdigit()] or single
    if count > len(numbered):
        raise EngineError(
            f"cannot reserve {count} of {kind} for {service}: there are {len(numbered)}",
            hint="ask for fewer, or for count: all",
        )
    return [f"{kind}={name}" for name in numbered[:count]]


def _count(row: Config) -> int:
    count = row.get("count", ALL)
    return ALL if count in ("all", None) else int(count)


def _kind(service: str, driver: str, capabilities: list[str], registry: Registry) -> str:
    """The kind of device that serves the request: the first that the machine has one of."""
    kinds = [kind for word in capabilities for kind in KINDS.get(word, ())]
    if driver and driver != "nvidia":
        kinds = [kind for kind in kinds if kind.startswith(driver)]
    elif driver:
        kinds = ["nvidia.com/gpu"]
    for kind in kinds:
        if registry.names(kind):
            return kind
    wanted = ", ".join(capabilities) or "no capability"
    raise EngineError(
        f"cannot reserve a device for {service}: no CDI specification in {' or '.join(registry.directories)} serves "
        f"{f'driver {driver}, ' if driver else ''}{wanted}",
        hint="NVIDIA's: nvidia-ctk cdi generate --disable-hook=all --output=/etc/cdi/nvidia.yaml",
    )
