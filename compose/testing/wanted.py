"""From a project as the file has it to one that can run many times at once: nothing in it is unique."""

from __future__ import annotations

import hashlib

from compose.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from compose.plan.desired import Desired, DesiredNetwork, DesiredService, DesiredVolume


def isolated(desired: Desired, *, ports: str = "random", resettable: str = "") -> Desired:
    """The project with names of its own and, with ``ports="random"``, ports that the kernel chooses.

    Fixed names of containers, networks and volumes, and fixed subnets that no static address needs, are dropped; a
    container's fixed name stays as an alias. ``resettable``: a directory; named volumes become overlays below it.
    """
    static = {
        network
        for service in desired.services
        for network, config in (service.config.get("networks") or {}).items()
        if (config or {}).get("ipv4_address") or (config or {}).get("ipv6_address")
    }
    volumes = tuple(_volume(one, desired.project, resettable) for one in desired.volumes)
    return replace(
        desired,
        services=tuple(_service(one, ports) for one in desired.services),
        networks=tuple(_network(one, desired.project, one.key in static) for one in desired.networks),
        volumes=volumes,
    )


def _service(service: DesiredService, ports: str) -> DesiredService:
    config = {key: value for key, value in service.config.items() if key != "container_name"}
    if service.container_name:
        config["networks"] = _with_alias(config.get("networks"), service)
    if ports == "random" and config.get("ports"):
        config["ports"] = [_unpublished(one) for one in config["ports"]]
    return replace(
        service, container_name="", config=config, config_hash=_rehash(service.config_hash, service.config, config)
    )


def _unpublished(port: Mapping[str, Any]) -> dict[str, Any]:
    """The port without its number on the host: an ephemeral one, on loopback, where the tests are."""
    kept = {key: value for key, value in port.items() if key != "published"}
    return {"host_ip": "127.0.0.1", **kept}


def _with_alias(networks: Any, service: DesiredService) -> dict[str, Any]:
    found = {name: dict((networks or {}).get(name) or {}) for name in service.networks}
    for config in found.values():
        config["aliases"] = [*(config.get("aliases") or ()), service.container_name]
    return found


def _network(network: DesiredNetwork, project: str, is_static: bool) -> DesiredNetwork:
    if network.external:
        return network
    dropped = () if is_static else ("ipam",)
    config = {key: value for key, value in network.config.items() if key not in dropped}
    config["name"] = f"{project}_{network.key}"
    hashed = _rehash(network.config_hash, network.config, config)
    return replace(network, name=config["name"], config=config, config_hash=hashed)


def _volume(volume: DesiredVolume, project: str, resettable: str) -> DesiredVolume:
    if volume.external:
        return volume
    config = {**volume.config, "name": f"{project}_{volume.key}"}
    if resettable and not volume.config.get("driver_opts"):
        from runtime.generations import first_options

        config["driver_opts"] = first_options(f"{resettable}/{volume.key}")
    hashed = _rehash(volume.config_hash, volume.config, config)
    return replace(volume, name=config["name"], config=config, config_hash=hashed)


def _rehash(old: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The hash follows the config: what changed must look changed to the planner."""
    if before == after:
        return old
    return hashlib.sha256(f"{old}{sorted(after.items())!r}".encode()).hexdigest()
