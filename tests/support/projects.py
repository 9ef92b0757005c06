"""Small Desired values for tests: a project in a few words."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from compose.plan.desired import Dependency, Desired, DesiredNetwork, DesiredService, DesiredVolume

CONDITIONS = {"": "service_started", "healthy": "service_healthy", "completed": "service_completed_successfully"}


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def need(text: str) -> Dependency:
    """``db``, ``db:healthy``, ``db:completed``; ``?`` after it: not required; ``!``: restart."""
    restart, optional = "!" in text, "?" in text
    name, _, condition = text.strip("!?").partition(":")
    return Dependency(name, CONDITIONS[condition], not optional, restart)


def service(name: str, *needs: str, networks: tuple[str, ...] = ("default",), **config: Any) -> DesiredService:
    """A service of image ``host``; keywords are its canonical configuration."""
    replicas = config.pop("replicas", 1)
    whole = {"image": "host", **config}
    return DesiredService(
        name,
        whole["image"],
        whole,
        digest(whole),
        replicas,
        whole.get("container_name", ""),
        tuple(need(text) for text in needs),
        networks,
    )


def project(*services: DesiredService, name: str = "shop", **more: Any) -> Desired:
    """A project of the services in their order, with the networks and volumes they name."""
    subnets = more.pop("subnets", {})
    keys = list(dict.fromkeys(key for one in services for key in one.networks))
    volumes = list(
        dict.fromkeys(row["source"] for one in services for row in one.config.get("volumes") or () if row.get("source"))
    )
    return Desired(
        name,
        "/srv/shop",
        ("/srv/shop/compose.yaml",),
        (),
        services,
        _order(services),
        tuple(_network(name, key, subnets.get(key, "")) for key in keys),
        tuple(DesiredVolume(key, f"{name}_{key}", False, {}, digest(key)) for key in volumes),
        **more,
    )


def volume(source: str, target: str) -> dict[str, Any]:
    return {"type": "volume", "source": source, "target": target, "volume": {}}


def _network(name: str, key: str, subnet: str) -> DesiredNetwork:
    config = {"ipam": {"config": [{"subnet": subnet}]}} if subnet else {}
    return DesiredNetwork(key, f"{name}_{key}", False, config, digest([key, config]))


def _order(services: tuple[DesiredService, ...]) -> tuple[str, ...]:
    """Dependencies first, otherwise as given."""
    found: list[str] = []
    known = {one.name: one for one in services}

    def visit(name: str) -> None:
        if name in found or name not in known:
            return
        for edge in known[name].dependencies:
            visit(edge.service)
        found.append(name)

    for one in services:
        visit(one.name)
    return tuple(found)
